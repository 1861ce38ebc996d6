import { HostRules } from '../../lib/door/host-rules.js';
import { plainHead } from '../../lib/door/request-head.js';
import type { PlainHead } from '../../lib/door/request-head.js';
import { SOURCES } from '../../lib/sources/registry.js';
import type { Random } from '../simulation/random.js';

/** How bytes are sent. */
export interface Way {
  readonly name: string;
  /** What is sent on the connection, and answered, before. */
  readonly before: Buffer | null;
  /** Where the bytes are cut. */
  readonly cuts: readonly number[];
}

/** Bytes this few are cut at each position; */
const SHORT_BYTES = 300;
/** those of mutations, and longer ones, at this many, and */
const CUTS = 10;
/** where requests begin, and this far in front of the end of each head. */
const NEAR_END = 5;
/** Bytes this near to odd ones are cut at each position, too. */
const ODD_MARGIN = 3;
const BYTE_BY_BYTE_MAX = 400;
const HEAD_END = '\r\n\r\n';
const HOSTS = new HostRules('127.0.0.1', []);
/** The longest head that is taken. */
const HEAD_BYTES_MAX = 16_384;
/** A body of this length at most is sent before with the same head. */
const SAME_BODY_MAX = 10_000;

/** Hands its connection over to `node:http`, for good. */
const TO_NODE = Buffer.from('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
/** Is read by the fast path, which keeps its head, and stores nothing. */
const FAST_LINES = 'POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
const FAST = Buffer.from(`${FAST_LINES}Content-Length: 2\r\n\r\n{}`);

/** Whether the fast path reads the bodies of requests with this head, and stores none of question marks. */
function isTaken(head: PlainHead): boolean {
  if (head.header('ce-specversion') !== undefined) return false;
  if (head.header('x-hub-signature-256') !== undefined)
    return head.target === '/in/github' && head.bodyBytes > 0;
  const limits = { eventBytesMax: 1, depthMax: 1, eventsMax: 1 };
  try {
    return SOURCES.find(({ path }) => path === head.target)?.readerFor(head, limits) !== undefined;
  } catch {
    return false;
  }
}

/** A plain request that stores nothing, with the head that these bytes begin with. */
function sameHead(bytes: Buffer): Buffer | null {
  const end = bytes.indexOf(HEAD_END);
  if (end === -1) return null;
  const head = bytes.subarray(0, end + HEAD_END.length);
  const plain = plainHead(head.toString('latin1'));
  if (plain === null || plain.bodyBytes > SAME_BODY_MAX || head.length > HEAD_BYTES_MAX) return null;
  if (HOSTS.serves(plain.header('host') ?? '') !== true) return null; // its connection may be closed
  if (!isTaken(plain)) return null;
  return Buffer.concat([head, Buffer.alloc(plain.bodyBytes, '?')]);
}

/** A plain request that stores nothing, whose head and body are as long as those of these bytes: only the text differs. */
function asLong(bytes: Buffer): Buffer | null {
  const headBytes = bytes.indexOf(HEAD_END) + HEAD_END.length;
  const bodyBytes = bytes.length - headBytes;
  const head = `${FAST_LINES}Content-Length: ${bodyBytes}\r\nX:\r\n\r\n`;
  if (headBytes < head.length || headBytes > HEAD_BYTES_MAX || bodyBytes > SAME_BODY_MAX) return null;
  const padded = head.replace('X:', `X:${'x'.repeat(headBytes - head.length)}`);
  return Buffer.concat([Buffer.from(padded), Buffer.alloc(bodyBytes, '?')]);
}

/** Where requests begin, and where heads end: where one reader may take over from the other. */
function borders(bytes: Buffer): number[] {
  const text = bytes.toString('latin1');
  const starts = Array.from(text.matchAll(/(?:POST|GET) \//g), ({ index }) => index);
  const ends: number[] = [];
  for (const { index } of text.matchAll(/\r\n\r\n/g)) {
    const behind = index + HEAD_END.length;
    for (let at = behind - NEAR_END; at <= behind + 1; at++) ends.push(at);
  }
  return [...starts, ...ends].filter((at) => at > 0 && at < bytes.length);
}

/** Where bytes are cut in two. */
export type Cutting =
  /** At each position, if they are short. */
  | 'everywhere'
  /** At each position where they are not as ordinary bytes are, if they are short; elsewhere at some. */
  | 'where they are odd'
  /** At some positions. */
  | 'at some positions';

/** Between which positions bytes differ from the ordinary ones that they are most like; all, if they do not differ. */
function oddPart(bytes: Buffer, ordinary: readonly Buffer[]): readonly [from: number, to: number] {
  let [from, to] = [0, bytes.length];
  for (const other of ordinary) {
    if (other.equals(bytes)) return [0, bytes.length];
    const most = Math.min(bytes.length, other.length);
    let start = 0;
    while (start < most && bytes[start] === other[start]) start++;
    let end = 0;
    while (end < most - start && bytes[bytes.length - 1 - end] === other[other.length - 1 - end]) end++;
    if (bytes.length - end - start < to - from) [from, to] = [start, bytes.length - end];
  }
  return [from - ODD_MARGIN, to + ODD_MARGIN];
}

/**
 * All ways to send these bytes; the first is the one that the others are compared with.
 *
 * @param ordinary bytes that are cut at each position anyway, with the same token
 */
export function waysOf(
  bytes: Buffer,
  cutting: Cutting,
  random: Random,
  ordinary: readonly Buffer[] = [],
): Way[] {
  const { length } = bytes;
  const all = Array.from({ length: Math.max(0, length - 1) }, (_, index) => index + 1);
  const any = (count: number): number[] =>
    all.length === 0 ? [] : Array.from({ length: count }, () => random.pick(all));
  const near = borders(bytes);
  const [from, to] = cutting === 'where they are odd' ? oddPart(bytes, ordinary) : [0, length];
  const odd = all.filter((at) => at >= from && at <= to);
  const isWhole = cutting !== 'at some positions' && length <= SHORT_BYTES;
  const inTwo = isWhole
    ? new Set([...odd, ...any(CUTS / 2)])
    : [...any(CUTS), ...near.slice(0, cutting === 'everywhere' ? Infinity : CUTS)];
  const same = sameHead(bytes);
  const like = asLong(bytes);
  return [
    way('in one piece', null),
    way('in one piece, through node:http', TO_NODE),
    way('in one piece, behind a plain request', FAST),
    ...(same === null ? [] : [way('in one piece, behind a request with the same head', same)]),
    ...(like === null ? [] : [way('in one piece, behind a request that is as long', like)]),
    ...(length <= BYTE_BY_BYTE_MAX
      ? [way('byte by byte', null, all), way('byte by byte, through node:http', TO_NODE, all)]
      : []),
    ...[...inTwo].map((at) => way(`in two at ${at}`, null, [at])),
    ...[...any(CUTS / 2), ...near.slice(0, CUTS / 2)].flatMap((at) => [
      way(`in two at ${at}, through node:http`, TO_NODE, [at]),
      way(`in two at ${at}, behind a plain request`, same ?? FAST, [at]),
    ]),
    ...[1, 2]
      .map(() => any(3).toSorted((a, b) => a - b))
      .map((cuts) => way(`in pieces at ${cuts.join(', ')}`, null, cuts)),
  ];
}

function way(name: string, before: Buffer | null, cuts: readonly number[] = []): Way {
  return { name, before, cuts };
}
