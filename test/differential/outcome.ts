import type { Answer } from './answers.js';
import type { Sent } from './sender.js';

/** What came of bytes that were sent in one way. */
export interface Outcome extends Sent {
  /** The events that were stored, in order, without what the ways do not share. */
  readonly stored: readonly string[];
}

/**
 * Why two outcomes may differ:
 *
 * - A refusal can come before the rest of its request is here. Its connection is closed behind it, as `Connection:
 *   close` says, and what follows is neither answered nor stored. When the rest came in the same piece, the connection
 *   is kept. (RFC 9112, 9.3 and 9.6: a client learns from the answer how far it came, and sends the rest again.)
 * - A request with two faults, of which the second is that it ends too early or in broken chunks, gets its one answer
 *   for the fault that is found first. Nothing is stored either way. So does one whose coded body is broken, or ends too
 *   early, and holds a wrong event in front of that: decoders work in threads of their own.
 * - For the same reason the events of requests behind one that is coded may be stored in front of its own. Requests that
 *   are sent without waiting for answers are at work at the same time; the answers keep their order.
 */
export type Allowance = 'closed early' | 'another fault first' | 'another order';

/**
 * @param isCoded whether a body is coded
 * @returns what differs; `null`: nothing, or something that may
 */
export function difference(
  one: Outcome,
  other: Outcome,
  isCoded: boolean,
  allowed: (why: Allowance) => void,
): string | null {
  const fault = faultOf(other);
  if (fault !== null) return fault;
  if (same(one.stored, other.stored) && same(texts(one), texts(other))) return null;
  const [short, long] = one.answers.length <= other.answers.length ? [one, other] : [other, one];
  if (
    isRefusedAndClosed(short) &&
    startsWith(texts(long), texts(short)) &&
    startsWith(long.stored, short.stored)
  ) {
    allowed('closed early');
    return null;
  }
  if (same(one.stored, other.stored) && isAnotherFault(one, other, isCoded)) {
    allowed('another fault first');
    return null;
  }
  if (isCoded && same(texts(one), texts(other)) && same(one.stored.toSorted(), other.stored.toSorted())) {
    allowed('another order');
    return null;
  }
  return same(one.stored, other.stored) ? 'the answers differ' : 'the stored events differ';
}

/** What is wrong with an outcome by itself. */
export function faultOf({ answers, stored, fault }: Outcome): string | null {
  if (fault !== null) return fault;
  const promised = answers.reduce((sum, { events }) => sum + events, 0);
  if (promised !== stored.length) return `${promised} events were promised, ${stored.length} stored`;
  const last = answers.findIndex(({ closes }) => closes);
  return last === -1 || last === answers.length - 1 ? null : 'an answer came behind the last one';
}

export function told({ answers, stored, fault }: Outcome): string {
  const list = answers.map(({ text, closes }) => (closes ? `${text}, close` : text)).join(' | ');
  const events = stored.length === 0 ? 'nothing stored' : `stored ${stored.join(' ')}`;
  return `${list === '' ? 'no answer' : list}; ${events}${fault === null ? '' : `; ${fault}`}`;
}

function isRefusedAndClosed({ answers }: Outcome): boolean {
  const last = answers.at(-1);
  return last !== undefined && last.closes && last.status >= 400;
}

/**
 * Whether only refusals differ, and in each place where they do, one is that the request is not HTTP, behind which the
 * connection ends, or that its body cannot be decoded.
 */
function isAnotherFault(one: Outcome, other: Outcome, isCoded: boolean): boolean {
  if (one.answers.length !== other.answers.length) return false;
  return one.answers.every((answer, index) => {
    const pair = [answer, other.answers[index] ?? answer];
    if (pair[0]?.text === pair[1]?.text) return true;
    const isEnd = index === one.answers.length - 1;
    const isFirst = ({ text, closes }: Answer): boolean =>
      (isEnd && closes && text === '400 BAD_REQUEST') || (isCoded && text === '400 BODY_NOT_DECODED');
    return pair.every(({ status }) => status >= 400) && pair.some(isFirst);
  });
}

function texts({ answers }: Outcome): string[] {
  return answers.map(({ text }) => text);
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && startsWith(one, other);
}

function startsWith(list: readonly string[], start: readonly string[]): boolean {
  return start.every((each, index) => each === list[index]);
}
