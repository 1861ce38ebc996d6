import nodeFs, { existsSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import type { Test } from 'tap';
import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { nodeFileSystem, readExpected } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { createForebay } from '../../lib/index.js';
import type { Forebay } from '../../lib/index.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

/** What lib/delivery/read-ahead.ts and deliverer.ts allow. */
const AHEAD_MAX = 16;
const AHEAD_BYTES_MAX = 4 * 1024 * 1024;
const DELETIONS_MAX = 32;

type Done = (error: Error | null) => void;

interface Replay {
  readonly forebay: Forebay;
  readonly sink: CollectingSink;
  readonly dir: string;
  readonly names: readonly string[];
  /** Batch files in the order in which they were opened to be read. */
  readonly opened: readonly string[];
  /** Deletions that were asked for and wait. */
  readonly held: { readonly name: string; readonly go: () => void; readonly fail: () => void }[];
  /** Lets all deletions through, also those to come. */
  readonly letDelete: () => void;
}

/** A Forebay on what an earlier run left, with a sink and a disk that a test can hold. */
async function replayOf(t: Test, batches: number, bytes: number, holdsDeletions: boolean): Promise<Replay> {
  const dir = tempDir(t);
  const names = Array.from({ length: batches }, (_, n) => `batch_20250101_000000_${n + 1}.jsonl`);
  for (const [n, name] of names.entries()) {
    const data = 'x'.repeat(bytes);
    writeFileSync(join(dir, name), markedLine(`{"id":"${n}","type":"t","data":"${data}","timestamp":1}`));
  }
  const opened: string[] = [];
  const held: { name: string; go: () => void; fail: () => void }[] = [];
  let holds = holdsDeletions;
  const fs = Object.create(nodeFileSystem, {
    open: {
      value: (path: string, ...rest: unknown[]) => {
        if (isBatchName(basename(path))) opened.push(basename(path));
        (nodeFs.open as (...args: unknown[]) => void)(path, ...rest);
      },
    },
    unlink: {
      value: (path: string, done: Done) => {
        const go = (): void => {
          nodeFs.unlink(path, done);
        };
        const fail = (): void => {
          done(Object.assign(new Error('EIO: a test made unlink fail'), { code: 'EIO' }));
        };
        if (holds && isBatchName(basename(path))) held.push({ name: basename(path), go, fail });
        else go();
      },
    },
  }) as FileSystem;
  const sink = new CollectingSink();
  sink.held = true;
  const forebay = createForebay({ sink, logDir: dir, fs, replayWaitMs: 0 });
  const letDelete = (): void => {
    holds = false;
    for (const { go } of held.splice(0)) go();
  };
  t.teardown(async () => {
    letDelete();
    await forebay.stop(0);
  });
  await forebay.start();
  return { forebay, sink, dir, names, opened, held, letDelete };
}

/** Long enough for what should not happen. */
async function turns(): Promise<void> {
  for (let n = 0; n < 200; n++) await turn();
}

void t.test('so many batches are read ahead and no more, and the sink gets them in order', async (t) => {
  const { forebay, sink, names, opened } = await replayOf(t, 60, 10, false);
  await until(() => opened.length > AHEAD_MAX && sink.attempts.length > 0, 'the next ones are opened');
  await turns();
  t.same(opened, names.slice(0, 1 + AHEAD_MAX), 'the one at the sink and those ahead');
  t.same(sink.attempts, names.slice(0, 1));
  sink.release();
  await sink.received(60);
  t.same(sink.attempts, names);
  t.same(
    sink.batches.map(({ name }) => name),
    names,
  );
  await until(() => forebay.counts().delivered === 60, 'all are delivered');
});

void t.test('large batches are read ahead only up to so many bytes', async (t) => {
  const bytes = 1024 * 1024;
  const { sink, opened } = await replayOf(t, 12, bytes, false);
  await until(() => opened.length > AHEAD_BYTES_MAX / bytes, 'the next ones are opened');
  await turns();
  t.equal(opened.length, 1 + AHEAD_BYTES_MAX / bytes);
  sink.release();
  await sink.received(12);
});

void t.test(
  'the sink waits for no deletion, up to a bound; none counts before its file is gone',
  async (t) => {
    const { forebay, sink, dir, names, held, letDelete } = await replayOf(t, 100, 10, true);
    await until(() => forebay.counts().accepted > AHEAD_MAX, 'the next ones are read');
    sink.release();
    await until(() => held.length === DELETIONS_MAX, 'as many deletions wait as may');
    await turns();
    t.equal(held.length, DELETIONS_MAX, 'more would come again after a crash');
    t.same(sink.attempts, names.slice(0, DELETIONS_MAX), 'the next waits');
    const { accepted, delivered, pending } = forebay.counts();
    t.equal(delivered, 0);
    t.equal(pending, accepted);
    const [first] = held.splice(3, 1);
    first?.go();
    await until(() => forebay.counts().delivered === 1, 'the one whose file is gone counts');
    t.notOk(existsSync(join(dir, first?.name ?? '')));
    await until(() => sink.attempts.length === DELETIONS_MAX + 1, 'the sink gets the next one');
    letDelete();
    await until(() => forebay.counts().delivered === 100, 'all are delivered');
    t.same(sink.attempts, names);
    t.same(readdirSync(dir).filter(isBatchName), []);
  },
);

void t.test('a deletion that fails is tried again, and the batch counts once', async (t) => {
  const { forebay, sink, names, held, letDelete } = await replayOf(t, 40, 10, true);
  await until(() => forebay.counts().accepted > AHEAD_MAX, 'the next ones are read');
  sink.release();
  await until(() => held.length > 2, 'deletions wait');
  const failing = held.splice(0, 2);
  for (const { fail } of failing) fail();
  letDelete();
  await until(() => forebay.counts().delivered === 40, 'all are delivered');
  const { accepted, pending } = forebay.counts();
  t.same({ accepted, pending }, { accepted: 40, pending: 0 });
  t.same(sink.attempts, names, 'each went to the sink once');
});

for (const batches of [1, 100]) {
  void t.test(
    `a stop waits for deletions that run and begins no delivery, with ${batches} on disk`,
    async (t) => {
      const { forebay, sink, dir, names, held, letDelete } = await replayOf(t, batches, 10, true);
      await until(
        () => forebay.counts().accepted >= Math.min(batches, AHEAD_MAX + 1),
        'the next ones are read',
      );
      sink.release();
      const sent = Math.min(batches, DELETIONS_MAX);
      await until(() => held.length === sent, 'as many deletions wait as may');
      let isStopped = false;
      const stopped = forebay.stop().then(() => {
        isStopped = true;
      });
      await turns();
      t.notOk(isStopped);
      letDelete();
      await stopped;
      t.same(sink.attempts, names.slice(0, sent));
      t.equal(readdirSync(dir).filter(isBatchName).length, batches - sent);
      t.equal(forebay.counts().delivered, sent);
    },
  );
}

void t.test('deletions that wait hold no events in memory', async (t) => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const bytes = 2 ** 20;
  const { sink, held } = await replayOf(t, 50, bytes, true);
  const { arrayBuffers: before } = process.memoryUsage();
  sink.release();
  await until(() => held.length === DELETIONS_MAX, 'as many deletions wait as may');
  sink.batches.length = 0;
  let grown = Infinity;
  // what nobody holds is given back when the collector comes to it
  for (let tries = 0; tries < 20 && grown >= 12 * bytes; tries++) {
    await turns();
    gc();
    grown = process.memoryUsage().arrayBuffers - before;
  }
  t.ok(grown < 12 * bytes, `${grown} bytes for what is read ahead, not for ${DELETIONS_MAX} batches`);
});

void t.test('a file that no memory can hold is read in vain, not for ever', async (t) => {
  const path = join(tempDir(t), 'huge');
  writeFileSync(path, '');
  truncateSync(path, 2 ** 33);
  await t.rejects(readExpected(nodeFileSystem, path, 2 ** 33, null, false));
});
