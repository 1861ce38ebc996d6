import { readFileSync, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { asError, ForebayError } from '../base/errors.js';
import type { ErrorCode } from '../base/errors.js';
import type { Logger } from '../base/reporter.js';

/** The shortest time between two looks at the file, in milliseconds. */
const LOOK_MS = 1000;

/** A file that a setting names, such as headers or certificates. It is read again when it has changed. */
export class SettingFile<T> {
  readonly #flag: string;
  readonly #path: string;
  readonly #parse: (text: string) => T;
  readonly #logger: Logger;
  #value: T;
  /** Changes whenever the file does. */
  #stamp: string;
  #lookedAtMs = performance.now();
  /** Why the last look failed; it is reported once. */
  #failure: string | null = null;

  /**
   * @param parse throws an error whose message continues a sentence about the file
   * @throws ForebayError `SINK_UNUSABLE` if it cannot be read, `SETTING_INVALID` if it is not what it should be
   */
  constructor(flag: string, path: string, parse: (text: string) => T, logger: Logger) {
    this.#flag = flag;
    this.#path = path;
    this.#parse = parse;
    this.#logger = logger;
    let code: ErrorCode = 'SINK_UNUSABLE';
    try {
      this.#stamp = stampOf(statSync(path, { bigint: true }));
      const text = readFileSync(path, 'utf8');
      code = 'SETTING_INVALID';
      this.#value = parse(text);
    } catch (error) {
      throw new ForebayError(code, { message: this.#whyNot(error), cause: error });
    }
  }

  get value(): T {
    return this.#value;
  }

  /**
   * Looks whether the file has changed, at most once a second. If it cannot be read the value stays as it is.
   *
   * @param atOnce also within that second
   * @returns whether there is a new value
   */
  async refresh(atOnce: boolean): Promise<boolean> {
    const nowMs = performance.now();
    if (!atOnce && nowMs - this.#lookedAtMs < LOOK_MS) return false;
    this.#lookedAtMs = nowMs;
    try {
      const stamp = stampOf(await stat(this.#path, { bigint: true }));
      if (stamp !== this.#stamp) {
        this.#value = this.#parse(await readFile(this.#path, 'utf8'));
        this.#logger.info({}, `Read again: ${this.#path}`);
      }
      const isNew = stamp !== this.#stamp;
      this.#stamp = stamp;
      this.#failure = null;
      return isNew;
    } catch (error) {
      const failure = this.#whyNot(error);
      if (failure !== this.#failure)
        this.#logger.warn({ code: 'SINK_MISCONFIGURED' }, `${failure}; its last content is used as before`);
      this.#failure = failure;
      return false;
    }
  }

  #whyNot(error: unknown): string {
    return `The file ${this.#path} (--${this.#flag}) cannot be read: ${asError(error).message}`;
  }
}

function stampOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [ino, size, mtimeNs, ctimeNs].join(' ');
}
