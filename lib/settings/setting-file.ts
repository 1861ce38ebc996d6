import { readFileSync, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { asError, ForebayError } from '../base/errors.js';
import type { ErrorCode } from '../base/errors.js';
import type { Logger } from '../base/reporter.js';

/** The shortest time between two looks at the file, in milliseconds. */
const LOOK_MS = 1000;
/** A file that is watched is looked at twice as often: a change is known within that time. */
const WATCH_MS = LOOK_MS / 2;

/** Which errors it is reported as. */
export interface FileErrors {
  /** The file cannot be read at the start. */
  readonly unusable: ErrorCode;
  /** The file has changed and cannot be read again. */
  readonly stale: ErrorCode;
}

const OF_A_SINK: FileErrors = { unusable: 'SINK_UNUSABLE', stale: 'SINK_MISCONFIGURED' };

/** A file that a setting names, such as headers or certificates. It is read again when it has changed. */
export class SettingFile<T> {
  readonly #setting: string;
  readonly #path: string;
  readonly #parse: (text: string) => T;
  readonly #logger: Logger;
  readonly #errors: FileErrors;
  #timer: NodeJS.Timeout | null = null;
  #value: T;
  /** Changes whenever the file does. */
  #stamp: string;
  /** Of a content that is not what it should be: it is not parsed again. */
  #wrongStamp: string | null = null;
  #lookedAtMs = performance.now();
  /** Looks that have not ended: each takes one of the few threads for files, and a file system may hang. */
  #looking = 0;
  /** Why the last look failed; it is reported once. */
  #failure: string | null = null;

  /**
   * @param setting as errors name it, like `--sink-ca`
   * @param parse throws an error whose message continues a sentence about the file
   * @throws ForebayError `errors.unusable` if it cannot be read, `SETTING_INVALID` if it is not what it should be
   */
  constructor(
    setting: string,
    path: string,
    parse: (text: string) => T,
    logger: Logger,
    errors: FileErrors = OF_A_SINK,
  ) {
    this.#setting = setting;
    this.#path = path;
    this.#parse = parse;
    this.#logger = logger;
    this.#errors = errors;
    let code = errors.unusable;
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

  /** Whether the file could not be read again: `value` is of its last content. */
  get isStale(): boolean {
    return this.#failure !== null;
  }

  /** Looks for changes, until `close`, and finds one within a second. @param changed called after each */
  watch(changed: () => void = () => undefined): void {
    this.#timer ??= setInterval(() => {
      if (this.#looking > 0) return;
      void this.refresh(true).then((isNew) => {
        if (isNew) changed();
      });
    }, WATCH_MS).unref();
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /**
   * Looks whether the file has changed, at most once a second. If it cannot be read the value stays as it is.
   *
   * @param atOnce also within that second
   * @returns whether there is a new value
   */
  async refresh(atOnce: boolean): Promise<boolean> {
    const nowMs = performance.now();
    if (!atOnce && (this.#looking > 0 || nowMs - this.#lookedAtMs < LOOK_MS)) return false;
    this.#lookedAtMs = nowMs;
    this.#looking++;
    try {
      const stamp = stampOf(await stat(this.#path, { bigint: true }));
      if (stamp === this.#wrongStamp) return false;
      const isNew = stamp !== this.#stamp;
      if (isNew) {
        const text = await readFile(this.#path, 'utf8');
        this.#wrongStamp = stamp;
        this.#value = this.#parse(text);
        this.#logger.info({}, `Read again: ${this.#path}`);
      }
      this.#stamp = stamp;
      this.#wrongStamp = null;
      this.#failure = null;
      return isNew;
    } catch (error) {
      const failure = this.#whyNot(error);
      if (failure !== this.#failure)
        this.#logger.warn({ code: this.#errors.stale }, `${failure}; its last content is used as before`);
      this.#failure = failure;
      return false;
    } finally {
      this.#looking--;
    }
  }

  #whyNot(error: unknown): string {
    return `The file ${this.#path} (${this.#setting}) cannot be read: ${asError(error).message}`;
  }
}

function stampOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [ino, size, mtimeNs, ctimeNs].join(' ');
}
