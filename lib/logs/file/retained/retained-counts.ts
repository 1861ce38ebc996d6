import { join } from 'node:path';
import type { Reporter } from '../../../base/reporter.js';
import { count } from '../../../base/words.js';
import type { RetainedUsage } from '../../../seams/retention.js';
import { diskBytes } from '../disk-blocks.js';
import type { FileSystem } from '../file-system.js';
import { SIZES_AT_ONCE, sizesOf } from '../plain-files.js';
import { lookAtRetained } from './retained-listing.js';
import { RETAINED } from './retained-name.js';

/** A line of a kind comes at most this often, in milliseconds. */
const QUIET_MS = 60_000;
/** Sizes are read beside everything else: after each part this is how long nothing is read, in milliseconds. */
const REST_MS = 5;

/** How many retained files there are, what became of others, and what the log says about it. */
export class RetainedCounts {
  /** `null` until they were counted. */
  files: number | null = null;
  bytes: number | null = null;
  readonly deleted: Record<keyof RetainedUsage['deleted'], number> = { age: 0, size: 0, disk: 0 };
  deletedBytes = 0;
  /** Settled files that could not be kept. */
  unkept = 0;
  readonly #fs: FileSystem;
  readonly #logDir: string;
  readonly #reporter: Reporter;
  /** Files on their way into the folder. */
  readonly #coming = new Set<string>();
  /** Files that have come since the running look started, or were on their way then: the look may meet them, or not. */
  #since: Map<string, number> | null = null;
  #isStopped = false;
  /** Deleted for want of room, and not reported yet. */
  #gone = { files: 0, bytes: 0 };
  #saidGoneMs = -Infinity;
  #saidFailedMs = -Infinity;
  #unsaid = 0;

  constructor(fs: FileSystem, logDir: string, reporter: Reporter) {
    this.#fs = fs;
    this.#logDir = logDir;
    this.#reporter = reporter;
  }

  adds(file: string): void {
    this.#coming.add(file);
    this.#since?.set(file, 0);
  }

  /** @param bytes its size on disk; `null`: it has not come */
  added(file: string, bytes: number | null): void {
    this.#coming.delete(file);
    if (bytes === null) {
      this.#since?.delete(file);
      return;
    }
    this.#since?.set(file, bytes);
    if (this.files !== null) this.files++;
    if (this.bytes !== null) this.bytes += bytes;
  }

  deletedOne(why: keyof RetainedUsage['deleted'], bytes: number): void {
    this.deleted[why]++;
    this.deletedBytes += bytes;
    if (this.files !== null) this.files = Math.max(0, this.files - 1);
    if (this.bytes !== null) this.bytes = Math.max(0, this.bytes - bytes);
    if (why === 'disk') this.#gone = { files: this.#gone.files + 1, bytes: this.#gone.bytes + bytes };
  }

  /** A file has become larger, or smaller. */
  changed(bytes: number): void {
    if (this.bytes !== null) this.bytes = Math.max(0, this.bytes + bytes);
  }

  /**
   * Counts all files. There may be hundreds of thousands.
   *
   * @param met gets each with its size on disk, but those that come meanwhile
   * @throws the system's error
   */
  async look(met: (file: string, bytes: number) => void): Promise<void> {
    const since = new Map([...this.#coming].map((file) => [file, 0]));
    this.#since = since;
    try {
      const sums = await lookAtRetained(this.#fs, this.#logDir, async (all) => {
        let [files, bytes] = [0, 0];
        let names: string[] = [];
        const measure = async (): Promise<void> => {
          const sizes = await sizesOf(this.#fs, join(this.#logDir, RETAINED), names);
          for (const [index, size] of sizes.entries()) {
            if (size === null) continue;
            files++;
            bytes += diskBytes(size);
            met(names[index] ?? '', diskBytes(size));
          }
          names = [];
        };
        for await (const { file } of all) {
          if (this.#isStopped) break;
          if (since.has(file) || names.push(file) < SIZES_AT_ONCE) continue;
          await measure();
          await new Promise((resolve) => {
            setTimeout(resolve, REST_MS);
          });
        }
        await measure();
        return { files, bytes };
      });
      if (this.#isStopped) return;
      const [...come] = [...since].filter(([file]) => !this.#coming.has(file));
      this.files = sums.files + come.length;
      this.bytes = come.reduce((sum, [, bytes]) => sum + bytes, sums.bytes);
    } finally {
      this.#since = null;
    }
  }

  /** Ends a running look. */
  stop(): void {
    this.#isStopped = true;
    this.#saidGoneMs = -Infinity;
    this.report();
  }

  notKept(name: string, error: Error): void {
    this.unkept++;
    this.failed(`take ${name}, which is delivered and was deleted`, error);
  }

  failed(what: string, error: Error): void {
    this.#unsaid++;
    const nowMs = performance.now();
    if (nowMs - this.#saidFailedMs < QUIET_MS) return;
    const times = this.#unsaid === 1 ? '' : ` (${count(this.#unsaid, 'failure')} since the last line)`;
    this.#reporter.error('RETENTION_FAILED', `${this.#place} could not ${what}${times}`, error);
    this.#saidFailedMs = nowMs;
    this.#unsaid = 0;
  }

  /** Says what went for want of room. */
  report(): void {
    const { files, bytes } = this.#gone;
    const nowMs = performance.now();
    if (files === 0 || nowMs - this.#saidGoneMs < QUIET_MS) return;
    const text = `The disk has no room: ${count(files, 'retained file')} of ${count(bytes, 'byte')} went before their time, oldest first`;
    this.#reporter.warn('RETENTION_SHORT', `${text} (${this.#place})`);
    this.#saidGoneMs = nowMs;
    this.#gone = { files: 0, bytes: 0 };
  }

  get #place(): string {
    return join(this.#logDir, RETAINED);
  }
}
