import {
  cpSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { isBatchName } from '../../../lib/logs/file/batch-name.js';
import { health, readiness } from '../../../lib/door/probes.js';
import { heldDisk } from '../../helpers/held-disk.js';
import { batchFiles } from '../../helpers/left-files.js';
import { addsUp, codeOf, eventText, idsOf, startForebay, until } from '../../helpers/running-forebay.js';
import type { RunningForebay } from '../../helpers/running-forebay.js';
import { tempDir } from '../../helpers/temp-dir.js';

const LOST = 'LOG_DIR_LOST';

/** All that was delivered by any of these, each id once. */
function delivered(...servers: readonly RunningForebay[]): string[] {
  return [...new Set(servers.flatMap(({ sink }) => idsOf(sink.lines)))].toSorted();
}

/** A second server on the directory, after a cleaner has removed the lock file. */
async function secondServer(t: Test, dir: string): Promise<RunningForebay> {
  rmSync(join(dir, 'forebay.lock'));
  return startForebay(t, { logDir: dir, replayWaitMs: 100 });
}

t.jobs = 5; // each test has a directory of its own, and mostly waits

void t.test('a second server loses no event of a first one whose lock file was removed', async (t) => {
  const dir = tempDir(t);
  // the batch that is being written stays open: the second server finds it at its start
  const first = await startForebay(t, { logDir: dir, batchWaitMs: 60_000, batchSize: 3, fsync: 'always' });
  await first.forebay.write(eventText('a'));
  const second = await secondServer(t, dir);
  await first.forebay.write(eventText('b'));
  t.equal(second.sink.lines.length, 0, 'what is being written is not delivered by the other');
  await first.forebay.write(eventText('c'));
  await until(() => delivered(first, second).length === 3, 'all are delivered');
  t.same(delivered(first, second), ['a', 'b', 'c']);

  t.equal(await codeOf(first.forebay.write(eventText('d'))), LOST);
  t.equal(await codeOf(second.forebay.write(eventText('e'))), null);
  await until(() => delivered(second).includes('e'), 'the second server goes on');
  t.notOk(delivered(first, second).includes('d'), 'what was refused is nowhere');
  addsUp(t, first.forebay, 'in the first');
  addsUp(t, second.forebay, 'in the second');
  t.equal(first.forebay.counts().quarantined, 0, 'nothing counts as damaged');
  t.equal(second.forebay.counts().quarantined, 0);
});

void t.test('without its lock the first server deletes nothing that the second may need', async (t) => {
  const dir = tempDir(t);
  const first = await startForebay(t, { logDir: dir, batchSize: 1 });
  first.sink.held = true;
  await first.forebay.write(eventText('a'));
  await until(() => first.sink.attempts.length === 1, 'the batch is at the sink');
  rmSync(join(dir, 'forebay.lock'));
  t.equal(await codeOf(first.forebay.write(eventText('b'))), LOST);
  first.sink.release();
  await until(() => first.sink.lines.length === 1, 'the sink has it');
  await until(() => first.said.some(({ text }) => text.startsWith('Could not delete')), 'it says so');
  await until(() => batchFiles(dir).length === 1, 'the file of the batch is left');
  addsUp(t, first.forebay);
  const second = await startForebay(t, { logDir: dir });
  await until(() => second.sink.lines.length === 1, 'delivered again');
  t.same(batchFiles(dir), []);
});

interface Places {
  readonly dir: string;
  readonly moved: string;
}

const REPLACEMENTS: Readonly<Record<string, (places: Places) => void>> = {
  'by nothing': () => undefined,
  'by an empty one': ({ dir }) => {
    mkdirSync(dir);
  },
  'by a copy': ({ dir, moved }) => {
    cpSync(moved, dir, { recursive: true });
  },
  'by one of hard links': ({ dir, moved }) => {
    mkdirSync(dir);
    for (const name of readdirSync(moved)) linkSync(join(moved, name), join(dir, name));
  },
};

void t.test('a log directory that was replaced takes no events, until it is back', async (group) => {
  group.jobs = 4;
  for (const [how, replace] of Object.entries(REPLACEMENTS)) {
    void group.test(how, async (t) => {
      const parent = tempDir(t);
      const [dir, moved] = [join(parent, 'log'), join(parent, 'moved')];
      const running = await startForebay(t, { logDir: dir, batchSize: 1, ackTimeoutMs: 60_000 });
      const { forebay, sink } = running;
      sink.held = true;
      await forebay.write(eventText('a'));
      await forebay.write(eventText('b'));
      renameSync(dir, moved);
      replace({ dir, moved });
      const refused = await codeOf(forebay.write(eventText('c')));
      t.equal(refused, LOST);
      t.match(forebay.unready()?.code, LOST);
      t.match(readiness(forebay, forebay.unready()), { status: 503, body: { code: LOST } });
      t.match(health(forebay), { status: 503, body: { log: { writable: false } } });
      sink.release();
      await until(() => sink.lines.length >= 1, 'the sink has the first');
      t.equal(forebay.counts().quarantined, 0, 'none counts as gone');
      t.equal(forebay.counts().pending, 2, 'nor as delivered: the files are elsewhere');
      t.equal(readdirSync(moved).filter(isBatchName).length, 2);

      rmSync(dir, { recursive: true, force: true });
      renameSync(moved, dir);
      await until(() => forebay.unready() === null, 'it is well again');
      await forebay.write(eventText('d'));
      await until(() => forebay.counts().pending === 0, 'all is off the disk');
      addsUp(t, forebay);
    });
  }
});

void t.test('a server that takes no events finds out as well, when it is asked', async (t) => {
  const dir = tempDir(t);
  const { forebay } = await startForebay(t, { logDir: dir });
  t.equal(forebay.unready(), null);
  rmSync(join(dir, 'forebay.lock'));
  await until(() => forebay.unready()?.code === LOST, 'it is known');
  t.match(forebay.unready()?.message, /forebay\.lock/);
});

void t.test('what cannot be looked at is no other directory', async (t) => {
  const disk = heldDisk();
  const { forebay, dir } = await startForebay(t, { fs: disk.fs, batchSize: 1 });
  await forebay.write(eventText('a'));
  disk.fail('lstat', 'EIO');
  t.equal(await codeOf(forebay.write(eventText('b'))), 'LOG_FAILED');
  disk.fail('lstat', null);
  t.equal(await codeOf(forebay.write(eventText('c'))), null);
  await until(() => forebay.counts().pending === 0, 'all is delivered');
  // the file of the refused event could not be looked at, so it is not deleted before the next start
  await forebay.stop(0);
  t.same(
    batchFiles(dir).map((name) => statSync(join(dir, name)).size),
    [0],
  );
  const { sink } = await startForebay(t, { logDir: dir });
  await until(() => batchFiles(dir).length === 0, 'the empty file is deleted');
  t.same(sink.lines, []);
});

void t.test('a batch file without events takes no other away that is at its path by now', async (t) => {
  const disk = heldDisk();
  const parent = tempDir(t);
  const [dir, moved] = [join(parent, 'log'), join(parent, 'moved')];
  const { forebay } = await startForebay(t, { fs: disk.fs, logDir: dir, ackTimeoutMs: 60_000 });
  disk.hold();
  disk.fail('lstat', 'EIO');
  const refused = codeOf(forebay.write(eventText('a')));
  await until(() => disk.flushes === 1, 'the event is being flushed');
  const [name = ''] = batchFiles(dir);
  renameSync(dir, moved);
  mkdirSync(dir);
  writeFileSync(join(dir, name), 'of a server that has started in the new directory');
  disk.fail('lstat', null);
  disk.release();
  t.equal(await refused, 'LOG_FAILED');
  await forebay.stop(0);
  t.match(readFileSync(join(dir, name), 'utf8'), 'of a server');
  t.same(batchFiles(moved), [name], 'its own file is with the directory');
});

void t.test(
  'a batch file without events that was created in another directory is not left there',
  async (t) => {
    const parent = tempDir(t);
    const [dir, moved] = [join(parent, 'log'), join(parent, 'moved')];
    const { forebay } = await startForebay(t, { logDir: dir, ackTimeoutMs: 60_000 });
    renameSync(dir, moved);
    mkdirSync(dir);
    t.equal(await codeOf(forebay.write(eventText('a'))), LOST);
    await forebay.stop(0);
    t.same(batchFiles(dir), []);
  },
);
