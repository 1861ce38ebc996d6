import { existsSync, linkSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AppendLog } from '../../lib/logs/file/append-log.js';
import { flushDirectory, nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { DirectorySync } from '../../lib/logs/file/directory-sync.js';
import { Reserve, RESERVE_BYTES } from '../../lib/logs/file/reserve.js';
import { Reporter } from '../../lib/base/reporter.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { FILE, LINES, TEXTS } from '../helpers/accounted-files.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { heldDisk } from '../helpers/held-disk.js';
import { clientsOf, openHttp } from '../helpers/http-door.js';
import type { HttpDoor } from '../helpers/http-door.js';
import { batchFiles, leftName, memoryDir, pieces, readQuarantine } from '../helpers/left-files.js';
import { addsUp, codeOf, eventText, idsOf, startForebay, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { noSmallDisk, smallDisk } from '../helpers/small-disk.js';
import { tempDir } from '../helpers/temp-dir.js';

const skip = noSmallDisk();
const PADDING = 'x'.repeat(4000);

/** A client that sends events and keeps the ids of those that were acknowledged. */
class Sender {
  readonly acknowledged: string[] = [];
  /** Answers that were neither 202 nor the refusal of a disk that is full. */
  readonly strange: unknown[] = [];
  #sent = 0;

  /** Sends so many events at once. Resolves to how many were acknowledged. */
  async send({ post }: HttpDoor, events: number): Promise<number> {
    const before = this.acknowledged.length;
    await Promise.all(
      Array.from({ length: events }, async () => {
        const id = `e${++this.#sent}`;
        const answer = await post(eventText(id, PADDING));
        if (answer.status === 202) this.acknowledged.push(id);
        else if (answer.status !== 503 || answer.code !== 'LOG_FAILED' || answer.retryAfter !== 1)
          this.strange.push(answer);
      }),
    );
    return this.acknowledged.length - before;
  }

  /** Sends until the disk has no room for a single event any more. */
  async fill(door: HttpDoor): Promise<void> {
    while ((await this.send(door, 8)) > 0);
    for (let refused = 0; refused < 5;) refused = (await this.send(door, 1)) > 0 ? 0 : refused + 1;
  }
}

void t.test(
  'a full disk, a kill -9 and a sink that is down lose no acknowledged event',
  { skip },
  async (t) => {
    const [logDisk, sinkDisk] = [smallDisk(t, '1m'), smallDisk(t, '16m')];
    const sinkFile = join(sinkDisk.dir, 'sink.jsonl');
    const log = join(logDisk.dir, 'log');
    const flags = ['--log-dir', log, '--sink', 'file', '--sink-file', sinkFile, '--batch-size', '20'];
    const delivered = (): string[] => idsOf(readFileSync(sinkFile, 'utf8').split('\n').slice(0, -1));
    const all = async (sent: Sender): Promise<void> => {
      await until(() => new Set(delivered()).size === sent.acknowledged.length, 'all is delivered');
    };
    writeFileSync(join(logDisk.dir, 'reserve'), Buffer.alloc(300_000));
    sinkDisk.fill();
    const sender = new Sender();

    const first = await ServerProcess.start(...flags);
    const door = clientsOf(t, first.port);
    await sender.fill(door);
    const whenFull = sender.acknowledged.length;
    t.ok(whenFull > 100, `${whenFull} events fill the disk`);
    t.match(await door.get('/health'), { status: 200 });

    writeFileSync(join(logDisk.dir, 'reserve'), '');
    await sender.fill(door);
    t.ok(sender.acknowledged.length > whenFull + 50, 'with space the same server takes events again');
    t.equal(await first.stop('SIGKILL'), null);

    const second = await ServerProcess.start(...flags, '--replay-wait', '0');
    const doorAgain = clientsOf(t, second.port);
    t.equal(await sender.send(doorAgain, 8), 0, 'it starts on the full disk');
    sinkDisk.free();
    await all(sender);
    t.ok((await sender.send(doorAgain, 50)) > 0, 'and takes events when what filled the disk is delivered');
    await all(sender);
    t.same(delivered().toSorted(), sender.acknowledged.toSorted(), 'each once, and nothing that was refused');
    t.same(sender.strange, []);
    t.equal(await second.stop('SIGTERM'), 0);
    t.same(batchFiles(log), []);
  },
);

void t.test('delivery goes on while the disk is full of something else', { skip }, async (t) => {
  const disk = smallDisk(t, '1m');
  const running = await startForebay(t, {
    logDir: join(disk.dir, 'log'),
    batchSize: 10,
    fileEvents: 1,
    batchWaitMs: 600_000,
  });
  const { forebay, sink, dir, said } = running;
  sink.held = true;
  const door = await openHttp(t, forebay);
  const sender = new Sender();
  await sender.send(door, 50);
  t.equal(sender.acknowledged.length, 50);
  // what is delivered does not come free: each file has a second name
  await until(() => batchFiles(dir).length === 5 && forebay.counts().pending === 50, 'all is on disk');
  for (const name of batchFiles(dir)) linkSync(join(dir, name), join(disk.dir, name));
  disk.fill();
  t.equal(await sender.send(door, 10), 0);
  t.match(await door.get('/ready'), { status: 503, code: 'LOG_FAILED', retryAfter: 1 });
  sink.release();
  await until(() => forebay.counts().delivered === 50, 'all is delivered');
  t.equal(await sender.send(door, 10), 0, 'the disk is still full');
  disk.free();
  t.equal(await sender.send(door, 10), 10, 'the same server takes events again by itself');
  t.match(await door.get('/ready'), { status: 200 });
  const well = said.filter(({ text }) => text.startsWith('The disk takes events again'));
  t.match(well, [{ level: 'info' }]);
  await until(() => forebay.counts().pending === 0, 'all is delivered');
  t.same(idsOf(sink.lines).toSorted(), sender.acknowledged.toSorted());
  t.same(sender.strange, []);
  addsUp(t, forebay);
});

/** The second line of three is damaged. */
const DAMAGED = Buffer.from(FILE);
DAMAGED.writeUInt8(DAMAGED.readUInt8((LINES[0]?.length ?? 0) + 3) ^ 4, (LINES[0]?.length ?? 0) + 3);

for (const real of [true, false]) {
  const where = real ? 'a disk that is full' : 'a disk that says it is full';
  void t.test(
    `a damaged file on ${where} waits, with its bytes, until they can be set aside; the others do not wait`,
    { skip: real && skip },
    async (t) => {
      t.intercept(Math, 'random', { value: () => 0.1 }); // tries again soon
      const small = real ? smallDisk(t, '1m') : null;
      const disk = heldDisk();
      const dir = join(small?.dir ?? memoryDir(t), 'log');
      mkdirSync(dir);
      for (const n of [1, 2, 3]) writeFileSync(join(dir, leftName(n)), n === 1 ? DAMAGED : FILE);
      // so that a delivery frees nothing
      if (small !== null)
        for (const n of [2, 3]) linkSync(join(dir, leftName(n)), join(small.dir, leftName(n)));
      if (small === null) disk.fail('write', 'ENOSPC');
      else small.fill();
      const { forebay, sink, said } = await startForebay(t, { logDir: dir, fs: disk.fs });
      t.equal(await codeOf(forebay.write(eventText('a'))), 'LOG_FAILED');
      await until(() => forebay.counts().delivered === 6, 'the others are delivered');
      t.same(sink.lines, [...TEXTS, ...TEXTS]);
      t.same(readFileSync(join(dir, leftName(1))), DAMAGED, 'it waits untouched');
      t.match(forebay.counts(), { accepted: 6, quarantined: 0, unreadBatches: 1 });
      t.ok(said.some(({ text }) => text.includes(`${leftName(1)} cannot be read: others go first`)));
      if (small === null) disk.fail('write', null);
      else small.free();
      await until(() => forebay.counts().delivered === 8, 'its sound events are delivered');
      t.same(sink.lines.slice(6), [TEXTS[0], TEXTS[2]]);
      t.same(readQuarantine(dir), new Map([[leftName(1), pieces(DAMAGED)[1]]]));
      t.equal(said.filter(({ text }) => text.startsWith('Damaged')).length, 1);
      await forebay.write(eventText('b'));
      await until(() => forebay.counts().pending === 0, 'all is delivered');
      t.match(forebay.counts(), { accepted: 10, delivered: 9, quarantined: 1, unreadBatches: 0 });
      t.same(batchFiles(dir), []);
    },
  );
}

void t.test(
  'a disk that says it is full takes nothing, delivers, and takes events when it says so no more',
  async (t) => {
    for (const method of ['write', 'fdatasync', 'fsync'] as const) {
      const disk = heldDisk();
      const { forebay, sink } = await startForebay(t, {
        logDir: tempDir(t),
        fs: disk.fs,
        batchSize: 10,
        fileEvents: 1,
      });
      sink.held = true;
      const door = await openHttp(t, forebay);
      const sender = new Sender();
      await sender.send(door, 50);
      await until(() => sink.attempts.length > 0, 'a batch is at the sink');
      disk.fail(method, 'ENOSPC');
      const refused = await sender.send(door, 10);
      t.ok(refused <= 9, 'at most those behind the names that are there already');
      sink.release();
      await until(() => forebay.counts().delivered >= 10, 'delivery goes on');
      disk.fail(method, null);
      t.equal(await sender.send(door, 10), 10, 'it takes events again by itself');
      await until(() => forebay.counts().pending === 0, 'all is delivered');
      const arrived = idsOf(sink.lines);
      t.same(
        sender.acknowledged.filter((id) => !arrived.includes(id)),
        [],
        `${method}: nothing is lost`,
      );
      if (method !== 'fdatasync') {
        t.same(sender.strange, []);
        t.equal(arrived.length, sender.acknowledged.length, 'and nothing that was refused is delivered');
      }
      addsUp(t, forebay);
    }
  },
);

void t.test(
  'on a full disk refused events become dead letters, also after a restart, and the door opens again',
  { skip },
  async (t) => {
    const disk = smallDisk(t, '4m');
    const logDir = join(disk.dir, 'log');
    const sink = new CollectingSink();
    sink.error = new SinkError('not now', { reached: false });
    const options = { logDir, batchSize: 1, batchWaitMs: 10 };
    const first = await startForebay(t, options, sink);
    for (let n = 0; n < 20; n++) await first.forebay.write(eventText(`e${n}`));
    disk.fill();
    await first.forebay.stop(0);
    // the folder of the dead letters is not even there
    sink.error = new SinkError('never', { status: 400, refused: 'all' });
    const { forebay } = await startForebay(t, { ...options, replayWaitMs: 0 }, sink);
    await until(() => forebay.counts().deadLettered === 20, 'all are dead letters');
    t.match(forebay.sinkState(), { batchesAside: 0 });
    t.same(batchFiles(logDir), []);
    disk.free();
    sink.error = null;
    await forebay.write(eventText('new'));
    t.ok(existsSync(join(logDir, 'forebay.reserve')), 'the reserve was put back before');
    await until(() => forebay.counts().delivered === 1, 'it is delivered');
    addsUp(t, forebay);
  },
);

void t.test(
  'work that meets a full disk while the reserve is put back is done again after that',
  async (t) => {
    const full = Object.assign(new Error('a test says that the disk is full'), { code: 'ENOSPC' });
    const fail: (() => void)[] = [];
    const fs = Object.create(nodeFileSystem, {
      open: {
        value: (_path: string, _flags: string, _mode: number, done: (error: Error) => void) => {
          fail.push(() => {
            done(full);
          });
        },
      },
    }) as FileSystem;
    const dir = tempDir(t);
    const reserve = new Reserve(fs, dir, new DirectorySync(async () => flushDirectory(fs, dir)));
    const holding = reserve.tryToHold();
    await until(() => fail.length === 1, 'it is being put back');
    let times = 0;
    const lent = reserve.lend(async () => {
      times++;
      if (times === 1) throw full; // the room is in the file that is being written
      return Promise.resolve('done');
    });
    fail[0]?.();
    t.equal(await lent, 'done');
    await holding;
    t.equal(times, 2);
    await t.rejects(
      reserve.lend(() => Promise.reject(full)),
      full,
      'if nothing is put back, there is no more room to be had',
    );
  },
);

void t.test('events do not take the room of the reserve while it is lent', async (t) => {
  const dir = tempDir(t);
  const disk = heldDisk();
  const reporter = new Reporter();
  const log = await AppendLog.open({ dir, fsync: 'always', reporter, fs: disk.fs });
  const reserve = join(dir, 'forebay.reserve');
  t.equal(statSync(reserve).size, RESERVE_BYTES);
  const file = await log.writer.create();
  await log.writer.append(file, Buffer.from(`${eventText('a')}\n`), 1);
  disk.fail('write', 'ENOSPC');
  const batch = { name: leftName(1), key: 'k', bytes: Buffer.from(`${eventText('b')}\n`) };
  const letter = { index: 0, reason: 'no', status: 400, attempts: 1, event: Buffer.from(eventText('b')) };
  await t.rejects(log.deadLetters.keep(batch, [letter]), { code: 'ENOSPC' });
  t.notOk(existsSync(reserve), 'it was given up for the letter');
  await t.rejects(log.writer.append(file, Buffer.from(`${eventText('c')}\n`), 1), { code: 'LOG_FAILED' });
  disk.fail('write', null);
  await log.deadLetters.keep(batch, [letter]);
  t.notOk(existsSync(reserve));
  await log.probe(100);
  t.equal(statSync(reserve).size, RESERVE_BYTES, 'it is back');
  const next = await log.writer.create();
  await log.writer.append(next, Buffer.from(`${eventText('d')}\n`), 1);
  log.writer.seal(file, 'size');
  log.writer.seal(next, 'size');
  await log.close();
  const again = await AppendLog.open({ dir, fsync: 'always', reporter });
  t.equal(again.leftoverBatches, 2, 'it is no batch');
  await again.close();
});

void t.test('an event does not fail with a reserve that was put back before there was room', async (t) => {
  const full = Object.assign(new Error('a test says that the disk is full'), { code: 'ENOSPC' });
  const fail: (() => void)[] = [];
  let isFull = true;
  const open = ((...args: Parameters<typeof nodeFileSystem.open>) => {
    const done = args.at(-1) as (error: Error) => void;
    if (!isFull) nodeFileSystem.open(...args);
    else
      fail.push(() => {
        done(full);
      });
  }) as typeof nodeFileSystem.open;
  const fs = Object.create(nodeFileSystem, { open: { value: open } }) as FileSystem;
  const dir = tempDir(t);
  const names = new DirectorySync(async () => flushDirectory(fs, dir));
  const reserve = new Reserve(fs, dir, names);
  const holding = reserve.tryToHold();
  await until(() => fail.length === 1, 'it is being put back');
  isFull = false;
  const held = reserve.hold();
  fail[0]?.();
  await held;
  await holding;
  t.ok(existsSync(join(dir, 'forebay.reserve')));
  await reserve.close();
  await names.ended();
});
