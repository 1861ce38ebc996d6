import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { ID_WORDS } from '../../../event/event-ids.js';
import { call, callVoid, flushDirectory, writeAll } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { recordLine, segmentHead } from './id-record.js';
import type { IdRecord } from './id-record.js';

/** What is known of a segment. */
export class SegmentSums {
  readonly name: string;
  /** How many ids it has of each source. */
  readonly #ids = new Map<string, number>();
  /** When its newest ids came, in milliseconds since 1970. */
  newestMs = 0;

  constructor(name: string) {
    this.name = name;
  }

  get sources(): readonly string[] {
    return [...this.#ids.keys()];
  }

  get ids(): number {
    let all = 0;
    for (const ids of this.#ids.values()) all += ids;
    return all;
  }

  idsOf(source: string): number {
    return this.#ids.get(source) ?? 0;
  }

  add({ atMs, ids }: IdRecord): void {
    for (const [source, words] of ids) this.#ids.set(source, this.idsOf(source) + words.length / ID_WORDS);
    this.newestMs = Math.max(this.newestMs, atMs);
  }
}

/** The segment that is being written. After a failed write or flush nothing more may be appended. */
export class SegmentFile extends SegmentSums {
  readonly #openedMs = performance.now();
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #fd: number;
  readonly #flushes: boolean;
  #bytes = 0;

  private constructor(fs: FileSystem, path: string, name: string, fd: number, flushes: boolean) {
    super(name);
    this.#fs = fs;
    this.#path = path;
    this.#fd = fd;
    this.#flushes = flushes;
  }

  static async create(fs: FileSystem, path: string, name: string, flushes: boolean): Promise<SegmentFile> {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (flushes ? fs.dsync : 0);
    const fd = await call<number>((done) => {
      fs.open(path, flags, 0o640, done);
    });
    return new SegmentFile(fs, path, name, fd, flushes);
  }

  get ageMs(): number {
    return performance.now() - this.#openedMs;
  }

  /** Resolves when they outlive their files. @throws the system's error */
  async append(records: readonly IdRecord[], secretCheck: string): Promise<void> {
    const fs = this.#fs;
    const fd = this.#fd;
    const isNew = this.#bytes === 0;
    const lines = [...(isNew ? [segmentHead(secretCheck)] : []), ...records.map(recordLine)];
    const [only] = lines;
    const bytes = only !== undefined && lines.length === 1 ? only : Buffer.concat(lines);
    await writeAll(fs, fd, bytes, this.#bytes);
    if (this.#flushes && fs.dsync === 0) {
      await callVoid((done) => {
        fs.fdatasync(fd, done);
      });
    }
    if (isNew && this.#flushes) await flushDirectory(fs, dirname(this.#path));
    this.#bytes += bytes.length;
    for (const record of records) this.add(record);
  }

  /** Never rejects: what was appended is flushed. */
  async close(): Promise<void> {
    await callVoid((done) => {
      this.#fs.close(this.#fd, done);
    }).catch(() => undefined);
  }
}
