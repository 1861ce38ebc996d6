import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { AppendLog } from '../../../lib/logs/file/append-log.js';
import type { Batch } from '../../../lib/seams/batch.js';
import { markedLine } from '../../../lib/logs/file/checksum.js';
import { createForebay } from '../../../lib/forebay.js';
import type { Forebay } from '../../../lib/forebay.js';
import { Reporter, silentLogger } from '../../../lib/base/reporter.js';
import type { Sink } from '../../../lib/seams/sink.js';
import { SinkError } from '../../../lib/seams/sink-error.js';
import { deliverLeft, unopenable } from '../../helpers/delivery-bench.js';
import type { DeliveryBench } from '../../helpers/delivery-bench.js';
import { batchFiles, leftName, memoryDir, readQuarantine } from '../../helpers/left-files.js';
import { addsUp, eventText, idsOf, until } from '../../helpers/running-forebay.js';
import { ServerProcess } from '../../helpers/server-process.js';
import { tempDir } from '../../helpers/temp-dir.js';

const MIB = 1024 * 1024;
const RUN = '0123456789abcdef';
const NAME = leftName(1);
const FILE_BOUNDS = { wholeMax: 1000, piece: 500, lineMax: 2000 };

interface Read {
  readonly pieces: readonly Batch[];
  readonly key: string;
  readonly log: AppendLog;
  readonly dir: string;
}

/** The pieces of a file, by a log that takes files of more than 1,000 bytes for large. */
async function piecesOf(t: Test, file: string | Buffer): Promise<Read> {
  const dir = tempDir(t);
  writeFileSync(join(dir, NAME), file);
  const log = await AppendLog.open({
    dir,
    fsync: 'never',
    reporter: new Reporter(),
    fileBounds: FILE_BOUNDS,
  });
  t.teardown(() => log.close());
  const [sealed] = await log.list(null, 1);
  if (sealed === undefined) throw new Error('no file');
  const batch = await log.read(sealed);
  t.equal(batch.bytes.length, 0, 'its bytes are not in memory');
  const pieces: Batch[] = [];
  for (const piece of batch.pieces) pieces.push(await piece.read());
  t.equal(
    batch.events,
    pieces.reduce((sum, { events }) => sum + events, 0),
  );
  return { pieces, key: batch.key, log, dir };
}

const ids = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `e${from + index}`);
const linesOf = (batches: readonly Batch[]): string[] =>
  batches.flatMap(({ bytes }) =>
    bytes
      .toString()
      .split('\n')
      .filter((line) => line !== ''),
  );

void t.test('a large file comes in pieces of whole lines, with keys of their own', async (t) => {
  const texts = ids(0, 40).map((id) => eventText(id));
  const file = texts.map((text, n) => markedLine(text, n === 0 ? RUN : null)).join('');
  const { pieces, key } = await piecesOf(t, file);
  t.ok(pieces.length > 5);
  t.ok(pieces.every(({ bytes }) => bytes.length <= 500));
  t.same(linesOf(pieces), texts);
  t.match(key, `${RUN}-${NAME}@`);
  let at = 0;
  for (const { key: own, name, events } of pieces) {
    t.match(own, `${RUN}-${NAME}#${at + 1}-${at + events}@`);
    t.equal(name, `${NAME}#${at + 1}-${at + events}`);
    at += events;
  }
});

void t.test('what is damaged in a large file is set aside, and its torn end dropped', async (t) => {
  const lines = ids(0, 40).map((id) => Buffer.from(markedLine(eventText(id))));
  lines[20]?.write('?', 10);
  const file = Buffer.concat([...lines, Buffer.from('{"id":"torn')]);
  const { pieces, log, dir } = await piecesOf(t, file);
  t.same(idsOf(linesOf(pieces)), [...ids(0, 20), ...ids(21, 40)]);
  t.same([...readQuarantine(dir).values()], [lines[20]]);
  t.match(log, { torn: 1, quarantined: 1, pendingEvents: 39, recoveredEvents: 40, unreadBatches: 0 });
});

void t.test('whether a large file has marks is a matter of the whole of it', async (t) => {
  const plain = ids(0, 40).map((id) => eventText(id));
  const padded = plain.map((text, n) => (n === 1 ? `${text}${'\t'.repeat(20)}${' '.repeat(20)}` : text));
  t.same(idsOf(linesOf((await piecesOf(t, `\ufeff${padded.join('\n')}`)).pieces)), ids(0, 40));
  // without its mark a line is damaged in a file that has some
  const marked = markedLine(eventText('marked'));
  const { pieces, log } = await piecesOf(t, `${plain.join('\n')}\n${marked}`);
  t.same(idsOf(linesOf(pieces)), ['marked']);
  t.equal(log.quarantined, 40);
});

void t.test('a line may be longer than a piece, and one that is too long is set aside', async (t) => {
  const long = eventText('long', 'x'.repeat(1500));
  const file = [eventText('a'), long, 'y'.repeat(5000) + eventText('no'), eventText('b')].join('\n');
  const { pieces, dir, log } = await piecesOf(t, `${file}\n`);
  t.same(linesOf(pieces), [eventText('a'), long, eventText('b')]);
  const positionOf = (name: string): number => Number(name.split('#')[1] ?? 0);
  const aside = [...readQuarantine(dir)].toSorted(([a], [b]) => positionOf(a) - positionOf(b));
  t.equal(
    Buffer.concat(aside.map(([, bytes]) => bytes)).toString(),
    `${'y'.repeat(5000)}${eventText('no')}\n`,
  );
  t.equal(log.pendingEvents, 3);
});

/** Keeps what it needs to know, not the bytes. */
class PieceSink implements Sink {
  readonly keys: string[] = [];
  readonly largest = { bytes: 0 };
  taken = 0;
  /** Refuses the event with this id. */
  refused: string | null = null;
  /** Fails from this attempt on. */
  failsAt = Infinity;

  async deliver({ key, bytes, events }: Batch): Promise<void> {
    this.largest.bytes = Math.max(this.largest.bytes, bytes.length);
    this.keys.push(key);
    if (this.keys.length >= this.failsAt) throw new SinkError('not now', { status: 503 });
    const at = this.refused === null ? -1 : bytes.indexOf(`"${this.refused}"`);
    if (at !== -1) {
      const index = bytes.subarray(0, at).filter((byte) => byte === 10).length;
      throw new SinkError('no', { status: 422, refused: [{ index, reason: 'no', status: 422 }] });
    }
    this.taken += events;
  }
}

/** Few for their size: what takes time is each event, what makes a file large are its bytes. */
const EVENTS = 4000;

/** Writes 40 MB of events. */
function writeLarge(path: string): void {
  const fd = openSync(path, 'w');
  for (let from = 0; from < EVENTS; from += 100) {
    const some = Array.from({ length: 100 }, (_, n) =>
      markedLine(eventText(`e${from + n}`, 'x'.repeat(9950))),
    );
    writeSync(fd, some.join(''));
  }
  closeSync(fd);
}

async function startOnLarge(t: Test, dir: string, sink: PieceSink, more: object = {}): Promise<Forebay> {
  const forebay = createForebay({ logDir: dir, sink, replayWaitMs: 60_000, ...more });
  t.teardown(() => forebay.stop(0));
  await forebay.start();
  return forebay;
}

void t.test('a large file is delivered piece by piece, also by a second start', async (t) => {
  const dir = memoryDir(t);
  writeLarge(join(dir, NAME));
  const failing = new PieceSink();
  failing.failsAt = 3;
  const first = await startOnLarge(t, dir, failing);
  t.match(first.counts(), { accepted: EVENTS, pending: EVENTS, delivered: 0, unreadBatches: 0 });
  await first.stop(0);
  const sink = new PieceSink();
  sink.refused = 'e3000';
  const second = await startOnLarge(t, dir, sink);
  await until(() => second.counts().pending === 0, 'all is delivered');
  t.match(second.counts(), { accepted: EVENTS, delivered: EVENTS - 1, deadLettered: 1, quarantined: 0 });
  addsUp(t, second);
  t.same(sink.keys.slice(0, 3), failing.keys.slice(0, 3), 'the keys are the same');
  t.ok(sink.largest.bytes <= 8 * MIB);
  t.equal(new Set(sink.keys).size, sink.keys.length);
  const letters = readdirSync(join(dir, 'dead-letters'));
  t.match(letters, [/\.jsonl\.\d+-\d+$/], 'named like its piece');
  t.match(readFileSync(join(dir, 'dead-letters', letters[0] ?? ''), 'utf8'), /"event":\{"id":"e3000"/);
  t.same(batchFiles(dir), []);
});

void t.test(
  'without room for its dead letters a large file waits aside, and the sink is not asked again',
  async (t) => {
    const dir = memoryDir(t);
    writeLarge(join(dir, NAME));
    writeFileSync(join(dir, leftName(2)), markedLine(eventText('other')));
    const sink = new PieceSink();
    sink.refused = 'e3000';
    const letters = join(dir, 'dead-letters');
    mkdirSync(letters);
    writeFileSync(join(letters, leftName(9)), 'x'.repeat(1024));
    const forebay = await startOnLarge(t, dir, sink, { deadLettersBytesMax: 1024 });
    t.match(forebay.counts(), { accepted: EVENTS + 1, pending: EVENTS, delivered: 1 }, 'others go on');
    t.equal(forebay.sinkState()?.batchesAside, 1);
    addsUp(t, forebay);
    rmSync(join(letters, leftName(9)));
    await until(() => forebay.counts().pending === 0, 'it is delivered');
    t.match(forebay.counts(), { accepted: EVENTS + 1, delivered: EVENTS, deadLettered: 1, quarantined: 0 });
    addsUp(t, forebay);
  },
);

/** How a sink takes the events of a test: those that it fails at, those that it refuses. */
class Moods implements Sink {
  readonly taken: string[] = [];
  readonly keys = new Map<string, string>();
  bad: readonly string[] = [];
  refused: readonly string[] = [];
  readonly t: Test;
  /** Called with the ids before an answer. */
  asked: (ids: readonly string[]) => void = () => undefined;

  constructor(t: Test) {
    this.t = t;
  }

  async deliver({ key, bytes }: Batch): Promise<void> {
    const given = idsOf(bytes.toString().split('\n').slice(0, -1));
    const before = this.keys.get(key) ?? given.join();
    if (given.join() !== before) this.t.fail(`${key} is of ${before}, and of ${given.join()}`);
    this.keys.set(key, before);
    this.asked(given);
    if (given.some((id) => this.bad.includes(id))) throw new SinkError('it broke', { status: 500 });
    this.taken.push(...given.filter((id) => !this.refused.includes(id)));
    const refused = given.flatMap((id, index) =>
      this.refused.includes(id) ? [{ index, reason: 'no', status: 422 }] : [],
    );
    if (refused.length > 0) throw new SinkError('some are bad', { status: 207, refused });
  }
}

/** A Delivery that takes files of more than 1,000 bytes for large, with pieces of some 8 events. */
async function bench(
  t: Test,
  dir: string,
  sink: Sink,
  more: Parameters<typeof deliverLeft>[3] = {},
): Promise<DeliveryBench> {
  return deliverLeft(t, dir, sink, { fileBounds: FILE_BOUNDS, ...more });
}

/** Leaves a file of events `e0`, … */
function leave(dir: string, name: string, events: number, from = 0): void {
  const lines = ids(from, from + events).map((id, n) => markedLine(eventText(id), n === 0 ? RUN : null));
  writeFileSync(join(dir, name), lines.join(''));
}

void t.test('events of a large file that wait apart hold up no other piece of it, nor others', async (t) => {
  t.intercept(Math, 'random', { value: () => 0.02 }); // tries again soon
  const dir = tempDir(t);
  leave(dir, NAME, 40);
  leave(dir, leftName(2), 3, 100);
  const sink = new Moods(t);
  sink.bad = ['e1', 'e12', 'e13'];
  sink.refused = ['e2', 'e30'];
  const { log, delivery } = await bench(t, dir, sink);
  await until(() => sink.taken.length === 38, 'all others are delivered');
  t.equal(new Set(sink.taken).size, 38, 'each once');
  await until(() => delivery.delivered === 3, 'the other file is settled');
  t.same(batchFiles(dir), [NAME], 'their file is there');
  const letters = readdirSync(join(dir, 'dead-letters')).map((name) =>
    readFileSync(join(dir, 'dead-letters', name), 'utf8'),
  );
  t.match(letters.join(''), /"e30"/, 'what is settled has its letters');
  t.equal(log.pendingEvents, 40);
  sink.bad = ['e12'];
  await until(
    () => sink.taken.includes('e13') && sink.taken.includes('e1'),
    'those that it takes now',
    60_000,
  );
  t.equal(delivery.delivered, 3);
  sink.bad = [];
  await until(() => delivery.delivered === 41, 'and the last one');
  t.same(
    sink.taken.toSorted(),
    [...ids(0, 40), ...ids(100, 103)].filter((id) => id !== 'e2' && id !== 'e30').toSorted(),
  );
  t.match(
    { deadLettered: delivery.deadLettered, pending: log.pendingEvents },
    { deadLettered: 2, pending: 0 },
  );
  t.same(batchFiles(dir), []);
});

void t.test(
  'a large file of which events wait apart comes again after a crash, with the same keys',
  async (t) => {
    t.intercept(Math, 'random', { value: () => 0.02 });
    const dir = tempDir(t);
    leave(dir, NAME, 40);
    const sink = new Moods(t);
    sink.bad = ['e12'];
    sink.refused = ['e2', 'e14', 'e30'];
    const { delivery } = await bench(t, dir, sink);
    await until(() => delivery.sinkState.isolatedEvents === 1, 'one waits apart');
    await until(() => sink.taken.length === 36, 'the others are delivered');
    // what a kill leaves is what is in the directory
    const copy = tempDir(t);
    cpSync(dir, copy, { recursive: true });
    sink.bad = [];
    const next = await bench(t, copy, sink);
    await until(() => next.delivery.delivered === 37, 'all are delivered');
    t.equal(next.delivery.deadLettered, 3);
    const letters = readdirSync(join(copy, 'dead-letters'))
      .flatMap((name) =>
        readFileSync(join(copy, 'dead-letters', name), 'utf8')
          .split('\n')
          .slice(0, -1),
      )
      .map((line) => /"event":\{"id":"(\w+)"/.exec(line)?.[1] ?? '');
    t.same(letters.toSorted(), ['e14', 'e2', 'e30'], 'each letter once');
    t.same(batchFiles(copy), []);
  },
);

void t.test('parts of pieces with equal events have keys of their own', async (t) => {
  t.intercept(Math, 'random', { value: () => 0.02 });
  const dir = tempDir(t);
  const lines = Array.from({ length: 40 }, () => markedLine(eventText('same')));
  writeFileSync(join(dir, NAME), lines.join(''));
  const keys: string[] = [];
  const names: string[] = [];
  const sink: Sink = {
    async deliver({ name, key, events }) {
      if (events > 2) throw new SinkError('too many', { status: 413, refused: 'all' });
      names.push(name);
      keys.push(key);
    },
  };
  const { delivery } = await bench(t, dir, sink);
  await until(() => delivery.delivered === 40, 'all are delivered');
  t.equal(new Set(names).size, names.length);
  t.equal(new Set(keys).size, keys.length);
});

void t.test('the dead letters of a large file do not wait for those of its own pieces', async (t) => {
  const dir = tempDir(t);
  for (const n of [1, 2]) leave(dir, leftName(n), 40, 100 * n);
  leave(dir, leftName(3), 1, 300);
  const sink = new Moods(t);
  sink.refused = [0, 10, 20, 30, 39].flatMap((n) => [`e${100 + n}`, `e${200 + n}`]);
  const { delivery, log } = await bench(t, dir, sink, { deadLettersBytesMax: 600 });
  await until(() => delivery.deadLettered === 5, 'the first is settled');
  await until(() => delivery.sinkState.batchesAside === 1, 'the second waits for room');
  t.match(delivery.sinkState, { deadLettersFull: true });
  await until(() => delivery.delivered === 36, 'the third is delivered');
  t.same(batchFiles(dir), [leftName(2)]);
  t.equal(sink.taken.length, 71, 'what it has of good events is delivered');
  for (const name of readdirSync(join(dir, 'dead-letters'))) rmSync(join(dir, 'dead-letters', name));
  await until(() => delivery.deadLettered === 10, 'there is room');
  t.equal(delivery.delivered, 71);
  t.equal(log.pendingEvents, 0);
  t.same(batchFiles(dir), []);
});

void t.test('damage that comes while a large file is delivered is set aside, and told', async (t) => {
  const dir = tempDir(t);
  leave(dir, NAME, 40);
  const lines = readFileSync(join(dir, NAME), 'utf8').split(/(?<=\n)/);
  const sink = new Moods(t);
  sink.asked = (given) => {
    if (!given.includes('e0')) return;
    const fd = openSync(join(dir, NAME), 'r+');
    writeSync(fd, '?', lines.slice(0, 20).join('').length + 10);
    closeSync(fd);
  };
  const said: string[] = [];
  const warn = (_fields: object, text: string): void => void said.push(text);
  const logger = { ...silentLogger, warn, error: warn };
  const { delivery, log } = await bench(t, dir, sink, { logger });
  await until(() => sink.taken.length === 39 && log.pendingEvents === 0, 'it is settled');
  t.same(sink.taken, [...ids(0, 20), ...ids(21, 40)]);
  t.match({ delivered: delivery.delivered, gone: log.quarantined }, { delivered: 39, gone: 1 });
  const [line = ''] = [...readQuarantine(dir).values()].map(String);
  t.equal(line, `${lines[20]?.slice(0, 10)}?${lines[20]?.slice(11)}`);
  t.equal(
    said.filter((text) => /^Damaged since it was looked at: 1 event of .*set aside in/.test(text)).length,
    1,
  );
});

void t.test('a piece that cannot be read for a while holds up no other file', async (t) => {
  t.intercept(Math, 'random', { value: () => 0.02 });
  const dir = tempDir(t);
  leave(dir, NAME, 40);
  leave(dir, leftName(2), 1, 100);
  let isBroken = false;
  const fs = unopenable((name) => (isBroken && name === NAME ? 'EIO' : null));
  const sink = new Moods(t);
  sink.asked = (given) => (isBroken ||= given.includes('e0'));
  const { delivery } = await bench(t, dir, sink, { fs });
  await until(() => sink.taken.includes('e100'), 'the next file is delivered');
  t.notOk(sink.taken.includes('e39'));
  isBroken = false;
  sink.asked = () => undefined;
  await until(() => delivery.delivered === 41, 'and it is once it can be read');
  t.equal(sink.taken.length, 41, 'each event once');
});

void t.test(
  'a file of 300 MB takes no more memory than a few pieces of it',
  { skip: process.platform === 'linux' ? false : 'reads /proc' },
  async (t) => {
    const dir = memoryDir(t);
    const fd = openSync(join(dir, NAME), 'w');
    // by hand, without marks: the slower way to read it
    const lines = `${Array.from({ length: 100 }, (_, n) => eventText(`e${n}`, 'x'.repeat(5000))).join('\n')}\n`;
    let events = 0;
    for (let bytes = 0; bytes < 300 * MIB; bytes += lines.length) {
      writeSync(fd, lines);
      events += 100;
    }
    closeSync(fd);
    const server = await ServerProcess.start(
      '--log-dir',
      dir,
      '--sink',
      'file',
      '--sink-file',
      join(memoryDir(t), 'sink.jsonl'),
      '--replay-wait',
      '300000',
    );
    t.ok(server.lines.some((line) => line.includes(`(${events} events)`)));
    const peak = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1];
    t.comment(`at most ${Math.round(Number(peak) / 1024)} MB`);
    t.ok(Number(peak) < 350 * 1024, `${peak} kB`);
    t.equal(await server.stop('SIGTERM'), 0);
    t.same(batchFiles(dir), []);
  },
);
