import { text as textOf } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { asError } from '../../lib/base/errors.js';
import { post as request } from '../../lib/base/http-post.js';
import type { Done } from '../log/operations.js';
import { retryAfterMs } from '../../lib/base/retry-after.js';
import { printable } from '../../lib/base/terminal-text.js';
import { count } from '../../lib/base/words.js';
import { LineNumbers } from './letter-lines.js';
import type { Letter } from './letter-lines.js';
import type { LetterStore } from './letter-store.js';

/** A request holds at most this many bytes, besides its first event. */
const BODY_BYTES_MAX = 2 ** 20;
const BODY_EVENTS_MAX = 500;
/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 300_000;
/** A full server is asked at most this many times, each time after the wait that it names. */
const TRIES_MAX = 20;
/** The wait if the server names none, in milliseconds. */
const RETRY_AFTER_MS = 1000;
const RETRY_AFTER_MS_MAX = 60_000;
/** Answers about the events of this request: the server may take others. */
const REFUSALS: ReadonlySet<number> = new Set([400, 413, 422]);
/** At most this many different answers are quoted for a file. */
const ANSWERS_QUOTED_MAX = 5;

/**
 * Sends dead letters through the front door again, oldest file first. A letter leaves its file only after the server
 * has answered `202` for it, and so has it on disk. A refused request is sent again in halves, so that a refused
 * letter does not stop the others. If the tool is killed, at most the letters of one request are sent twice.
 *
 * @returns how many were sent and taken, and why others were not: those stay in their files
 */
export async function redrive(
  store: LetterStore,
  names: readonly string[],
  isWanted: (letter: Letter) => boolean,
  url: URL,
): Promise<Done & { readonly counts: { readonly events: number } }> {
  const failures: string[] = [];
  const changed = new Set<string>();
  let events = 0;
  const redriveFile = async (name: string): Promise<void> => {
    const file = await store.take(name, isWanted);
    if (file === null) return;
    const refusals = new Refusals(store.noun);
    try {
      await store.edit(file, async (letters, { remove, numberLeft }) => {
        let waiting = letters.filter(isWanted);
        for (let body = nextBody(waiting); body.length > 0; body = nextBody(waiting)) {
          waiting = waiting.slice(body.length);
          const taken = new Set<Letter>();
          const refused = new Map<Letter, string>();
          try {
            await sendInParts(url, body, taken, refused);
          } finally {
            if (taken.size > 0) {
              events += taken.size;
              changed.add(name);
              await remove(taken);
            }
            for (const [letter, answer] of refused) refusals.add(answer, () => numberLeft(letter));
          }
        }
      });
    } finally {
      failures.push(...refusals.textsOf(store.pathOf(file)));
    }
  };
  for (const name of names) {
    try {
      await redriveFile(name);
    } catch (error) {
      failures.push(asError(error).message);
      if (error instanceof Unreachable) break;
    }
  }
  return { counts: { events, files: changed.size }, failures };
}

/** Their ids may be known: the server took them once. */
const PASS = { 'forebay-id-window': 'pass' };

/** Nothing answers, so other files would fail as well. */
class Unreachable extends Error {}

function nextBody(letters: readonly Letter[]): Letter[] {
  const body: Letter[] = [];
  let bytes = 0;
  for (const letter of letters.slice(0, BODY_EVENTS_MAX)) {
    if (body.length > 0 && bytes + letter.event.length > BODY_BYTES_MAX) break;
    body.push(letter);
    bytes += letter.event.length;
  }
  return body;
}

/**
 * Sends letters in one request, or in as few as the server takes.
 *
 * @param taken gets the letters that the server has taken
 * @param refused gets the letters that the server refuses, each with its answer in words
 */
async function sendInParts(
  url: URL,
  body: readonly Letter[],
  taken: Set<Letter>,
  refused: Map<Letter, string>,
): Promise<void> {
  const parts = [body];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const [first, ...others] = part;
    if (first === undefined) continue;
    const refusal = await send(url, part);
    if (refusal === null) {
      for (const letter of part) taken.add(letter);
    } else if (others.length === 0) {
      refused.set(first, refusal);
    } else {
      const middle = part.length >> 1;
      parts.push(part.slice(middle), part.slice(0, middle));
    }
  }
}

/** The letters of a file that the server refuses, grouped by answer. */
class Refusals {
  readonly #noun: string;
  readonly #lines = new Map<string, LineNumbers>();
  /** Letters with an answer that is not quoted. */
  #others = 0;

  /** @param noun what has one letter */
  constructor(noun: string) {
    this.#noun = noun;
  }

  /** @param number of its line, in the file as the redrive leaves it */
  add(answer: string, number: () => number): void {
    let lines = this.#lines.get(answer);
    if (lines === undefined && this.#lines.size >= ANSWERS_QUOTED_MAX) {
      this.#others++;
      return;
    }
    lines ??= new LineNumbers(this.#noun);
    this.#lines.set(answer, lines);
    lines.add(number());
  }

  textsOf(path: string): string[] {
    const texts = [...this.#lines].map(([answer, lines]) => `${path}, ${lines.text}: ${answer}`);
    if (this.#others > 0)
      texts.push(`${path}: ${count(this.#others, `other ${this.#noun}`)} got other answers`);
    return texts;
  }
}

/** @returns `null` if the letters were taken, or the answer in words if it is about them */
async function send(url: URL, letters: readonly Letter[]): Promise<string | null> {
  const body = Buffer.concat(letters.flatMap(({ event }) => [event, Buffer.from('\n')]));
  for (let tries = 1; ; tries++) {
    const { status, waitMs, text } = await post(url, body);
    if (status === 202) return null;
    const answer = `${url.origin}${url.pathname} answered ${status}: ${printable(text.slice(0, 300))}`;
    if (REFUSALS.has(status)) return answer;
    const isBusy = status === 429 || status === 503;
    if (!isBusy || tries === TRIES_MAX) throw new Error(answer);
    await sleep(waitMs);
  }
}

async function post(url: URL, body: Buffer): Promise<{ status: number; waitMs: number; text: string }> {
  try {
    const headers = { 'content-type': 'application/x-ndjson', ...PASS };
    const { answer, sent } = await request({ url, headers, body, signal: AbortSignal.timeout(ANSWER_MS) });
    const waitMs = Math.min(RETRY_AFTER_MS_MAX, retryAfterMs(answer.headers) ?? RETRY_AFTER_MS);
    const { statusCode: status = 0 } = answer;
    const said = await textOf(answer);
    if (status === 202) await sent;
    return { status, waitMs, text: said };
  } catch (error) {
    const what = `${url.origin}${url.pathname} does not answer (${asError(error).message})`;
    throw new Unreachable(`${what}: does a server run there?`, { cause: error });
  }
}
