import { readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { nodeFileSystem } from '../../../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../../../lib/logs/file/file-system.js';
import type { Sink } from '../../../../lib/seams/sink.js';
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

type Opened = (error: Error | null, fd: number) => void;

void t.test('an event that a killed run has left is a duplicate from the next start on', async (t) => {
  const { logDir, path } = await leftDirectory(t);
  const before = readFileSync(path);
  const { forebay } = await startWith(t, DOWN, { ...OPTIONS, logDir });
  t.same(await forebay.write(EVENT), { duplicate: true });
  t.same(readFileSync(path), before, 'and its file is as it was');
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
    let written = 0;
    Object.assign(fs, {
      write: (...args: Parameters<typeof nodeFileSystem.write>) => {
        if (paths.get(args[0]) === path) written++;
        nodeFileSystem.write(...args);
      },
      fdatasync: (fd: number, done: (error: Error | null) => void) => {
        if (paths.get(fd) === path) done(new Error('EIO'));
        else nodeFileSystem.fdatasync(fd, done);
      },
    });
    const { forebay, said } = await startWith(t, DOWN, { ...OPTIONS, logDir, fs });
    t.equal(written, 1, 'it is written once more, as a flush after a failed one would not do it');
    t.ok(said.some(({ text }) => text === `The ids in ${basename(path)} are forgotten: it cannot be read`));
    t.same(await forebay.write(EVENT), { duplicate: false });
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
