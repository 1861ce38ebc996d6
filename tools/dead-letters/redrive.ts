import { asError } from '../../lib/base/errors.js';
import { FrontDoor, keyHeader, nextBody, Unreachable } from '../log/front-door.js';
import type { Outcome } from '../log/front-door.js';
import type { Done } from '../log/operations.js';
import { count } from '../../lib/base/words.js';
import { LineNumbers } from './letter-lines.js';
import type { Letter } from './letter-lines.js';
import type { LetterStore } from './letter-store.js';

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
  door: FrontDoor,
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
          const outcome: Outcome<Letter> = { taken: new Set(), refused: new Map(), duplicates: 0 };
          const { taken, refused } = outcome;
          try {
            await door.send(body, outcome);
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
      const { name: kind, message } = asError(error);
      const isInterrupted = kind === 'AbortError';
      failures.push(isInterrupted ? 'interrupted' : message);
      if (isInterrupted || error instanceof Unreachable) break;
    }
  }
  return { counts: { events, files: changed.size }, failures };
}

/** Their ids may be known: the server took them once. */
const PASS = { 'forebay-id-window': 'pass' };

/** The front door for dead letters. */
export function doorForLetters(url: URL, signal: AbortSignal, key: string | null = null): FrontDoor {
  return new FrontDoor({ url, headers: { ...PASS, ...keyHeader(key) }, signal });
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
