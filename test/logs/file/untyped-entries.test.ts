import {
  Dir,
  lstatSync,
  mkdirSync,
  opendir as openNodeDir,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type { Dirent, OpenDirOptions } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { AppendLog } from '../../../lib/logs/file/append-log.js';
import {
  deadLetterFiles,
  isDeadLetterFile,
  newestDeadLetterFiles,
} from '../../../lib/logs/file/aside/letter-files.js';
import { oldestBatches } from '../../../lib/logs/file/directory-listing.js';
import { survey } from '../../../lib/logs/file/survey.js';
import { filesIn } from '../../../lib/logs/file/plain-files.js';
import { BLOCK_BYTES } from '../../../lib/logs/file/disk-blocks.js';
import type { FileSystem } from '../../../lib/logs/file/file-system.js';
import { sumsOfBatches } from '../../../lib/logs/file/sealed-files.js';
import { Reporter } from '../../../lib/base/reporter.js';
import { listDirectory, listQuarantine } from '../../../tools/log/log-directory.js';
import { toolFileSystem } from '../../../tools/log/tool-file-system.js';
import { leftName } from '../../helpers/left-files.js';
import { tempDir } from '../../helpers/temp-dir.js';

/** As many as Node.js asks for at once. */
const AT_ONCE = 32;
const FILES = 3 * AT_ONCE;
const RUN = {
  sizes: new Map<string, number>(),
  uncut: new Map<string, number>(),
  newestLeftover: null,
  openedMs: 0,
};

type Opened = (error: Error | null, dir: Dir) => void;

/**
 * A directory on a file system that does not say what an entry is, as Node.js lists it: it asks for some entries at a
 * time, and if one is gone it fails, and those behind it are forgotten.
 */
class UntypedDir {
  readonly #dir: string;
  readonly #atOnce: number;
  readonly #names: string[];
  readonly #buffered: Pick<Dirent, 'name' | 'isFile'>[] = [];
  isOpen = true;

  constructor(dir: string, atOnce: number) {
    this.#dir = dir;
    this.#atOnce = atOnce;
    this.#names = readdirSync(dir);
  }

  async read(): Promise<Pick<Dirent, 'name' | 'isFile'> | null> {
    if (this.#buffered.length === 0) {
      for (const name of this.#names.splice(0, this.#atOnce)) {
        const stats = lstatSync(join(this.#dir, name));
        this.#buffered.push({ name, isFile: () => stats.isFile() });
      }
    }
    return Promise.resolve(this.#buffered.shift() ?? null);
  }

  async close(): Promise<void> {
    this.isOpen = false;
    return Promise.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Pick<Dirent, 'name' | 'isFile'>, void, undefined> {
    try {
      for (let entry = await this.read(); entry !== null; entry = await this.read()) yield entry;
    } finally {
      await this.close();
    }
  }
}

/** All that were opened. */
const opened: UntypedDir[] = [];

/** A file system of such directories: `goes` is deleted each time that its folder was opened. */
function untyped(goes: string | null): typeof toolFileSystem {
  const opendir = (path: string, ...rest: [OpenDirOptions, Opened] | [Opened]): void => {
    const [first] = rest;
    const answer = rest.at(-1);
    let dir: UntypedDir;
    try {
      dir = new UntypedDir(path, typeof first === 'function' ? AT_ONCE : (first.bufferSize ?? AT_ONCE));
    } catch (error) {
      setImmediate(answer as (error: unknown) => void, error);
      return;
    }
    opened.push(dir);
    if (goes !== null) rmSync(goes, { force: true });
    setImmediate(answer as (error: null, dir: object) => void, null, dir);
  };
  return Object.create(toolFileSystem, { opendir: { value: opendir } }) as typeof toolFileSystem;
}

/** A folder with files named like batches, one of which goes while they are listed. */
function filled(t: Test, folder = ''): { dir: string; left: string[]; fs: typeof toolFileSystem } {
  const dir = tempDir(t);
  const inner = join(dir, folder);
  mkdirSync(inner, { recursive: true });
  const names = Array.from({ length: FILES }, (_each, n) => leftName(n + 1));
  for (const name of names) writeFileSync(join(inner, name), '12345');
  const gone = readdirSync(inner)[AT_ONCE + 5] ?? '';
  const fs = untyped(join(inner, gone));
  return { dir, left: names.filter((name) => name !== gone), fs };
}

const all = (): boolean => true;

void t.test('a file that goes hides no other from a start', async (t) => {
  const { dir, left, fs } = filled(t);
  writeFileSync(join(dir, 'notes.txt'), '');
  const { batches, bytes, sizes, newest, remarks } = await survey(fs, dir);
  t.same(
    { batches, bytes, newest },
    { batches: left.length, bytes: BLOCK_BYTES * left.length, newest: left.at(-1) },
  );
  t.same([...sizes.keys()].toSorted(), left.toSorted());
  t.match(remarks, [{ code: 'FOREIGN_FILE', text: /^Not a batch file, left alone: .*notes.txt$/ }]);
});

void t.test('nor from delivery', async (t) => {
  for (const most of [1000, 10]) {
    const { dir, left, fs } = filled(t);
    const oldest = await oldestBatches(fs, dir, all, most);
    t.same(
      oldest.map(({ name }) => name),
      left.slice(0, most),
    );
  }
  const summed = filled(t);
  t.match(await sumsOfBatches(summed.fs, summed.dir, all, RUN), {
    batches: FILES - 1,
    bytes: BLOCK_BYTES * (FILES - 1),
  });
  const { dir, left, fs } = filled(t);
  const log = await AppendLog.open({ fs, dir, fsync: 'never', reporter: new Reporter() });
  t.teardown(() => log.close());
  t.same(
    (await log.list(null, 1000)).map(({ name }) => name),
    left,
  );
});

void t.test('nor among the dead letters', async (t) => {
  const listed = filled(t, 'dead-letters');
  t.same(await deadLetterFiles(listed.fs, listed.dir), listed.left);
  const newest = filled(t, 'dead-letters');
  t.same(await newestDeadLetterFiles(newest.fs, newest.dir, 50), newest.left.toReversed().slice(0, 50));
  const counted = filled(t, 'dead-letters');
  t.same(await filesIn(counted.fs, join(counted.dir, 'dead-letters'), isDeadLetterFile), {
    files: FILES - 1,
    bytes: 5 * (FILES - 1),
  });
});

void t.test('nor from the log tool', async (t) => {
  const { dir, left, fs } = filled(t);
  t.match(await listDirectory(fs, dir), { batches: left, foreign: [] });
  const aside = filled(t, 'quarantine');
  t.same(
    (await listQuarantine(aside.fs, aside.dir)).map(({ name }) => name),
    aside.left.map((name) => `quarantine/${name}`).toSorted(),
  );
});

void t.test('a folder that is gone ends a listing', async (t) => {
  const { dir } = filled(t, 'dead-letters');
  const fs = untyped(null);
  t.same(await deadLetterFiles(fs, join(dir, 'none')), []);
  t.same(await listQuarantine(fs, dir), []);
  await t.rejects(survey(fs, join(dir, 'none')), { code: 'ENOENT' });
  await t.rejects(listDirectory(fs, join(dir, 'none')), { code: 'LOG_DIR_UNUSABLE' });
  // one that is deleted while it is listed: the system says so at each further call
  const deleted = Object.assign(new Error('ENOENT'), { code: 'ENOENT', syscall: 'scandir' });
  const failing = {
    read: async () => Promise.reject(deleted),
    close: async () => Promise.resolve(),
    async *[Symbol.asyncIterator]() {
      yield await Promise.reject(deleted);
    },
  };
  const opendir = (_path: string, ...rest: unknown[]): void => {
    setImmediate(rest.at(-1) as (error: null, dir: object) => void, null, failing);
  };
  const gone = Object.create(toolFileSystem, { opendir: { value: opendir } }) as FileSystem;
  t.same(await deadLetterFiles(gone, dir), []);
  await t.rejects(survey(gone, dir), { code: 'ENOENT' });
});

interface NodeDir {
  processReadResult?(this: Dir, path: string, result: (string | number)[]): void;
}

void t.test(
  'the same with the directories of Node.js itself, told that the types are unknown',
  { skip: 'processReadResult' in Dir.prototype ? false : 'this Node.js lists them otherwise' },
  async (t) => {
    const { dir, left } = filled(t);
    const gone = leftName(FILES + 1);
    const inNode: Dir & NodeDir = Dir.prototype;
    const opendir = (path: string, ...rest: unknown[]): void => {
      writeFileSync(join(dir, gone), '');
      const done = rest.at(-1) as Opened;
      (openNodeDir as (...args: unknown[]) => void)(
        path,
        ...rest.slice(0, -1),
        (error: Error | null, handle: Dir) => {
          if (error !== null) {
            done(error, handle);
            return;
          }
          const native: Dir & NodeDir = handle;
          native.processReadResult = (from, result) => {
            rmSync(join(dir, gone), { force: true });
            const unknown = result.map((each, index) => (index % 2 === 1 ? 0 : each));
            inNode.processReadResult?.call(native, from, unknown);
          };
          done(error, handle);
        },
      );
    };
    const fs = Object.create(toolFileSystem, { opendir: { value: opendir } }) as FileSystem;
    const there = [...left, ...readdirSync(dir).filter((name) => !left.includes(name))].toSorted();
    t.same((await oldestBatches(fs, dir, all, 1000)).map(({ name }) => name).toSorted(), there);
    t.equal((await survey(fs, dir)).batches, FILES);
  },
);

void t.test('each listing was closed', (t) => {
  t.ok(opened.length > 10);
  t.ok(opened.every(({ isOpen }) => !isOpen));
  t.end();
});
