import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { nodeFileSystem } from '../../../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../../../lib/logs/file/file-system.js';
import type { Sink } from '../../../../lib/seams/sink.js';
import { AppendLog } from '../../../../lib/logs/file/append-log.js';
import { Reporter } from '../../../../lib/base/reporter.js';
import { buildWith, startWith } from '../../../helpers/running-forebay.js';
import { tempDir } from '../../../helpers/temp-dir.js';

const DOWN: Sink = { deliver: async () => Promise.reject(new Error('down')) };
const OPTIONS = { idWindowMs: 3_600_000, replayWaitMs: 0 };
const EVENT = { id: 'evt-1', type: 'click', data: 1 };

/** A directory with a batch file whose ids are in no segment, as a killed run leaves it. */
async function leftDirectory(t: Test): Promise<{ readonly logDir: string; readonly path: string }> {
  const logDir = tempDir(t);
  const { forebay } = buildWith(t, DOWN, { ...OPTIONS, logDir });
  await forebay.start();
  t.same(await forebay.write(EVENT), { duplicate: false });
  await forebay.stop(0);
  const window = join(logDir, 'id-window');
  for (const name of readdirSync(window)) if (name.startsWith('ids_')) rmSync(join(window, name));
  const [name = ''] = readdirSync(logDir).filter((each) => each.startsWith('batch_'));
  return { logDir, path: join(logDir, name) };
}

/** What each call hears of: the path of each open file. */
function watchedPaths(): { readonly fs: FileSystem; readonly paths: Map<number, string> } {
  const fs = Object.create(nodeFileSystem) as FileSystem;
  const paths = new Map<number, string>();
  Object.assign(fs, {
    open: (path: string, flags: string | number, ...rest: [number, Opened] | [Opened]) => {
      const done = rest.at(-1) as Opened;
      const mode = rest.length === 2 ? rest[0] : 0o666;
      nodeFileSystem.open(path, flags, mode, (error, fd) => {
        if (error === null) paths.set(fd, path);
        done(error, fd);
      });
    },
  });
  return { fs, paths };
}

const isCopyName = (name: string): boolean => /^forebay\.copy-[\da-f]{16}$/.test(name);
const isCopy = (path: string | undefined, dir: string): boolean =>
  path !== undefined && dirname(path) === dir && isCopyName(basename(path));
const copiesIn = (dir: string): string[] => readdirSync(dir).filter(isCopyName);

type Call = (...args: unknown[]) => void;
type Done = (error: Error | null) => void;
type Opened = (error: Error | null, fd: number) => void;

void t.test('an event that a killed run has left is a duplicate from the next start on', async (t) => {
  const { logDir, path } = await leftDirectory(t);
  const before = readFileSync(path);
  const { forebay } = await startWith(t, DOWN, { ...OPTIONS, logDir });
  t.same(await forebay.write(EVENT), { duplicate: true });
  t.same(readFileSync(path), before, 'and its file is as it was');
  t.same(copiesIn(logDir), []);
});

void t.test('a last line that has lost its line feed has its id', async (t) => {
  const { logDir, path } = await leftDirectory(t);
  truncateSync(path, readFileSync(path).length - 1);
  const { forebay } = await startWith(t, DOWN, { ...OPTIONS, logDir });
  t.same(await forebay.write(EVENT), { duplicate: true });
});

void t.test(
  'an event that cannot be made durable at a start is no duplicate, and the log says so',
  async (t) => {
    const { logDir, path } = await leftDirectory(t);
    const { fs, paths } = watchedPaths();
    const before = readFileSync(path);
    let failed = 0;
    Object.assign(fs, {
      fdatasync: (fd: number, done: Done) => {
        if (isCopy(paths.get(fd), logDir) && ++failed) done(new Error('EIO'));
        else nodeFileSystem.fdatasync(fd, done);
      },
    });
    const { forebay, said } = await startWith(t, DOWN, { ...OPTIONS, logDir, fs });
    t.equal(failed, 1);
    const text = `The ids in ${basename(path)} are forgotten: it cannot be read or made durable`;
    t.ok(said.some((each) => each.text === text));
    t.same(await forebay.write(EVENT), { duplicate: false });
    t.same(readFileSync(path), before);
    t.same(copiesIn(logDir), [], 'the copy is gone');
  },
);

void t.test('an event in a file that another server writes is no duplicate', async (t) => {
  const { logDir, path } = await leftDirectory(t);
  const { fs, paths } = watchedPaths();
  Object.assign(fs, {
    tryLock: (fd: number, isShared?: boolean) =>
      paths.get(fd) !== path && nodeFileSystem.tryLock(fd, isShared),
  });
  const { forebay } = await startWith(t, DOWN, { ...OPTIONS, logDir, fs });
  t.same(await forebay.write(EVENT), { duplicate: false });
});

void t.test(
  'a file that a killed run has left is replaced by a flushed copy before its ids are known: a flush of the name that has failed would not be made up for',
  async (t) => {
    const { logDir, path } = await leftDirectory(t);
    chmodSync(path, 0o600);
    const { ino } = statSync(path);
    const { fs, paths } = watchedPaths();
    const calls: string[] = [];
    const note = (what: string, of: string): void => {
      if (isCopy(of, logDir) || of === path || of === logDir)
        calls.push(`${what} ${isCopy(of, logDir) ? 'copy' : basename(of)}`);
    };
    let lockedAtRename: boolean | null = null;
    Object.assign(fs, {
      fdatasync: (fd: number, done: Done) => {
        note('flush', paths.get(fd) ?? '');
        nodeFileSystem.fdatasync(fd, done);
      },
      fsync: (fd: number, done: Done) => {
        note('flush', paths.get(fd) ?? '');
        nodeFileSystem.fsync(fd, done);
      },
      rename: (from: string, to: string, done: Done) => {
        note('rename', from);
        if (to === path) {
          const other = openSync(path, 'r+');
          lockedAtRename = !nodeFileSystem.tryLock(other);
          closeSync(other);
        }
        nodeFileSystem.rename(from, to, done);
      },
    });
    const { forebay } = await startWith(t, DOWN, { ...OPTIONS, logDir, fs });
    t.same(await forebay.write(EVENT), { duplicate: true });
    const first = calls.indexOf('flush copy');
    t.same(calls.slice(first, first + 3), ['flush copy', 'rename copy', `flush ${basename(logDir)}`]);
    t.equal(lockedAtRename, true, 'nobody writes the file meanwhile');
    t.not(statSync(path).ino, ino);
    t.equal(statSync(path).mode & 0o777, 0o600);
  },
);

void t.test('a file that cannot be replaced stays, and its events are no duplicates', async (t) => {
  for (const method of ['open', 'write', 'rename', 'gone'] as const) {
    const { logDir, path } = await leftDirectory(t);
    const before = readFileSync(path);
    const { fs, paths } = watchedPaths();
    const fail = (done: Done): void => {
      setImmediate(done, Object.assign(new Error('ENOSPC: a test'), { code: 'ENOSPC' }));
    };
    const real = { open: fs.open, write: fs.write, fdatasync: fs.fdatasync } as unknown as Record<
      string,
      Call
    >;
    Object.assign(fs, {
      open: (...args: unknown[]) => {
        if (method === 'open' && isCopy(String(args[0]), logDir)) fail(args.at(-1) as Done);
        else real['open']?.apply(fs, args);
      },
      write: (...args: unknown[]) => {
        if (method === 'write' && isCopy(paths.get(args[0] as number), logDir)) fail(args.at(-1) as Done);
        else real['write']?.apply(fs, args);
      },
      fdatasync: (...args: unknown[]) => {
        // a server that has lost the lock delivers it
        if (method === 'gone' && isCopy(paths.get(args[0] as number), logDir)) unlinkSync(path);
        real['fdatasync']?.apply(fs, args);
      },
      rename: (from: string, to: string, done: Done) => {
        if (method === 'rename' && to === path) fail(done);
        else nodeFileSystem.rename(from, to, done);
      },
    });
    const { forebay } = await startWith(t, DOWN, { ...OPTIONS, logDir, fs });
    t.same(await forebay.write(EVENT), { duplicate: false }, method);
    if (method === 'gone') t.notOk(existsSync(path), 'it does not come back');
    else t.same(readFileSync(path), before, method);
    t.same(copiesIn(logDir), [], method);
  }
});

void t.test('a flush of the names that fails makes no duplicates', async (t) => {
  const { logDir } = await leftDirectory(t);
  const { fs, paths } = watchedPaths();
  let isRenamed = false;
  Object.assign(fs, {
    rename: (from: string, to: string, done: Done) => {
      isRenamed ||= dirname(to) === logDir;
      nodeFileSystem.rename(from, to, done);
    },
    fsync: (fd: number, done: Done) => {
      if (isRenamed && paths.get(fd) === logDir) setImmediate(done, new Error('EIO'));
      else nodeFileSystem.fsync(fd, done);
      if (isRenamed) isRenamed = false;
    },
  });
  const { forebay, said } = await startWith(t, DOWN, { ...OPTIONS, logDir, fs });
  t.ok(said.some(({ text }) => text.startsWith('The ids of batches in ')));
  t.same(await forebay.write(EVENT), { duplicate: false });
});

void t.test('without flushes no file is replaced', async (t) => {
  const { logDir, path } = await leftDirectory(t);
  const { ino } = statSync(path);
  const { forebay } = await startWith(t, DOWN, { ...OPTIONS, logDir, fsync: 'never' });
  t.same(await forebay.write(EVENT), { duplicate: true });
  t.equal(statSync(path).ino, ino);
});

void t.test(
  'a copy that a killed run has left is deleted at the next start, and is no foreign file',
  async (t) => {
    for (const ids of [null, { sources: ['events'], windowMs: 3_600_000, idsMax: 10 }]) {
      const dir = tempDir(t);
      const window = join(dir, 'id-window');
      mkdirSync(window, { recursive: true });
      const dirs = ids === null ? [dir] : [dir, window];
      for (const each of dirs) writeFileSync(join(each, 'forebay.copy-0123456789abcdef'), 'half a li');
      const said: string[] = [];
      const say = (_fields: object, text: string): void => void said.push(text);
      const reporter = new Reporter({ debug: say, info: say, warn: say, error: say });
      const log = await AppendLog.open({ dir, fsync: 'always', reporter, ids });
      t.equal(log.leftoverBatches, 0);
      for (const each of dirs) t.same(copiesIn(each), []);
      t.same(said, []);
      await log.close();
    }
  },
);
