import type { Batch } from '../../seams/batch.js';
import { asError, ForebayError, systemCode } from '../../base/errors.js';
import { silentLogger, unthrowing } from '../../base/reporter.js';
import type { Logger } from '../../base/reporter.js';
import { Compressor } from './compressor.js';
import { LineFile } from './line-file.js';
import { RotatedNames } from './rotated-names.js';
import { nodeFiles } from './sink-files.js';
import type { SinkFiles } from './sink-files.js';
import type { Sink, SinkDescription } from '../../seams/sink.js';
import { untilAborted } from '../until-aborted.js';

export interface FileSinkOptions {
  /** Before a batch would make the file larger than this, it is rotated; `null`: never. */
  readonly rotateBytes?: number | null;
  /** So long after its first batch the file is rotated, in milliseconds, whether or not more batches come. */
  readonly rotateAfterMs?: number | null;
  /** Whether rotated files are compressed. */
  readonly gzip?: boolean;
  /** Told what goes wrong beside delivery. */
  readonly logger?: Logger;
  readonly fs?: SinkFiles;
}

/** So often a batch is written again at once, if its file is replaced, moved or cut meanwhile. */
const TRIES_MAX = 3;
/** A rotation that fails while no batch comes is tried again after so long, in milliseconds. */
const IDLE_RETRY_MS = 60_000;

/**
 * Appends every delivered event to a file, one a line, and confirms when they are flushed and the file has its name
 * still. If someone has deleted, moved or replaced it, the batch goes to the file that has the name now, or a new one. A
 * file that is large or old enough is rotated: it gets a name with the time (rotated-names.ts), a new one takes its place, and the directory is
 * flushed before anything in the new one is confirmed. No batch is split, nothing is ever deleted.
 *
 * A rotation that fails is a failed attempt of the batch that waits for it. Compressing goes on beside delivery.
 */
export class FileSink implements Sink {
  readonly description: SinkDescription;
  readonly #path: string;
  readonly #fs: SinkFiles;
  readonly #logger: Logger;
  readonly #rotateBytes: number;
  readonly #rotateAfterMs: number | null;
  #names: RotatedNames;
  readonly #compressor: Compressor | null;
  #file: LineFile;
  /** The name that `#file` has, where a rotation has failed before a new file was in its place. */
  #movedTo: string | null = null;
  /** Whether the file is so old that it is to be rotated. */
  #isDue = false;
  #timer: NodeJS.Timeout | undefined;
  /** One write after another, also where batches come side by side. */
  #turn: Promise<void> = Promise.resolve();

  /** @throws ForebayError `SINK_UNUSABLE`; `SETTING_INVALID` if the logger is none */
  static async open(path: string, options: FileSinkOptions = {}): Promise<FileSink> {
    const { fs = nodeFiles, gzip = false } = options;
    const logger = unthrowing(options.logger ?? silentLogger);
    let file: LineFile | undefined;
    try {
      file = await LineFile.open(fs, path);
      const names = new RotatedNames(fs, file.path);
      const { plain, unfinished } = await names.left();
      // one that cannot be taken away hurts nobody: it is written over
      for (const each of unfinished) await fs.unlink(each).catch(() => undefined);
      const compressor = gzip ? new Compressor(fs, logger) : null;
      for (const each of plain) compressor?.add(each);
      return new FileSink(path, file, names, compressor, { ...options, logger });
    } catch (error) {
      await file?.close();
      throw new ForebayError('SINK_UNUSABLE', {
        message: `The sink file ${path} cannot be used: ${asError(error).message}`,
        cause: error,
      });
    }
  }

  private constructor(
    path: string,
    file: LineFile,
    names: RotatedNames,
    compressor: Compressor | null,
    { fs = nodeFiles, logger, rotateBytes, rotateAfterMs }: FileSinkOptions & { readonly logger: Logger },
  ) {
    this.description = { kind: 'file', target: file.path };
    this.#path = path;
    this.#file = file;
    this.#names = names;
    this.#compressor = compressor;
    this.#fs = fs;
    this.#logger = logger;
    this.#rotateBytes = rotateBytes ?? Infinity;
    this.#rotateAfterMs = rotateAfterMs ?? null;
    if (file.size > 0) this.#startPeriod(file.createdMs);
  }

  async deliver(batch: Batch, signal: AbortSignal): Promise<void> {
    const turn = this.#turn.then(() => {
      signal.throwIfAborted();
      return this.#append(batch.bytes);
    });
    this.#turn = turn.catch(() => undefined);
    await untilAborted(turn, signal);
  }

  /** For who has moved the file away, as `logrotate` does: the next batch goes to a new one. */
  async reload(): Promise<void> {
    const turn = this.#turn.then(() => this.#openAgain());
    this.#turn = turn.catch(() => undefined);
    await turn;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#turn;
    clearTimeout(this.#timer); // a rotation that failed meanwhile has set it
    await this.#compressor?.close();
    await this.#file.close();
  }

  /** Until the file that has the name holds it: who deletes, replaces or cuts the file may do so at any moment. */
  async #append(bytes: Buffer): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      await this.#prepare(bytes.length);
      const isThere = await this.#file.append(bytes);
      if (this.#file.size === bytes.length) this.#startPeriod(Date.now());
      if (isThere) return;
    }
    throw new Error(`${this.#path} was replaced, moved or cut while the batch was written to it, each time`);
  }

  /** Finds the file that has the name, with room for so many bytes. */
  async #prepare(bytes: number): Promise<void> {
    if (this.#movedTo === null && !(await this.#file.look())) await this.#reopen();
    const { size } = this.#file;
    const isRipe = size > 0 && (this.#isDue || size + bytes > this.#rotateBytes);
    if (isRipe || this.#movedTo !== null) await this.#rotate();
  }

  /** Goes on with the file that has the name now; makes one if there is none. */
  async #reopen(): Promise<void> {
    const next = await LineFile.open(this.#fs, this.#path);
    if (next.path !== this.#file.path) {
      this.#names = new RotatedNames(this.#fs, next.path);
      await this.#names.left();
    }
    await this.#goOnWith(next);
    if (next.size > 0) this.#startPeriod(next.createdMs);
    const text = `${this.#path} was moved, replaced or deleted by someone else; batches go to the file that has the name now`;
    this.#logger.warn({ code: 'SINK_FILE_REPLACED' }, text);
  }

  async #openAgain(): Promise<void> {
    if (this.#movedTo !== null) return this.#rotate();
    try {
      await this.#file.finish();
      if (await this.#file.isAt(this.#fs, this.#path)) return;
      const last = this.#file;
      this.#file = await LineFile.open(this.#fs, this.#path);
      await last.close().catch(() => undefined);
    } catch (error) {
      throw new Error(`${this.#path} could not be opened again: ${asError(error).message}`, { cause: error });
    }
    clearTimeout(this.#timer);
    this.#isDue = false;
    if (this.#file.size > 0) this.#startPeriod(this.#file.createdMs);
  }

  /** After a failure all of it is done again under a new name: a flush that has failed leaves names in doubt. */
  async #rotate(): Promise<void> {
    const { path } = this.#file;
    try {
      await this.#file.finish();
      const rotated = await this.#names.next();
      try {
        await this.#fs.rename(this.#movedTo ?? path, rotated);
        this.#movedTo = rotated;
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw error; // someone has taken it away: it is where they want it
      }
      await this.#goOnWith(await LineFile.open(this.#fs, this.#path, path));
    } catch (error) {
      throw new Error(`${this.#path} could not be rotated: ${asError(error).message}`, { cause: error });
    }
    if (this.#movedTo === null) return;
    this.#logger.debug({}, `Rotated sink file: ${this.#movedTo}`);
    this.#compressor?.add(this.#movedTo);
    this.#movedTo = null;
  }

  /** Of the last file everything is flushed that was confirmed. */
  async #goOnWith(next: LineFile): Promise<void> {
    const last = this.#file;
    this.#file = next;
    clearTimeout(this.#timer);
    this.#isDue = false;
    await last.finish().catch(() => undefined);
    await last.close().catch(() => undefined);
  }

  /** The file has had its first batch then, in milliseconds since 1970. */
  #startPeriod(firstMs: number): void {
    if (this.#rotateAfterMs === null) return;
    this.#isDue = false;
    const ageMs = Math.max(0, Date.now() - firstMs); // the clock may have been ahead
    this.#wait(Math.max(0, this.#rotateAfterMs - ageMs));
  }

  #wait(waitMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isDue = true;
      this.#turn = this.#turn
        .then(() => (this.#isDue ? this.#prepare(0) : undefined))
        .catch((error: unknown) => {
          this.#logger.warn({ code: 'SINK_FILE_FAILED' }, `${asError(error).message}; it is tried again`);
          this.#wait(IDLE_RETRY_MS);
        });
    }, waitMs).unref();
  }
}
