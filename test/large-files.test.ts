import {
  closeSync,
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
import { AppendLog } from '../lib/append-log/append-log.js';
import type { Batch } from '../lib/append-log/batch.js';
import { markedLine } from '../lib/append-log/line-mark.js';
import { createForebay } from '../lib/forebay.js';
import type { Forebay } from '../lib/forebay.js';
import { LogLines } from '../lib/log-lines.js';
import type { Sink } from '../lib/sinks/sink.js';
import { SinkError } from '../lib/sinks/sink-error.js';
import { batchFiles, leftName, memoryDir, readQuarantine } from './helpers/left-files.js';
import { addsUp, eventText, idsOf, until } from './helpers/running-forebay.js';
import { ServerProcess } from './helpers/server-process.js';
import { tempDir } from './helpers/temp-dir.js';

const MIB = 1024 * 1024;
const RUN = '0123456789abcdef';
const NAME = leftName(1);

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
  const fileBounds = { wholeMax: 1000, piece: 500, lineMax: 2000 };
  const log = await AppendLog.open({ dir, fsync: 'never', lines: new LogLines(), fileBounds });
  t.teardown(() => log.close());
  const [sealed] = await log.list(null, 1);
  if (sealed === undefined) throw new Error('no file');
  const batch = await log.read(sealed);
  t.equal(batch.bytes.length, 0, 'its bytes are not in memory');
  const pieces: Batch[] = [];
  for (const piece of batch.pieces) pieces.push(await log.readPiece(batch, piece));
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
    t.match(own, `${RUN}-${NAME}#${at}-${at + events}@`);
    t.equal(name, `${NAME}#${at}-${at + events}`);
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

const EVENTS = 40_000;

/** Writes 40 MB of events. */
function writeLarge(path: string): void {
  const fd = openSync(path, 'w');
  for (let from = 0; from < EVENTS; from += 1000) {
    const some = Array.from({ length: 1000 }, (_, n) =>
      markedLine(eventText(`e${from + n}`, 'x'.repeat(950))),
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
  sink.refused = 'e30000';
  const second = await startOnLarge(t, dir, sink);
  await until(() => second.counts().pending === 0, 'all is delivered');
  t.match(second.counts(), { accepted: EVENTS, delivered: EVENTS - 1, deadLettered: 1, quarantined: 0 });
  addsUp(t, second);
  t.same(sink.keys.slice(0, 3), failing.keys.slice(0, 3), 'the keys are the same');
  t.ok(sink.largest.bytes <= 8 * MIB);
  t.equal(new Set(sink.keys).size, sink.keys.length);
  const letters = readdirSync(join(dir, 'dead-letters'));
  t.same(letters, [NAME]);
  t.match(readFileSync(join(dir, 'dead-letters', NAME), 'utf8'), /"event":\{"id":"e30000"/);
  t.same(batchFiles(dir), []);
});

void t.test(
  'without room for its dead letters a large file waits aside, and comes again whole',
  async (t) => {
    const dir = memoryDir(t);
    writeLarge(join(dir, NAME));
    writeFileSync(join(dir, leftName(2)), markedLine(eventText('other')));
    const sink = new PieceSink();
    sink.refused = 'e30000';
    const letters = join(dir, 'dead-letters');
    const forebay = createForebay({ logDir: dir, sink, deadLettersBytesMax: 1024, replayWaitMs: 60_000 });
    t.teardown(() => forebay.stop(0));
    mkdirSync(letters);
    writeFileSync(join(letters, leftName(9)), 'x'.repeat(1024));
    await forebay.start();
    t.match(forebay.counts(), { accepted: EVENTS + 1, pending: EVENTS, delivered: 1 }, 'others go on');
    t.equal(forebay.sinkState()?.batchesAside, 1);
    addsUp(t, forebay);
    rmSync(join(letters, leftName(9)));
    await until(() => forebay.counts().pending === 0, 'it is delivered');
    t.match(forebay.counts(), { accepted: EVENTS + 1, delivered: EVENTS, deadLettered: 1, quarantined: 0 });
    addsUp(t, forebay);
  },
);

void t.test(
  'a file of 300 MB takes no more memory than a few pieces of it',
  { skip: process.platform === 'linux' ? false : 'reads /proc' },
  async (t) => {
    const dir = memoryDir(t);
    const fd = openSync(join(dir, NAME), 'w');
    // by hand, without marks: the slower way to read it
    const lines = `${Array.from({ length: 1000 }, (_, n) => eventText(`e${n}`, 'x'.repeat(500))).join('\n')}\n`;
    let events = 0;
    for (let bytes = 0; bytes < 300 * MIB; bytes += lines.length) {
      writeSync(fd, lines);
      events += 1000;
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
