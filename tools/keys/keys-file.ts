import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { asError, ForebayError } from '../../lib/base/errors.js';
import { parseKeys } from '../../lib/keys/key-line.js';
import type { KeyLine } from '../../lib/keys/key-line.js';
import { unlink } from '../../lib/logs/file/closing.js';
import { call, callVoid, flushDirectory, statsOf, writeAll } from '../../lib/logs/file/file-system.js';
import { flush, statsOfOpen, withFile } from '../log/tool-file-system.js';
import type { ToolFileSystem } from '../log/tool-file-system.js';

/** For its owner alone. An existing file keeps its owner and its rights. */
const MODE = 0o600;
const NEW = '.new';
/** How long another run may change the file, and how often it is asked for, in milliseconds. */
const LOCK_WAIT_MS = 10_000;
const LOCK_LOOK_MS = 10;

const { O_RDWR, O_CREAT } = constants;

/** The content of the keys file. */
export interface Content {
  readonly text: string;
  readonly keys: readonly KeyLine[];
}

/** The keys file, as the tool changes it: whole or not at all, one run at a time. */
export class KeysFile {
  readonly path: string;
  readonly #fs: ToolFileSystem;

  constructor(fs: ToolFileSystem, path: string) {
    this.#fs = fs;
    this.path = path;
  }

  /** @throws ForebayError `KEYS_FILE_FAILED` */
  async read(): Promise<Content> {
    return this.#named('read', () => this.#contentOf(this.path));
  }

  /**
   * Changes the file. Waits for other runs of the tool. If it is killed, the file is as before or as after.
   *
   * @param isCreated whether a missing file is created
   * @param change returns the new text, `null` to leave the file as it is
   * @param prepared called when the new text is on the device, before it takes the place of the old one
   * @throws ForebayError of `change`; otherwise `KEYS_FILE_FAILED`: the file is as before then, unless only its name
   * could not be flushed
   */
  async change(
    isCreated: boolean,
    change: (content: Content) => string | null,
    prepared: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    await this.#named('changed', () =>
      this.#exclusively(isCreated, async (path, stats) => {
        const text = change(await this.#contentOf(path));
        if (text !== null) await this.#replace(path, text, stats, prepared);
      }),
    );
  }

  async #contentOf(path: string): Promise<Content> {
    const text = await call<string>((done) => {
      this.#fs.readFile(path, 'utf8', done);
    });
    try {
      return { text, keys: parseKeys(text) };
    } catch (error) {
      throw new Error(asError(error).message, { cause: error }); // a wrong line is no wrong flag
    }
  }

  /** Locks the file itself. Each change replaces it, so the lock counts only while the file has its name. */
  async #exclusively(isCreated: boolean, work: (path: string, stats: Stats) => Promise<void>): Promise<void> {
    const fs = this.#fs;
    const endMs = performance.now() + LOCK_WAIT_MS;
    const tryOnce = async (fd: number): Promise<boolean> => {
      if (!fs.tryLock(fd)) return false;
      const stats = await statsOfOpen(fs, fd);
      // the file, not a link to it, is replaced
      const path = await call<string>((done) => {
        fs.realpath(this.path, done);
      });
      if ((await statsOf(fs, path))?.ino !== stats.ino) return false;
      await work(path, stats);
      return true;
    };
    while (!(await withFile(fs, this.path, isCreated ? O_RDWR | O_CREAT : O_RDWR, tryOnce, MODE))) {
      if (performance.now() > endMs) throw new Error('another run of this tool changes it');
      await sleep(LOCK_LOOK_MS);
    }
  }

  async #replace(
    path: string,
    text: string,
    { uid, gid, mode }: Stats,
    prepared: () => Promise<void>,
  ): Promise<void> {
    const fs = this.#fs;
    const next = path + NEW;
    await unlink(fs, next); // left by a run that was killed
    try {
      const write = async (fd: number): Promise<void> => {
        const own = await statsOfOpen(fs, fd);
        if (own.uid !== uid || own.gid !== gid)
          await callVoid((done) => {
            fs.fchown(fd, uid, gid, done);
          });
        await callVoid((done) => {
          fs.fchmod(fd, mode & 0o777, done);
        });
        await writeAll(fs, fd, Buffer.from(text), 0);
        await flush(fs, fd);
      };
      await withFile(fs, next, 'wx', write, MODE);
      await prepared();
      await callVoid((done) => {
        fs.rename(next, path, done);
      });
    } catch (error) {
      await unlink(fs, next).catch(() => undefined);
      throw error;
    }
    await flushDirectory(fs, dirname(path));
  }

  /** Names the file in what the system throws. */
  async #named<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ForebayError) throw error;
      const message = `The file ${this.path} cannot be ${what}: ${asError(error).message}`;
      throw new ForebayError('KEYS_FILE_FAILED', { message, cause: error });
    }
  }
}
