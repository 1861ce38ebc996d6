import type { Batch } from '../../seams/batch.js';
import { asError, ForebayError } from '../../base/errors.js';
import { silentLogger, unthrowing } from '../../base/reporter.js';
import type { Logger } from '../../base/reporter.js';
import { LineFile, nodeFiles } from './line-file.js';
import type { SinkFiles } from './line-file.js';
import type { Sink, SinkDescription } from '../../seams/sink.js';
import { untilAborted } from '../deadline.js';

export interface FileSinkOptions {
  /** Gets a warning if the file was replaced. */
  readonly logger?: Logger;
  readonly fs?: SinkFiles;
}

/** How often a batch is written again at once if its file is replaced, moved or cut meanwhile. */
const TRIES_MAX = 3;

/**
 * Appends every delivered event to a file, one a line. A batch is confirmed when its lines are flushed and the file still
 * has its name. If someone has moved, deleted or replaced the file, the batch goes to the file that has the name now, or
 * to a new one. So other programs rotate it, such as `logrotate` (docs/decisions/058-no-rotation.md).
 */
export class FileSink implements Sink {
  readonly description: SinkDescription;
  readonly #path: string;
  readonly #fs: SinkFiles;
  readonly #logger: Logger;
  #file: LineFile;
  /** One write after another, also if batches come side by side. */
  #turn: Promise<void> = Promise.resolve();

  /** @throws ForebayError `SINK_UNUSABLE`; `SETTING_INVALID` if the logger is none */
  static async open(path: string, options: FileSinkOptions = {}): Promise<FileSink> {
    const { fs = nodeFiles, logger = silentLogger } = options;
    const safe = unthrowing(logger);
    try {
      return new FileSink(path, await openFile(fs, path), fs, safe);
    } catch (cause) {
      throw new ForebayError('SINK_UNUSABLE', { message: asError(cause).message, cause });
    }
  }

  private constructor(path: string, file: LineFile, fs: SinkFiles, logger: Logger) {
    this.description = { kind: 'file', target: file.path };
    this.#path = path;
    this.#file = file;
    this.#fs = fs;
    this.#logger = logger;
  }

  async deliver({ bytes }: Batch, signal: AbortSignal): Promise<void> {
    const turn = this.#inTurn(async () => {
      signal.throwIfAborted();
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        if (await this.#reopen()) {
          const text = `${this.#path} was moved, replaced or deleted by someone else; batches go to the file that has the name now`;
          this.#logger.warn({ code: 'SINK_FILE_REPLACED' }, text);
        }
        if (await this.#file.append(bytes)) return;
      }
      throw new Error(
        `${this.#path} was replaced, moved or cut while the batch was written to it, each time`,
      );
    });
    await untilAborted(turn, signal);
  }

  /** For programs that move the file away: it is let go, and the next batch goes to the file that has the name now. */
  async reload(): Promise<void> {
    await this.#inTurn(() => this.#reopen());
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#file.close();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  /** Finds the file that has the name, or creates one. @returns whether it is another one than before */
  async #reopen(): Promise<boolean> {
    if (await this.#file.look()) return false;
    const last = this.#file;
    this.#file = await openFile(this.#fs, this.#path);
    // everything that was confirmed is flushed
    await last.finish().catch(() => undefined);
    await last.close().catch(() => undefined);
    return true;
  }
}

async function openFile(fs: SinkFiles, path: string): Promise<LineFile> {
  try {
    return await LineFile.open(fs, path);
  } catch (cause) {
    throw new Error(`The sink file ${path} cannot be used: ${asError(cause).message}`, { cause });
  }
}
