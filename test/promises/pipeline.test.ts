import nodeFs, { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import type { OpenDirOptions } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { createForebay } from '../../lib/index.js';
import type { Forebay, ForebayOptions } from '../../lib/index.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { heldDisk } from '../helpers/held-disk.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

const event = (id: string): { id: string; type: string; data: number; timestamp: number } => ({
  id,
  type: 't',
  data: 1,
  timestamp: 1,
});

async function start(
  t: Test,
  options: Partial<ForebayOptions> = {},
): Promise<{ forebay: Forebay; sink: CollectingSink; dir: string; said: string[] }> {
  const sink = new CollectingSink();
  const dir = options.logDir ?? tempDir(t);
  const said: string[] = [];
  const say = (_fields: object, text: string): void => {
    said.push(text);
  };
  const logger = { debug: say, info: say, warn: say, error: say };
  const forebay = createForebay({ batchWaitMs: 20, sink, logDir: dir, logger, ...options });
  t.teardown(() => forebay.stop(0));
  await forebay.start();
  return { forebay, sink: options.sink instanceof CollectingSink ? options.sink : sink, dir, said };
}

const batchFiles = (dir: string): string[] => readdirSync(dir).filter(isBatchName);
const ids = (lines: readonly string[]): string[] =>
  lines.map((line) => (JSON.parse(line) as { id: string }).id);

/** What an earlier run would have left. */
function leave(dir: string, batches: number): void {
  for (let n = 1; n <= batches; n++) {
    writeFileSync(join(dir, `batch_20250101_000000_${n}.jsonl`), `${JSON.stringify(event(`old${n}`))}\n`);
  }
}

void t.test('text that no UTF-8 can hold is refused with its position', async (t) => {
  const forebay = createForebay({ logDir: tempDir(t), sink: new CollectingSink() });
  await forebay.start();
  t.teardown(() => forebay.stop(0));
  const text = '{"id":"a","type":"t","data":"\ud800"}';
  await t.rejects(forebay.write(text), { code: 'EVENT_NOT_JSON', position: text.indexOf('\ud800') });
  await forebay.write({ id: 'a', type: 't', data: '\ud800' }); // escaped by JSON.stringify
});

void t.test('what is written arrives at the sink, in order, and its file goes', async (t) => {
  const { forebay, sink, dir } = await start(t, { batchSize: 10, batchWaitMs: 600_000 });
  const sent = Array.from({ length: 90 }, (_each, n) => `e${n}`);
  await Promise.all(sent.map((id) => forebay.write(event(id))));
  await sink.received(90);
  t.same(ids(sink.lines), sent);
  t.ok(sink.batches.every(({ events }) => events === 10));
  await until(() => forebay.counts().pending === 0, 'all is delivered');
  t.same(batchFiles(dir), []);
  t.same(forebay.counts(), {
    accepted: 90,
    delivered: 90,
    deadLettered: 0,
    quarantined: 0,
    pending: 0,
    unreadBatches: 0,
    duplicates: 0,
  });
});

void t.test('a lone event is acknowledged long before the batch wait, and delivered after it', async (t) => {
  const { forebay, sink } = await start(t, { batchWaitMs: 600_000 });
  await forebay.write(event('a'));
  t.equal(sink.attempts.length, 0);
  const short = await start(t, { batchWaitMs: 5 });
  await short.forebay.write(event('b'));
  await short.sink.received(1);
});

void t.test('no event is acknowledged before the disk has flushed it', async (t) => {
  const disk = heldDisk();
  const { forebay } = await start(t, { fs: disk.fs });
  disk.hold();
  let acknowledged = 0;
  const writes = ['a', 'b', 'c'].map((id) => forebay.write(event(id)).then(() => acknowledged++));
  await until(() => disk.flushes === 1, 'the disk flushes');
  for (let n = 0; n < 20; n++) await turn();
  t.equal(acknowledged, 0);
  t.equal(forebay.counts().accepted, 0);
  disk.release();
  await Promise.all(writes);
  t.equal(acknowledged, 3);
});

void t.test('with --fsync never an event is acknowledged once it is written', async (t) => {
  const disk = heldDisk();
  const { forebay, dir } = await start(t, { fs: disk.fs, fsync: 'never', batchWaitMs: 600_000 });
  disk.hold();
  await forebay.write(event('a'));
  t.equal(batchFiles(dir).length, 1);
  disk.release();
});

void t.test('with a held disk exactly the queue is taken; what was refused is never delivered', async (t) => {
  const disk = heldDisk();
  const { forebay, sink } = await start(t, { fs: disk.fs, queueSize: 50 });
  disk.hold();
  const taken: Promise<unknown>[] = [];
  for (let n = 0; n < 50; n++) taken.push(forebay.write(event(`taken${n}`)));
  for (let n = 0; n < 10; n++) {
    await t.rejects(forebay.write(event(`refused${n}`)), { code: 'QUEUE_FULL', status: 429 });
    await turn();
  }
  disk.release();
  await Promise.all(taken);
  await forebay.write(event('later'));
  await sink.received(51);
  t.same(ids(sink.lines), [...Array.from({ length: 50 }, (_each, n) => `taken${n}`), 'later']);
});

void t.test('an event that can never fit is refused for good', async (t) => {
  const { forebay } = await start(t, { queueBytes: 2000 });
  const large = { ...event('a'), data: 'x'.repeat(2000) };
  await t.rejects(forebay.write(large), { code: 'BODY_TOO_LARGE', status: 413, retry: false });
});

void t.test('a bad event is refused and leaves no trace', async (t) => {
  const { forebay, sink, dir } = await start(t);
  await t.rejects(forebay.write('{"id":'), { code: 'EVENT_NOT_JSON' });
  await t.rejects(forebay.write({ ...event('a'), type: '' }), { code: 'EVENT_FIELD', field: 'type' });
  await forebay.write(event('b'));
  await sink.received(1);
  t.same(ids(sink.lines), ['b']);
  await until(() => batchFiles(dir).length === 0, 'the file is gone');
});

void t.test('a sink that is held or fails holds up no write', async (t) => {
  const { forebay, sink } = await start(t, { batchSize: 1 });
  sink.held = true;
  for (let n = 0; n < 50; n++) await forebay.write(event(`e${n}`));
  t.equal(sink.attempts.length, 1, 'one batch at a time');
  t.equal(forebay.counts().pending, 50);
  sink.release();
  await sink.received(50);
});

void t.test('a failed delivery is tried again until it succeeds, and keeps its order and name', async (t) => {
  const { forebay, sink, said } = await start(t, { batchSize: 2 });
  sink.error = new Error('the sink is down');
  for (let n = 0; n < 6; n++) await forebay.write(event(`e${n}`));
  await until(() => sink.attempts.length >= 3, 'the sink was tried three times');
  t.equal(new Set(sink.attempts).size, 1, 'the first batch, again and again');
  t.ok(
    said.some((text) =>
      /Delivery failed: batch_.*attempt 1: the sink is down; next attempt in \d+ ms/.test(text),
    ),
  );
  sink.error = null;
  await sink.received(6);
  t.same(ids(sink.lines), ['e0', 'e1', 'e2', 'e3', 'e4', 'e5']);
});

void t.test('as many batches as allowed are on their way to the sink at once', async (t) => {
  const { forebay, sink } = await start(t, { batchSize: 1, sinkConcurrency: 3 });
  sink.held = true;
  for (let n = 0; n < 10; n++) await forebay.write(event(`e${n}`));
  await until(() => sink.attempts.length === 3, 'three batches are at the sink');
  for (let n = 0; n < 20; n++) await turn();
  t.equal(sink.attempts.length, 3);
  sink.release();
  await sink.received(10);
});

void t.test('a file is deleted only after the sink has confirmed it', async (t) => {
  const { forebay, sink, dir } = await start(t, { batchSize: 1 });
  sink.held = true;
  await forebay.write(event('a'));
  await until(() => sink.attempts.length === 1, 'a batch is at the sink');
  t.equal(batchFiles(dir).length, 1);
  sink.release();
  await until(() => batchFiles(dir).length === 0, 'the file is gone');
});

void t.test(
  'a batch that was being delivered at a stop is delivered by the next run, under its name',
  async (t) => {
    const first = await start(t, { batchSize: 2, batchWaitMs: 600_000 });
    first.sink.held = true;
    for (let n = 0; n < 5; n++) await first.forebay.write(event(`e${n}`));
    await until(() => first.sink.attempts.length === 1, 'a batch is at the sink');
    await first.forebay.stop(0);
    t.equal(batchFiles(first.dir).length, 3);
    const second = await start(t, { logDir: first.dir });
    t.same(ids(second.sink.lines), ['e0', 'e1', 'e2', 'e3', 'e4'], 'before start() resolves');
    t.equal(second.sink.attempts[0], first.sink.attempts[0]);
    t.same(second.forebay.counts(), {
      accepted: 5,
      delivered: 5,
      deadLettered: 0,
      quarantined: 0,
      pending: 0,
      unreadBatches: 0,
      duplicates: 0,
    });
    const said = second.said.map((text) => text.replace(/batch_\d+_\d+_/, 'batch_'));
    t.same(said, [
      `AppendLog initialized: ${first.dir}`,
      'Replaying pending batches...',
      'Found 3 pending batches',
      'Replaying batch: batch_1.jsonl (2 events)',
      'SinkAPI: Successfully sent batch (2 events)',
      'Successfully replayed and deleted: batch_1.jsonl',
      'Replaying batch: batch_2.jsonl (2 events)',
      'SinkAPI: Successfully sent batch (2 events)',
      'Successfully replayed and deleted: batch_2.jsonl',
      'Replaying batch: batch_3.jsonl (1 events)',
      'SinkAPI: Successfully sent batch (1 events)',
      'Successfully replayed and deleted: batch_3.jsonl',
      'Replay complete',
    ]);
  },
);

void t.test('one batch is told of as one', async (t) => {
  const dir = tempDir(t);
  const name = 'batch_20250101_000000_1.jsonl';
  writeFileSync(join(dir, name), `${JSON.stringify(event('a'))}\n`);
  mkdirSync(join(dir, 'dead-letters'));
  writeFileSync(join(dir, 'dead-letters', name), '');
  const sink = Object.assign(new CollectingSink(), { error: new Error('down') });
  const { forebay, said } = await start(t, { logDir: dir, sink });
  const text = said.join('\n');
  t.match(text, /There are dead letters of 1 batch in /);
  t.match(text, /Found 1 pending batch$/m);
  t.match(text, /Delivery fails: replay goes on in the background, 1 batch left/);
  await forebay.stop(0);
});

void t.test(
  'a stop lets the attempt that runs end, deletes what it delivered, and begins no other',
  async (t) => {
    const { forebay, sink, dir } = await start(t, { batchSize: 1 });
    sink.held = true;
    await forebay.write(event('a'));
    await forebay.write(event('b'));
    await until(() => sink.attempts.length === 1, 'a batch is at the sink');
    const stopped = forebay.stop(600_000);
    for (let n = 0; n < 200; n++) await turn(); // the stop is well under way
    sink.release();
    await stopped;
    t.same(ids(sink.lines), ['a']);
    t.equal(batchFiles(dir).length, 1);
    t.match(forebay.counts(), { accepted: 2, delivered: 1, pending: 1 });
    await t.rejects(forebay.write(event('c')), { code: 'NOT_RUNNING', status: 503 });
  },
);

void t.test(
  'a stop during the start ends what was begun, and a second stop waits for the first',
  async (t) => {
    const dir = tempDir(t);
    leave(dir, 1);
    const forebay = createForebay({ logDir: dir, sink: new CollectingSink() });
    const started = forebay.start();
    await Promise.all([forebay.stop(0), forebay.stop(0), started]);
    const again = await start(t, { logDir: dir }); // the directory is free
    await again.forebay.write(event('a'));
  },
);

void t.test('a sink that cannot be closed keeps nothing from being closed', async (t) => {
  const dir = tempDir(t);
  const sink = Object.assign(new CollectingSink(), { close: async () => Promise.reject(new Error('no')) });
  const { forebay, said } = await start(t, { logDir: dir, sink });
  await forebay.stop(0);
  t.ok(said.includes('The sink could not be closed'));
  await start(t, { logDir: dir });
});

void t.test('a file that cannot be read steps aside for those behind it, and is tried on', async (t) => {
  const disk = heldDisk();
  const dir = tempDir(t);
  leave(dir, 3);
  const bad = join(dir, 'batch_20250101_000000_1.jsonl');
  let sound = false;
  const fs = Object.create(disk.fs, {
    open: {
      value: (path: string, ...rest: unknown[]) => {
        const done = rest.at(-1) as (error: Error) => void;
        if (path === bad && !sound) setImmediate(done, Object.assign(new Error('EIO'), { code: 'EIO' }));
        else (disk.fs.open as (...args: unknown[]) => void)(path, ...rest);
      },
    },
  }) as typeof disk.fs;
  const { sink, said } = await start(t, { logDir: dir, fs });
  await sink.received(2);
  t.same(ids(sink.lines), ['old2', 'old3']);
  t.ok(said.some((text) => text.includes('1.jsonl cannot be read: others go first')));
  sound = true;
  await sink.received(3);
  await until(() => batchFiles(dir).length === 0, 'the file is gone');
});

void t.test('a file that is made while the directory is read is not taken for a sealed one', async (t) => {
  const disk = heldDisk();
  const dir = tempDir(t);
  leave(dir, 1);
  let read: (() => void) | null = null;
  let surveyed = false;
  const fs = Object.create(disk.fs, {
    opendir: {
      value: (path: string, options: OpenDirOptions, done: () => void) => {
        if (surveyed && path === dir) read = () => nodeFs.opendir(path, options, done);
        else nodeFs.opendir(path, options, done);
        surveyed = true;
      },
    },
  }) as typeof disk.fs;
  const { forebay, sink } = await start(t, { logDir: dir, fs, replayWaitMs: 1, batchWaitMs: 600_000 });
  await until(() => read !== null, 'the directory is read');
  await forebay.write(event('a')); // its file is open while the directory is read
  (read as (() => void) | null)?.();
  await sink.received(1);
  for (let n = 0; n < 30; n++) await forebay.write(event(`b${n}`)); // longer than a delivery takes
  t.same(ids(sink.lines), ['old1']);
  t.equal(batchFiles(dir).length, 1, 'the file that is written stays');
  t.equal(forebay.counts().pending, 31);
});

void t.test('a disk that writes in parts gets every byte', async (t) => {
  const disk = heldDisk();
  const fs = Object.create(disk.fs, {
    write: {
      value: (
        fd: number,
        bytes: Buffer,
        offset: number,
        length: number,
        position: number,
        done: () => void,
      ) => {
        nodeFs.write(fd, bytes, offset, Math.min(length, 7), position, done);
      },
    },
  }) as typeof disk.fs;
  const { forebay, sink } = await start(t, { fs });
  await Promise.all(['a', 'b', 'c'].map((id) => forebay.write(event(id))));
  await sink.received(3);
  t.same(ids(sink.lines), ['a', 'b', 'c']);
});

void t.test('events in the queue at a stop are put on disk and acknowledged', async (t) => {
  const disk = heldDisk();
  const { forebay, dir, sink } = await start(t, { fs: disk.fs });
  disk.hold();
  const writes = Array.from({ length: 20 }, (_each, n) => forebay.write(event(`e${n}`)));
  await until(() => disk.flushes > 0, 'the disk flushes');
  const stopped = forebay.stop(0);
  disk.release();
  await Promise.all(writes);
  await stopped;
  const second = await start(t, { logDir: dir });
  t.equal(new Set([...sink.lines, ...second.sink.lines]).size, 20);
});

void t.test(
  'a sink that fails at replay does not keep the door shut; leftovers still come first',
  async (t) => {
    const dir = tempDir(t);
    leave(dir, 3);
    const sink = new CollectingSink();
    sink.error = new Error('down');
    const { forebay, said } = await start(t, { logDir: dir, sink });
    t.ok(said.some((text) => /Delivery fails: replay goes on in the background, 3 batches left/.test(text)));
    await forebay.write(event('new'));
    sink.error = null;
    await sink.received(4);
    t.same(ids(sink.lines), ['old1', 'old2', 'old3', 'new']);
    t.ok(said.includes('Replay complete'));
  },
);

void t.test('a replay that takes longer than its wait goes on in the background', async (t) => {
  const dir = tempDir(t);
  leave(dir, 2);
  const sink = new CollectingSink();
  sink.held = true;
  const { forebay, said } = await start(t, { logDir: dir, sink, replayWaitMs: 10 });
  t.ok(said.some((text) => /Replay takes longer than 10 ms: replay goes on in the background, 2/.test(text)));
  await forebay.write(event('new'));
  sink.release();
  await sink.received(3);
  t.same(ids(sink.lines), ['old1', 'old2', 'new']);
});

void t.test('a disk that fails refuses the events at hand, keeps those before, and recovers', async (t) => {
  for (const [method, code] of [
    ['open', 'EMFILE'],
    ['write', 'ENOSPC'],
    ['fdatasync', 'EIO'],
    ['fsync', 'EIO'],
  ] as const) {
    const disk = heldDisk();
    const { forebay, sink } = await start(t, { fs: disk.fs, batchSize: method === 'open' ? 1 : 100 });
    await forebay.write(event('before'));
    if (method === 'fsync') await sink.received(1); // the next event begins a file, with a name to flush
    disk.fail(method, code);
    const inDoubt = method === 'fdatasync'; // the cut of the failed end cannot be flushed either
    const refused = { code: inDoubt ? 'IN_DOUBT' : 'LOG_FAILED', status: 503, retry: true, cause: { code } };
    await t.rejects(forebay.write(event('refused')), refused, `${method} ${code}`);
    disk.fail(method, null);
    await forebay.write(event('after'));
    await sink.received(2);
    t.same(ids(sink.lines), ['before', 'after'], `${method} ${code}`);
    await until(() => forebay.counts().pending === 0, 'all is delivered');
    t.match(forebay.counts(), { accepted: 2, delivered: 2 });
  }
});

void t.test('a batch whose file cannot be read or deleted is tried again, with nothing lost', async (t) => {
  for (const method of ['read', 'unlink'] as const) {
    const disk = heldDisk();
    disk.fail(method, 'EIO');
    const { forebay, sink, dir, said } = await start(t, { fs: disk.fs, batchSize: 1, queueBytes: 1024 });
    const large = JSON.stringify({ id: 'a', type: 't', data: 'more than is kept in memory'.repeat(20) });
    await forebay.write(large);
    await until(
      () => said.some((text) => /^Could not (read|delete) batch.*attempt 1: EIO/.test(text)),
      'the first attempt has failed',
    );
    t.equal(batchFiles(dir).length, 1);
    disk.fail(method, null);
    await until(() => batchFiles(dir).length === 0, 'the file is gone');
    t.same(ids(sink.lines), ['a']);
  }
});

void t.test('a stop while the replay waits ends the replay, with nothing lost', async (t) => {
  const dir = tempDir(t);
  leave(dir, 2);
  const sink = new CollectingSink();
  sink.held = true;
  const forebay = createForebay({ logDir: dir, sink });
  const started = forebay.start();
  await until(() => sink.attempts.length === 1, 'a batch is at the sink');
  await forebay.stop(0);
  await started;
  t.equal(batchFiles(dir).length, 2);
});

void t.test('a wrong setting is refused by its name', (t) => {
  const sink = new CollectingSink();
  const none = {} as CollectingSink;
  t.throws(() => createForebay({ sink: none }), { code: 'SETTING_INVALID', message: /^sink must be/ });
  t.throws(() => createForebay({ sink, batchSize: 0 }), {
    code: 'SETTING_INVALID',
    message: /^batchSize must be/,
  });
  t.throws(() => createForebay(Object.assign({ sink }, { batchsize: 1 })), {
    message: 'Unknown setting batchsize',
  });
  t.end();
});
