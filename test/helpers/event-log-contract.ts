import { once } from 'node:events';
import type { Readable } from 'node:stream';
import t from 'tap';
import type { Test } from 'tap';
import type { ForebayError } from '../../lib/base/errors.js';
import { EventBlock } from '../../lib/event/event-block.js';
import type { EventContext } from '../../lib/event/event-context.js';
import { DeadLettersFull } from '../../lib/seams/dead-letters.js';
import type { PendingBatch, StoredBatch } from '../../lib/seams/batch.js';
import type {
  BatchEnd,
  BatchPart,
  EventLog,
  EventRange,
  Group,
  QueuedEvents,
} from '../../lib/seams/event-log.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { addsUp, buildWith, eventText, idsOf, until } from './running-forebay.js';
import { CollectingSink } from './collecting-sink.js';
import type { Cannot } from './sink-contract.js';

/** A place where a log keeps what it has, over its runs. */
export interface LogPlace {
  /** The next run. */
  readonly open: () => Promise<EventLog>;
  /** Nothing more is durable until it is released. */
  readonly hold: () => void | Promise<void>;
  readonly release: () => void | Promise<void>;
  /** The next append fails and leaves nothing. */
  readonly lose: () => void | Promise<void>;
  /** Nobody knows whether the next append is durable. */
  readonly doubt: () => void | Promise<void>;
  /** From now on all works. */
  readonly mend: () => void | Promise<void>;
}

export interface LogBench {
  readonly place: (t: Test, lettersBytesMax?: number) => LogPlace;
  /** Why none can be had here; `false` if it can. */
  readonly skip?: string | false;
  /** Whether several instances share it. Then it ends batches itself, at two events or after a while, and counts what is left in events. */
  readonly isShared?: boolean;
  /** Whether what was in doubt comes in no case in this run. */
  readonly apart: Cannot | null;
  /** Whether what was in doubt can come in the next run. */
  readonly late: Cannot | null;
}

const LETTER_BYTES = 1100;

/** What every log does, wherever it keeps events. */
export function eventLogContract(name: string, bench: LogBench): void {
  const { place: placeOf, late, apart, skip = false, isShared = false } = bench;
  const claim = (
    title: string,
    check: (t: Test, place: LogPlace) => Promise<void>,
    cannot: Cannot | null = null,
  ): void => {
    const why = cannot === null ? skip : cannot.cannot;
    const run = async (t: Test): Promise<void> => check(t, placeOf(t));
    if (why === false) void t.test(`${name}: ${title}`, run);
    else void t.test(`${name}: ${title}`, { skip: why }, run);
  };
  const found = async (log: EventLog, batches: number): Promise<PendingBatch[]> => {
    let all: PendingBatch[] = [];
    await until(
      async () => (all = await log.find(() => true, 10)).length >= batches,
      `${batches} batches are found`,
    );
    return all;
  };

  claim('what was appended comes out of the backlog, oldest first, byte for byte', async (t, place) => {
    const log = await place.open();
    const reader = read(t, log);
    await append(log, [part(['a', 'b'], 'size'), part(['ü☃', 'd'], 'size')]);
    await append(log, [part(['e'], 'time')]);
    t.match(log, { pendingEvents: 5, leftoverBatches: 0 });
    t.ok(log.pendingBytes >= 5 && (log.oldestBornMs ?? NaN) <= performance.now());
    const batches = [await reader.next(), await reader.next(), await reader.next()];
    const stored = await readAll(log, batches);
    t.same(stored.map(linesOf), [['a', 'b'], ['ü☃', 'd'], ['e']]);
    t.match(log.sealedBy, { size: 2, time: 1 });
    t.equal(new Set(stored.map(({ key }) => key)).size, 3, 'each has a key');
    const names = stored.map((batch) => batch.name);
    t.same(names.toReversed().toSorted(log.compare.bind(log)), names, 'their names are in the order');
    t.same(
      batches.map(({ leftover, past }) => [leftover, past]),
      batches.map(() => [false, null]),
    );
    for (const batch of stored) await log.delete(batch);
    t.match(log, { pendingEvents: 0, pendingBytes: 0, quarantined: 0 });
    await log.close();
  });

  claim('a batch waits for its end, and its parts come together', async (t, place) => {
    const log = await place.open();
    const reader = read(t, log);
    await append(log, [part(['a'], null)]);
    t.equal(log.pendingEvents, 1);
    t.same(await log.find(() => true, 10), [], 'it is not there to be found');
    await append(log, [part(['b'], 'size'), part(['c'], null)]);
    t.same(linesOf(await log.read(await reader.next())), ['a', 'b']);
    await append(log, [part([], 'time')]);
    t.same(linesOf(await log.read(await reader.next())), ['c']);
    t.match(log.sealedBy, { size: 1, time: 1 });
    await log.close();
  });

  claim('each event comes with the context of its request, also in the next run', async (t, place) => {
    const traced: EventContext = { traceparent: traceOf(1), isReplay: false };
    const replayed: EventContext = { traceparent: traceOf(2), isReplay: true };
    const again: EventContext = { traceparent: null, isReplay: true };
    const log = await place.open();
    read(t, log);
    const [three, two] = [request(['a', 'b', 'c'], traced), request(['d', 'e'], replayed)];
    await append(log, [
      partOf([{ request: three, from: 0, to: 2 }], 'size'),
      partOf([{ request: three, from: 2, to: 3 }, allOf(request(['f'], null))], 'size'),
      partOf([allOf(two)], 'size'),
      partOf([allOf(request(['g'], again)), allOf(request(['h'], null))], 'size'),
      partOf([allOf(request(['i', 'j'], null))], 'size'),
    ]);
    const expected = [[traced, traced], [traced, null], [replayed, replayed], [again, null], []];
    const stored = await readAll(log, await found(log, 5));
    t.same(stored.map(linesOf), [
      ['a', 'b'],
      ['c', 'f'],
      ['d', 'e'],
      ['g', 'h'],
      ['i', 'j'],
    ]);
    t.same(
      stored.map(({ contexts }) => contexts),
      expected,
    );
    await log.close();
    const next = await place.open();
    read(t, next);
    const left = (await readAll(next, await found(next, 5))).toSorted((a, b) => next.compare(a.name, b.name));
    t.same(
      left.map(({ contexts }) => contexts),
      expected,
    );
    for (const batch of left) await next.delete(batch);
    t.match(next, { pendingEvents: 0, pendingBytes: 0 });
    await next.close();
  });

  claim('what a run has left comes first in the next, under the same names and keys', async (t, place) => {
    const first = await place.open();
    read(t, first);
    await append(first, [part(['a', 'b'], 'size'), part(['c', 'x'], 'size'), part(['d'], null)]);
    const before = await readAll(first, await found(first, 2));
    await first.delete(before[0] ?? unfound());
    await append(first, [part([], 'stop')]);
    await first.close();
    const log = await place.open();
    if (isShared) t.match(log, { pendingEvents: 3, recoveredEvents: 0 });
    else t.match(log, { leftoverBatches: 2, unreadBatches: 2, pendingEvents: 0, recoveredEvents: 0 });
    const reader = read(t, log);
    await append(log, [part(['e', 'f'], 'size')]);
    const batches = [await reader.next(), await reader.next(), await reader.next()];
    // what was handed back may come after what is new
    if (isShared) batches.sort((a, b) => log.compare(a.name, b.name));
    t.same(
      batches.map(({ leftover }) => leftover),
      [true, true, false],
    );
    const stored = await readAll(log, batches);
    t.same(stored.map(linesOf), [['c', 'x'], ['d'], ['e', 'f']]);
    t.match(stored[0], { name: before[1]?.name, key: before[1]?.key });
    t.ok((batches[0]?.bornMs ?? NaN) <= performance.now());
    t.match(log, { unreadBatches: 0, recoveredEvents: isShared ? 0 : 3, pendingEvents: 5 });
    for (const batch of stored) await log.delete(batch);
    t.match(log, { pendingEvents: 0, pendingBytes: 0 });
    await log.close();
    const last = await place.open();
    t.match(last, { leftoverBatches: 0, pendingEvents: 0 }, 'what is deleted does not come again');
    await last.close();
  });

  claim('nothing is acknowledged before it is durable', async (t, place) => {
    const log = await place.open();
    await append(log, [part(['first'], null)]);
    await place.hold();
    const seen: unknown[] = [];
    const appending = log.append(sized(log, [part(['a'], null)]), (_part, error) => seen.push(error));
    await turns();
    t.same(seen, []);
    await place.release();
    await appending;
    t.same(seen, [null]);
    await log.close();
  });

  claim('what it did not take has left no trace, and the next events are taken', async (t, place) => {
    const log = await place.open();
    const first = read(t, log);
    await append(log, [part(['a'], null)]);
    await place.lose();
    t.same(await append(log, [part(['refused'], null)]), ['LOG_FAILED']);
    t.match(log, { pendingEvents: 1 });
    await place.mend();
    await append(log, [part(['b'], 'size')]);
    await nextLines(t, log, first, ['a', 'b']);
    await log.close();
    const next = await place.open();
    await nextLines(t, next, read(t, next), ['a', 'b']);
    await next.close();
  });

  claim(
    'what is in doubt is no part of this run',
    async (t, place) => {
      const log = await place.open();
      await place.doubt();
      t.same(await append(log, [part(['doubtful'], 'size')]), ['IN_DOUBT']);
      await place.mend();
      await append(log, [part(['a'], 'size')]);
      const all = await readAll(log, await log.find(() => true, 10));
      t.same(all.flatMap(linesOf), ['a']);
      t.match(log, { pendingEvents: 1 });
      await log.close();
    },
    apart,
  );

  claim(
    'what is in doubt may come in the next run',
    async (t, place) => {
      const log = await place.open();
      await place.doubt();
      t.same(await append(log, [part(['doubtful'], 'size')]), ['IN_DOUBT']);
      await log.close();
      const next = await place.open();
      const left = await readAll(next, await next.find(() => true, 10));
      t.same(left.flatMap(linesOf), ['doubtful']);
      t.match(next, { pendingEvents: 1, recoveredEvents: 1 });
      await next.close();
    },
    late,
  );

  claim('a probe tells whether it takes events, and leaves nothing', async (t, place) => {
    const log = await place.open();
    await log.probe(100);
    await place.lose();
    await t.rejects(log.probe(100));
    await place.mend();
    await log.probe(100);
    t.same(await log.find(() => true, 10), []);
    t.equal(log.pendingBytes, 0);
    await log.close();
  });

  claim('batches are found by name, the oldest first, and read however often', async (t, place) => {
    const log = await place.open();
    read(t, log);
    const ended = ['a', 'b', 'c'].map((each) => [each, `${each}2`]);
    await append(log, [...ended.map((each) => part(each, 'size')), ...(isShared ? [] : [part(['d'], null)])]);
    const all = await found(log, 3);
    t.same((await readAll(log, all)).map(linesOf), ended);
    const [first, second, third] = all.map((batch) => batch.name);
    const some = await log.find((each) => each !== second, 10);
    t.same(
      some.map((batch) => batch.name),
      [first, third],
    );
    t.same((await log.find(() => true, 1)).length, 1);
    const [batch = unfound()] = all;
    log.forget(batch);
    t.same(linesOf(await log.read(batch)), ended[0], 'also if nothing of it is kept in memory');
    const { name: gone } = batch;
    for (let times = 0; times < 2; times++) await log.delete({ name: gone, events: 0, logBytes: 0 });
    t.same((await log.find(() => true, 10)).length, 2);
    await log.close();
  });

  claim('the backlog ends at a stop, and what it did not give stays', async (t, place) => {
    const log = await place.open();
    const stopping = new AbortController();
    const backlog = log.backlog(stopping.signal);
    await append(log, [part(['a', 'b'], 'size'), part(['c', 'd'], 'size')]);
    stopping.abort();
    backlog.resume();
    await once(backlog, 'end');
    await log.close();
    const next = await place.open();
    t.match(next, isShared ? { pendingEvents: 4 } : { leftoverBatches: 2 });
    await next.close();
  });

  const lettersClaim = `${name}: dead letters have a bound, and one place for each batch`;
  const lettersSkip = skip === false ? {} : { skip };
  void t.test(lettersClaim, lettersSkip, async (t) => {
    const place = placeOf(t, LETTER_BYTES);
    const log = await place.open();
    const { deadLetters } = log;
    read(t, log);
    await append(log, [part(['a', 'b'], 'size'), part(['c', 'd'], 'size')]);
    const [first = unfound(), second = unfound()] = await readAll(log, await found(log, 2));
    const letter = (event: string, reason: string, index = 0) => {
      return { index, reason, status: 422, attempts: 1, event: Buffer.from(event) };
    };
    t.type(await deadLetters.keep(first, [letter('a', 'x'.repeat(2 * LETTER_BYTES))]), 'string');
    const full = await deadLetters.keep(second, [letter('c', 'no')]).then(() => null, asFull);
    t.ok(full instanceof DeadLettersFull, 'the first one always has room, the next not');
    t.equal(full !== null && deadLetters.hasRoom(full.size, null), false);
    await deadLetters.keep(first, [letter('a', 'no')]);
    t.equal((await log.space()).deadLetterFiles, 1, 'in place of the others');
    await deadLetters.keep(second, [letter('c', 'no')]);
    await deadLetters.keep(second, [letter('d', 'no', 1)]);
    await deadLetters.withdraw(first);
    await log.close();
    const next = await place.open();
    t.equal((await next.space()).deadLetterFiles, 1, 'that of the last attempt');
    await next.close();
  });

  claim('a whole server runs on it, is killed, and delivers the rest at its next start', async (t, place) => {
    const sink = new CollectingSink();
    sink.held = true;
    const first = buildWith(t, sink, { openLog: place.open, batchSize: 2 });
    await first.forebay.start();
    await Promise.all(['a', 'b', 'c'].map(async (id) => first.forebay.write(eventText(id))));
    await first.forebay.stop(0);
    addsUp(t, first.forebay);
    const picky = new CollectingSink();
    picky.error = new SinkError('no', { status: 422, refused: 'all' });
    const second = buildWith(t, picky, { openLog: place.open, batchSize: 2 });
    await second.forebay.start();
    await until(() => second.forebay.counts().deadLettered === 3, 'what is left is refused');
    picky.error = null;
    await second.forebay.write(eventText('d'));
    await until(() => second.forebay.counts().pending === 0, 'all are settled');
    t.match(second.forebay.counts(), {
      accepted: isShared ? 1 : 4,
      delivered: 1,
      deadLettered: 3,
      quarantined: 0,
    });
    t.same(idsOf(picky.lines), ['d']);
    await second.forebay.stop();
  });
}

function part(texts: readonly string[], end: BatchEnd | null): BatchPart {
  return partOf(texts.length === 0 ? [] : [allOf(request(texts, null))], end);
}

function partOf(ranges: readonly EventRange[], end: BatchEnd | null): BatchPart {
  return { ranges, events: ranges.reduce((sum, { from, to }) => sum + to - from, 0), bytes: 0, end };
}

function request(texts: readonly string[], context: EventContext | null): QueuedEvents {
  const block = EventBlock.of(...texts);
  block.context = context;
  return { block, withdrawn: false, acknowledge: () => undefined };
}

function allOf(all: QueuedEvents): EventRange {
  return { request: all, from: 0, to: all.block.length };
}

function traceOf(n: number): string {
  return `00-${String(n).repeat(32)}-${String(n).repeat(16)}-01`;
}

/** @returns the codes of the parts that were not taken */
async function append(log: EventLog, group: Group): Promise<string[]> {
  const parts = sized(log, group);
  const ended = new Map<BatchPart, ForebayError | null>();
  await log.append(parts, (each, error) => {
    if (ended.has(each)) throw new Error('a part has two outcomes');
    ended.set(each, error);
  });
  const due = parts.filter(({ events }) => events > 0);
  if (ended.size !== due.length) throw new Error('a part has no outcome');
  return due.flatMap((each) => ended.get(each)?.code ?? []);
}

function sized(log: EventLog, group: Group): Group {
  return group.map((each) => {
    const sizes = each.ranges.map(({ request: { block }, from, to }) => log.bytesOf(block, from, to));
    return { ...each, bytes: sizes.reduce((sum, bytes) => sum + bytes, 0) };
  });
}

function read(t: Test, log: EventLog): { next: () => Promise<PendingBatch> } {
  const stopping = new AbortController();
  const backlog = log.backlog(stopping.signal);
  t.teardown(() => {
    stopping.abort();
  });
  return { next: async () => nextOf(backlog) };
}

async function nextOf(backlog: Readable): Promise<PendingBatch> {
  for (;;) {
    const batch = backlog.read() as PendingBatch | null;
    if (batch !== null) return batch;
    await once(backlog, 'readable');
  }
}

async function nextLines(
  t: Test,
  log: EventLog,
  reader: { next: () => Promise<PendingBatch> },
  lines: readonly string[],
): Promise<void> {
  const seen: string[] = [];
  while (seen.length < lines.length) seen.push(...linesOf(await log.read(await reader.next())));
  t.same(seen, lines);
}

async function readAll(log: EventLog, batches: readonly PendingBatch[]): Promise<StoredBatch[]> {
  const stored: StoredBatch[] = [];
  for (const batch of batches) stored.push(await log.read(batch));
  return stored;
}

function linesOf({ bytes }: StoredBatch): string[] {
  return bytes.toString().split('\n').slice(0, -1);
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
}

function asFull(error: unknown): DeadLettersFull | null {
  return error instanceof DeadLettersFull ? error : null;
}

function unfound(): never {
  throw new Error('no such batch');
}
