import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type { StatsFs } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';
import { markedLine } from '../../../../lib/logs/file/checksum.js';
import { nodeFileSystem } from '../../../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../../../lib/logs/file/file-system.js';
import { isCopyName } from '../../../../lib/logs/file/ids/copy-name.js';
import { OldestFiles } from '../../../../lib/logs/file/retained/oldest-files.js';
import {
  byArrival,
  bySettled,
  parseRetained,
  retainedName,
} from '../../../../lib/logs/file/retained/retained-name.js';
import { firstRetained } from '../../../../lib/logs/file/retained/retained-listing.js';
import { health } from '../../../../lib/door/probes.js';
import { SinkError } from '../../../../lib/seams/sink-error.js';
import { clientsOf, openHttp } from '../../../helpers/http-door.js';
import { batchFiles, leftName } from '../../../helpers/left-files.js';
import { addsUp, eventText, startForebay, until } from '../../../helpers/running-forebay.js';
import type { RunningForebay } from '../../../helpers/running-forebay.js';
import { ServerProcess } from '../../../helpers/server-process.js';
import { noSmallDisk, smallDisk } from '../../../helpers/small-disk.js';
import { tempDir } from '../../../helpers/temp-dir.js';

const skip = noSmallDisk();
const HOUR_MS = 3_600_000;

function retainedFiles(dir: string): string[] {
  const folder = join(dir, 'retained');
  // without a copy that is just being made
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => parseRetained(name) !== null) : [];
  return names.toSorted();
}

function retainedText(dir: string): string {
  return retainedFiles(dir)
    .map((name) => readFileSync(join(dir, 'retained', name), 'utf8'))
    .join('');
}

/** Writes events, each into a file of its own, and waits until all are delivered. */
async function deliver({ forebay }: RunningForebay, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const before = forebay.counts().delivered;
    await forebay.write(eventText(id, 'x'.repeat(100)));
    await until(() => forebay.counts().delivered === before + 1, `${id} is delivered`);
  }
}

const ONE_EACH = { batchSize: 1, fileEvents: 1, batchWaitMs: 5 } as const;

void t.test(
  'a delivered batch is kept by a rename, and is pending no longer, also after a start',
  async (t) => {
    const dir = tempDir(t);
    const first = await startForebay(t, { ...ONE_EACH, logDir: dir, retainMs: HOUR_MS });
    await deliver(first, 'a', 'b');
    t.same(batchFiles(dir), []);
    t.match(retainedFiles(dir), [
      /^batch_\d{8}_\d{6}_1\.settled_\d{8}_\d{6}\.jsonl$/,
      /^batch_\d{8}_\d{6}_2\.settled_\d{8}_\d{6}\.jsonl$/,
    ]);
    t.match(retainedText(dir), /"id":"a"[^]*"id":"b"/, 'with the lines as they were');
    t.match(first.forebay.statistics(), { pendingBytes: 0, events: { pending: 0, delivered: 2 } });
    addsUp(t, first.forebay);
    await first.forebay.stop();
    const kept = retainedText(dir);

    const second = await startForebay(t, { logDir: dir, retainMs: HOUR_MS });
    t.same(second.sink.lines, [], 'nothing of it is delivered');
    t.match(second.forebay.counts(), { accepted: 0, pending: 0, unreadBatches: 0 });
    t.same(
      second.said.filter(({ level }) => level !== 'info'),
      [],
    );
    await until(() => second.forebay.statistics()?.retained?.files === 2, 'the start counts them later');
    t.match(health(second.forebay).body.log, { retained: { files: 2, bytes: 2 * 4096 } });
    t.match(second.forebay.statistics()?.retained, {
      bytes: 2 * 4096,
      deleted: { age: 0, size: 0, disk: 0 },
    });
    t.equal(retainedText(dir), kept);
  },
);

void t.test('without --retain delivered batches are deleted, and what was kept before stays', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'retained'));
  const old = 'batch_20250101_000000_1.settled_20250101_000001.jsonl';
  writeFileSync(join(dir, 'retained', old), 'old');
  const running = await startForebay(t, { ...ONE_EACH, logDir: dir });
  await deliver(running, 'a');
  await until(() => running.forebay.statistics()?.retained?.files === 1, 'it is counted');
  t.same(retainedFiles(dir), [old]);
  t.same(batchFiles(dir), []);
});

void t.test('dead letters go with the others of their batch; an empty file is deleted', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, leftName(1)), '');
  const running = await startForebay(t, { ...ONE_EACH, logDir: dir, retainMs: HOUR_MS });
  running.sink.error = new SinkError('never', { status: 400, refused: 'all' });
  await running.forebay.write(eventText('bad'));
  await until(() => running.forebay.counts().deadLettered === 1, 'it is a dead letter');
  t.match(retainedFiles(dir), [/_\d+\.settled_/], 'only the one with an event');
  t.match(retainedText(dir), /"id":"bad"/);
});

void t.test('a name that comes again overwrites nothing, compressed or not', async (t) => {
  const dir = tempDir(t);
  t.intercept(Date, 'now', { value: () => Date.UTC(2025, 0, 1, 0, 1, 0) });
  mkdirSync(join(dir, 'retained'));
  const name = retainedName(leftName(1), Date.now(), 1);
  t.equal(name, 'batch_20250101_000000_1.settled_20250101_000100.jsonl');
  writeFileSync(join(dir, 'retained', name), 'of an earlier run');
  writeFileSync(join(dir, 'retained', retainedName(`${leftName(1)}.gz`, Date.now(), 2)), 'compressed');
  writeFileSync(join(dir, leftName(1)), `${eventText('a')}\n`);
  const running = await startForebay(t, { logDir: dir, retainMs: HOUR_MS, replayWaitMs: 60_000 });
  await until(() => running.forebay.counts().delivered === 1, 'it is delivered');
  t.same(retainedFiles(dir), [
    'batch_20250101_000000_1.settled_20250101_000100.jsonl',
    'batch_20250101_000000_1.settled_20250101_000100_2.jsonl.gz',
    'batch_20250101_000000_1.settled_20250101_000100_3.jsonl',
  ]);
  t.match(retainedText(dir), /of an earlier run[^]*compressed[^]*"id":"a"/);
});

void t.test('the oldest go by age, from when they were settled', async (t) => {
  const dir = tempDir(t);
  let nowMs = Date.UTC(2026, 0, 1);
  t.intercept(Date, 'now', { value: () => nowMs });
  // it has waited for a year, and is as new as any
  writeFileSync(join(dir, leftName(1)), `${eventText('a')}\n`);
  const running = await startForebay(t, { ...ONE_EACH, logDir: dir, retainMs: 600_000 });
  await until(() => running.forebay.counts().delivered === 1, 'it is delivered');
  nowMs += 5 * 60_000;
  await deliver(running, 'b');
  const usage = () => running.forebay.statistics()?.retained;
  await until(() => usage()?.oldestMs === Date.UTC(2026, 0, 1), 'both are counted');
  nowMs += 5 * 60_000;
  await until(() => usage()?.deleted.age === 1, 'the first goes');
  t.match(retainedText(dir), /^\{"id":"b"/);
  nowMs += 600_000;
  // they are gone before they are counted
  await until(() => retainedFiles(dir).length === 0 && usage()?.files === 0, 'so does the other');
  t.match(usage(), { files: 0, bytes: 0, oldestMs: null, deleted: { age: 2, size: 0, disk: 0 } });
});

void t.test('the oldest go by size on disk', async (t) => {
  const dir = tempDir(t);
  const running = await startForebay(t, { ...ONE_EACH, logDir: dir, retainBytesMax: 3 * 4096 });
  await deliver(running, 'a', 'b', 'c');
  const usage = () => running.forebay.statistics()?.retained;
  await until(() => usage()?.files === 3, 'all are counted');
  await deliver(running, 'd', 'e');
  await until(() => usage()?.deleted.size === 2, 'two go');
  t.match(retainedText(dir), /^\{"id":"c"[^]*"id":"d"[^]*"id":"e"/);
  t.match(usage(), { files: 3, bytes: 3 * 4096 });
  await running.forebay.stop();

  const again = await startForebay(t, { logDir: dir, retainBytesMax: 4096 });
  const deleted = () => again.forebay.statistics()?.retained?.deleted;
  await until(() => deleted()?.size === 2, 'a start trims them in the background');
  t.equal(retainedFiles(dir).length, 1);
  t.match(retainedText(dir), /^\{"id":"e"/);
});

void t.test('a link to a folder that is not there is reported as well', async (t) => {
  const dir = tempDir(t);
  symlinkSync(join(dir, 'not', 'mounted'), join(dir, 'retained'));
  const running = await startForebay(t, { ...ONE_EACH, logDir: dir, retainMs: HOUR_MS });
  await deliver(running, 'a', 'b');
  t.same(batchFiles(dir), []);
  t.equal(running.forebay.statistics()?.retained?.unkept, 2);
  const errors = running.said.filter(({ level }) => level === 'error');
  t.match(errors, [{ text: /retained could not take batch_\w+\.jsonl, which is delivered and was deleted/ }]);
});

void t.test('what cannot be kept is deleted, counted and reported, and holds up nothing', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'retained'), 'no folder');
  const running = await startForebay(t, { ...ONE_EACH, logDir: dir, retainMs: HOUR_MS });
  await deliver(running, 'a', 'b');
  t.same(batchFiles(dir), []);
  t.equal(running.forebay.statistics()?.retained?.unkept, 2);
  const errors = running.said.filter(({ level }) => level === 'error');
  t.match(errors, [{ text: /retained could not take batch_\w+\.jsonl, which is delivered and was deleted/ }]);
  rmSync(join(dir, 'retained'));
  await deliver(running, 'c');
  t.match(retainedText(dir), /"id":"c"/, 'it is kept as soon as it can be');
  rmSync(join(dir, 'retained'), { recursive: true });
  await deliver(running, 'd');
  t.match(retainedText(dir), /"id":"d"/, 'also if someone has taken the folder away');
  t.equal(running.forebay.statistics()?.retained?.unkept, 2);
});

void t.test('retained files are compressed one after the other, also those of an earlier run', async (t) => {
  const dir = tempDir(t);
  const options = { logDir: dir, retainMs: HOUR_MS, batchSize: 200, batchWaitMs: 60_000 } as const;
  const write = async ({ forebay }: RunningForebay, name: string): Promise<void> => {
    const before = forebay.counts().delivered;
    await Promise.all(
      Array.from({ length: 200 }, async (_, n) => forebay.write(eventText(`${name}${n}`, 'x'.repeat(100)))),
    );
    await until(() => forebay.counts().delivered === before + 200, `${name} is delivered`);
  };
  const first = await startForebay(t, { ...options, logCompress: 'off' });
  await write(first, 'a');
  await first.forebay.stop();
  t.match(retainedFiles(dir), [/\.jsonl$/]);
  const left = join(dir, 'retained', 'forebay.copy-0123456789abcdef');
  writeFileSync(left, 'of a run that was killed');

  const second = await startForebay(t, { ...options, logCompress: 'on' });
  const areCompressed = (files: number): boolean => {
    const names = retainedFiles(dir);
    return names.length === files && names.every((name) => /\.jsonl\.(?:gz|zst)$/.test(name));
  };
  await until(() => areCompressed(1), 'the first is compressed');
  t.notOk(existsSync(left));
  await write(second, 'b');
  const usage = () => second.forebay.statistics()?.retained;
  // a file has its new form before it is counted
  await until(
    () => areCompressed(2) && usage()?.bytes === 2 * 4096,
    'so is the second, of that size on disk',
  );
  t.match(usage(), { files: 2 });
  t.intercept(Date, 'now', { value: () => Date.UTC(2100, 0, 1) });
  await until(() => retainedFiles(dir).length === 0 && usage()?.files === 0, 'they go like others');
  t.match(usage(), { files: 0, bytes: 0, deleted: { age: 2 } });
});

void t.test('a retained file of one block of the disk is not compressed in vain', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'retained'));
  const leave = (n: number, events: number): void => {
    const line = markedLine(eventText(`${n}`, 'x'.repeat(100)));
    writeFileSync(join(dir, 'retained', retainedName(leftName(n), Date.now(), 1)), line.repeat(events));
  };
  for (const n of [1, 2, 3]) leave(n, 1);
  leave(4, 200);
  let copies = 0;
  const fs = Object.create(nodeFileSystem) as FileSystem;
  const open = (path: string, ...rest: unknown[]): void => {
    if (isCopyName(basename(path))) copies++;
    (nodeFileSystem.open as (...args: unknown[]) => void)(path, ...rest);
  };
  Object.assign(fs, { open });
  const options = { logDir: dir, retainMs: HOUR_MS, batchSize: 200, batchWaitMs: 60_000, fs } as const;
  const { forebay } = await startForebay(t, { ...options, logCompress: 'on' });
  const compressed = (): number => retainedFiles(dir).filter((name) => !name.endsWith('.jsonl')).length;
  await until(() => compressed() === 1, 'the large one is compressed');
  // it comes after all that were there
  const write = async (n: number): Promise<unknown> => forebay.write(eventText(`${n}`, 'x'.repeat(100)));
  await Promise.all(Array.from({ length: 200 }, async (_, n) => write(n)));
  await until(() => compressed() === 2, 'and another one');
  t.equal(copies, 2);
});

void t.test('a file that cannot be deleted does not keep the others', async (t) => {
  const dir = tempDir(t);
  const fs = failing('unlink', (path) => path.includes('_1.settled_'));
  const running = await startForebay(t, { ...ONE_EACH, logDir: dir, retainMs: HOUR_MS, fs });
  await deliver(running, 'a', 'b', 'c');
  const usage = () => running.forebay.statistics()?.retained;
  await until(() => usage()?.files === 3, 'all are counted');
  t.intercept(Date, 'now', { value: () => Date.UTC(2100, 0, 1) });
  await until(() => usage()?.deleted.age === 2, 'the others go');
  t.match(retainedText(dir), /^\{"id":"a"/);
  t.equal(running.said.filter(({ text }) => text.includes('could not be deleted')).length, 1);
});

/** The real file system, with one call that fails for some paths. */
function failing(method: 'unlink' | 'rename', fails: (path: string) => boolean, code = 'EACCES'): FileSystem {
  const call = (path: string, ...rest: unknown[]): void => {
    const done = rest.at(-1) as (error: Error) => void;
    if (fails(path)) setImmediate(done, Object.assign(new Error(`${code}: a test`), { code }));
    else (nodeFileSystem[method] as (...args: unknown[]) => void)(path, ...rest);
  };
  return Object.create(nodeFileSystem, { [method]: { value: call } }) as FileSystem;
}

void t.test('if the disk has no room for another name, the oldest make it', async (t) => {
  const dir = tempDir(t);
  let isFull = false;
  const fs = failing(
    'rename',
    (path) => isFull && !path.includes('retained') && retainedFiles(dir).length > 1,
    'ENOSPC',
  );
  const running = await startForebay(t, { ...ONE_EACH, logDir: dir, retainMs: HOUR_MS, fs });
  await deliver(running, 'a', 'b');
  isFull = true;
  await deliver(running, 'c');
  t.match(retainedText(dir), /"id":"c"/, 'the newest is kept');
  t.match(running.forebay.statistics()?.retained, { unkept: 0, deleted: { disk: 2 } });
});

void t.test('a disk that is nearly full keeps nothing for comfort', async (t) => {
  const dir = tempDir(t);
  let bavail = 1000;
  const statfs = (_path: string, done: (error: null, stats: Partial<StatsFs>) => void): void => {
    setImmediate(done, null, { bavail, bsize: 4096, blocks: 1000, files: 0, ffree: 0 });
  };
  const fs = Object.create(nodeFileSystem, { statfs: { value: statfs } }) as FileSystem;
  const running = await startForebay(t, { ...ONE_EACH, logDir: dir, retainMs: HOUR_MS, fs });
  await deliver(running, 'a', 'b');
  await until(() => running.forebay.statistics()?.retained?.files === 2, 'both are counted');
  bavail = 49;
  await until(() => retainedFiles(dir).length === 0, 'both go');
  const warned = (): RunningForebay['said'] => running.said.filter(({ level }) => level === 'warn');
  await until(() => warned().length > 0, 'it is said');
  t.match(warned(), [
    { text: /^The disk has no room: 2 retained files of 8192 bytes went before their time/ },
  ]);
});

for (const isOn of [true, false]) {
  const what = isOn ? 'retained files' : 'retained files of an earlier run, with --retain off,';
  void t.test(`${what} go before an event is refused, on a real disk that fills`, { skip }, async (t) => {
    const disk = smallDisk(t, '2m');
    const logDir = join(disk.dir, 'log');
    const padding = 'x'.repeat(20_000);
    const options = { ...ONE_EACH, logDir, queueBytes: 2 ** 26 } as const;
    const retained = async (running: RunningForebay, most: number): Promise<number> => {
      const door = await openHttp(t, running.forebay);
      for (let n = 0; n < most; n++) t.match(await door.post(eventText(`e${n}`, padding)), { status: 202 });
      await until(() => running.forebay.counts().pending === 0, 'all is delivered');
      return running.forebay.counts().delivered;
    };
    const first = await startForebay(t, { ...options, retainMs: HOUR_MS });
    t.equal(await retained(first, isOn ? 300 : 40), isOn ? 300 : 40, 'each is taken and delivered');
    await first.forebay.stop();
    const left = retainedFiles(logDir).length;
    t.ok(left > 20, `${left} are kept`);
    if (isOn) {
      t.match(
        first.said.filter(({ level }) => level !== 'info'),
        [{ text: /^The disk has no room/ }],
      );
      return;
    }
    const second = await startForebay(t, options);
    second.sink.held = true;
    const door = await openHttp(t, second.forebay);
    // nothing of it leaves, so the retained ones have to
    for (let n = 0; n < 60; n++) t.match(await door.post(eventText(`f${n}`, padding)), { status: 202 });
    t.ok(retainedFiles(logDir).length < left);
    t.match(second.forebay.counts(), { pending: 60 });
    second.sink.release();
    await until(() => second.forebay.counts().delivered === 60, 'all is delivered');
  });
}

void t.test(
  'an append that meets a full disk is done again in a new file, after what was taken before',
  async (t) => {
    const dir = tempDir(t);
    let failures = 0;
    const write = (...args: unknown[]): void => {
      const bytes = args[1] as Buffer;
      const done = args.at(-1) as (error: Error) => void;
      if (failures > 0 && bytes.includes('"id":"full')) {
        failures--;
        setImmediate(done, Object.assign(new Error('ENOSPC: a test'), { code: 'ENOSPC' }));
      } else (nodeFileSystem.write as (...rest: unknown[]) => void)(...args);
    };
    const fs = Object.create(nodeFileSystem, { write: { value: write } }) as FileSystem;
    const running = await startForebay(t, {
      logDir: dir,
      retainMs: HOUR_MS,
      fs,
      batchSize: 4,
      batchWaitMs: 60_000,
    });
    const { forebay, sink } = running;
    await Promise.all(['a', 'b', 'c', 'd'].map(async (id) => forebay.write(eventText(id))));
    await until(() => forebay.counts().delivered === 4, 'one batch is kept');
    await forebay.write(eventText('e'));
    failures = 1;
    await forebay.write(eventText('full'));
    t.match(forebay.statistics()?.retained?.deleted, { disk: 1 });
    await Promise.all(['g', 'h'].map(async (id) => forebay.write(eventText(id))));
    await until(() => forebay.counts().delivered === 8, 'all is delivered');
    t.same(
      sink.lines.map((line) => (JSON.parse(line) as { id: string }).id),
      ['a', 'b', 'c', 'd', 'e', 'full', 'g', 'h'],
      'each once, in order',
    );
    addsUp(t, forebay);
    failures = 5;
    // the first has one to go for, the next ones have none
    await t.rejects(forebay.write(eventText('full')), { code: 'LOG_FAILED' });
  },
);

void t.test('names are read as they are written', (t) => {
  const settledMs = Date.UTC(2026, 10, 24, 0, 6, 1);
  for (const [name, number] of [
    ['batch_20261124_000545_1.jsonl', 1],
    ['batch_20261124_000545_12.jsonl.gz', 7],
  ] as const) {
    const file = retainedName(name, settledMs + 999, number);
    t.same(parseRetained(file), { file, batch: name.replace('.gz', ''), settledMs });
  }
  for (const strange of [
    'batch_20261124_000545_1.jsonl',
    'batch_20261124_000545_1.settled_20261124_000601.jsonl.gz.tmp',
    'batch_20261324_000545_1.settled_20261124_000601.jsonl',
    'batch_20261124_000545_1.settled_20261124_006001.jsonl',
  ])
    t.equal(parseRetained(strange), null, strange);
  const parsed = [
    'batch_20261124_000545_10.settled_20261124_000601.jsonl',
    'batch_20261124_000545_9.settled_20261124_000602.jsonl',
    'batch_20261124_000545_9.settled_20261124_000601.jsonl',
  ].flatMap((name) => parseRetained(name) ?? []);
  const files = (order: typeof bySettled): string[] => parsed.toSorted(order).map(({ file }) => file);
  t.same(files(bySettled), [parsed[2]?.file, parsed[0]?.file, parsed[1]?.file]);
  t.same(files(byArrival), [parsed[2]?.file, parsed[1]?.file, parsed[0]?.file]);
  t.end();
});

void t.test('of very many names memory holds the oldest', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'retained'));
  const nameOf = (n: number): string => retainedName(leftName(n), 1000 * n, 1);
  for (let n = 25; n >= 1; n--) writeFileSync(join(dir, 'retained', nameOf(n)), '');
  const { files, areAll } = await firstRetained(nodeFileSystem, dir, bySettled, 10);
  t.equal(areAll, false);
  t.same(
    files.map(({ file }) => file),
    Array.from({ length: 10 }, (_, index) => nameOf(index + 1)),
  );
  const oldest = new OldestFiles(nodeFileSystem, dir, 10);
  const seen: string[] = [];
  for (let next = await oldest.peek(); next !== null; next = await oldest.peek()) {
    t.equal(oldest.shift(), next);
    rmSync(join(dir, 'retained', next.file));
    seen.push(next.file);
    if (seen.length === 5) {
      writeFileSync(join(dir, 'retained', nameOf(26)), '');
      oldest.added(nameOf(26));
    }
  }
  t.same(
    seen,
    Array.from({ length: 26 }, (_, index) => nameOf(index + 1)),
  );
  oldest.added(nameOf(27));
  t.match(await oldest.peek(), { file: nameOf(27) });
});

void t.test('a server says that --retain is for files', async (t) => {
  const server = new ServerProcess(['--port', '0', '--log', 'jetstream', '--retain', '7d']);
  t.equal(await server.exited, 78);
  t.match(server.stderr, /--retain needs --log file: what is delivered leaves a stream/);
});

void t.test(
  'with workers each has a part of the bound, and files of workers that are gone are looked after',
  async (t) => {
    const dir = tempDir(t);
    const flags = ['--log-dir', dir, '--retain', '1h', '--batch-wait', '10'];
    const server = await ServerProcess.start(...flags, '--workers', '2');
    const { post } = clientsOf(t, server.port);
    await Promise.all(Array.from({ length: 50 }, async (_, n) => post(eventText(`e${n}`))));
    const workers = ['worker-1', 'worker-2'];
    const count = (): number =>
      workers.reduce((sum, each) => sum + retainedText(join(dir, each)).split('\n').length - 1, 0);
    await until(() => count() === 50, 'all are kept');
    t.equal(await server.stop('SIGTERM'), 0);
    const bytes = (each: string): number =>
      retainedFiles(join(dir, each)).reduce(
        (sum, name) => sum + statSync(join(dir, each, 'retained', name)).size,
        0,
      );
    t.ok(bytes('worker-1') + bytes('worker-2') > 0);

    const alone = await ServerProcess.start('--log-dir', dir, '--retain-max', '1024');
    const areTrimmed = (): boolean => workers.every((each) => retainedFiles(join(dir, each)).length === 0);
    await until(areTrimmed, 'the directories of workers are trimmed');
    t.equal(await alone.stop('SIGTERM'), 0);
  },
);

void t.test('log lines say which files are retained, and which are deleted', async (t) => {
  const dir = tempDir(t);
  const left = leftName(1);
  writeFileSync(join(dir, left), `${eventText('left')}\n`);
  const sink = ['--sink', 'file', '--sink-file', join(tempDir(t), 'sink.jsonl')];
  const flags = ['--log-dir', dir, '--retain', '1h', '--batch-wait', '5ms', ...sink];
  const server = await ServerProcess.start(...flags);
  t.teardown(async () => server.stop('SIGKILL'));
  await server.line(new RegExp(`Successfully replayed and retained: ${left}$`));
  const post = async (id: string): Promise<void> => {
    const headers = { 'content-type': 'application/json' };
    const { status } = await fetch(server.url, { method: 'POST', headers, body: eventText(id) });
    t.equal(status, 202);
  };
  await post('a');
  const line = await server.line(/Retained batch file: /);
  const [fresh = ''] = /batch_\S+$/.exec(line) ?? [];
  t.same(
    retainedFiles(dir).map((file) => parseRetained(file)?.batch),
    [left, fresh],
  );
  // nothing can be kept: the file is deleted
  rmSync(join(dir, 'retained'), { recursive: true });
  writeFileSync(join(dir, 'retained'), '');
  await post('b');
  await server.line(/Deleted batch file: /);
  t.same(batchFiles(dir), []);
});
