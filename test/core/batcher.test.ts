import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import t from 'tap';
import type { Test } from 'tap';
import { blockBytes, markedBytes } from '../../lib/logs/file/checksum.js';
import { EventBlock } from '../../lib/event/event-block.js';
import { Batcher } from '../../lib/core/batcher.js';
import type { BatcherOptions } from '../../lib/core/batcher.js';
import type { Group, QueuedEvents } from '../../lib/seams/event-log.js';
import { until } from '../helpers/wait-for.js';

const OPTIONS: BatcherOptions = {
  queueSize: 1000,
  queueBytes: 1_000_000,
  batchSize: 10,
  batchBytes: 1_000_000,
  batchWaitMs: 60_000,
};

/** A writer that holds each group until it is told to go on. */
class Writer extends Writable {
  readonly groups: Group[] = [];
  #done: (() => void) | null = null;

  constructor() {
    super({ objectMode: true, highWaterMark: 1 });
  }

  override _write(group: Group, _encoding: BufferEncoding, done: () => void): void {
    this.groups.push(group);
    this.#done = done;
  }

  /** Finishes the group it holds. */
  async next(): Promise<void> {
    const done = this.#done;
    this.#done = null;
    done?.();
    await turn();
  }

  /** What it was given last, as `[['a', 'b'], …]` with the limit that ended the batch. */
  get last(): [string, string | null][] {
    return (this.groups.at(-1) ?? []).map(({ ranges, end }) => [
      ranges.map(({ request, from, to }) => letters(request.block).slice(from, to)).join(''),
      end,
    ]);
  }
}

function start(
  t: Test,
  options: Partial<BatcherOptions> = {},
  log: { readonly cutsBatches?: true } = {},
): {
  batcher: Batcher;
  writer: Writer;
  ended: Promise<void>;
} {
  const batcher = new Batcher({ ...OPTIONS, ...options }, { bytesOf: blockBytes, ...log });
  const writer = new Writer();
  const ended = pipeline(batcher, writer);
  ended.catch(() => undefined);
  t.teardown(() => batcher.destroy());
  return { batcher, writer, ended };
}

/** A request with an event for each letter, which takes so many bytes of the log. */
function request(events: string, bytes: number): QueuedEvents & { withdrawn: boolean; outcomes: string[] } {
  const block = EventBlock.of(
    ...Array.from(events, (letter) => letter.padEnd(bytes - markedBytes(1, 0), '.')),
  );
  const outcomes: string[] = [];
  const acknowledge = (from: number, to: number, error: Error | null): void => {
    outcomes.push(`${to - from} ${error?.message}`);
  };
  return { block, withdrawn: false, acknowledge, outcomes };
}

function letters(block: EventBlock): string {
  return Array.from({ length: block.length }, (_, index) => block.lineOf(index).toString('utf8', 0, 1)).join(
    '',
  );
}

/** Each letter is an event, and a request by itself. */
function queue(batcher: Batcher, events: string, bytes = 40): void {
  for (const letter of events) batcher.queue(request(letter, bytes));
}

void t.test('a lone event leaves at once, without waiting for its batch to fill', async (t) => {
  const { batcher, writer } = start(t);
  await turn();
  queue(batcher, 'a');
  t.same(writer.last, [['a', null]], 'in the same turn');
});

void t.test('what arrives while the writer is busy leaves together when it is free', async (t) => {
  const { batcher, writer } = start(t);
  await turn();
  queue(batcher, 'abc');
  t.same(writer.last, [['a', null]]);
  await writer.next();
  t.same(writer.last, [['bc', null]]);
  await writer.next();
  t.equal(writer.groups.length, 2, 'and nothing comes where nothing waits');
});

void t.test('a batch ends at its size, and the next begins in the same group', async (t) => {
  const { batcher, writer } = start(t, { batchSize: 3 });
  await turn();
  queue(batcher, 'a');
  queue(batcher, 'bcdefghij');
  await writer.next();
  t.same(writer.last, [
    ['bc', 'size'],
    ['def', 'size'],
    ['ghi', 'size'],
    ['j', null],
  ]);
});

void t.test('for a log that cuts batches itself, a group goes on with no batch before it', async (t) => {
  const { batcher, writer, ended } = start(t, { batchSize: 3, batchWaitMs: 5 }, { cutsBatches: true });
  await turn();
  queue(batcher, 'a');
  queue(batcher, 'bcdefg');
  await sleep(30);
  await writer.next();
  t.same(
    writer.last.map(([events]) => events),
    ['bcd', 'efg'],
    'in two parts, not in three',
  );
  queue(batcher, 'h');
  batcher.end();
  await writer.next();
  t.same(writer.last, [['h', null]]);
  await writer.next();
  await ended;
  t.equal(writer.groups.length, 3, 'and no batch is left to end');
});

void t.test('a group holds at most 64 batches; the rest follows', async (t) => {
  const { batcher, writer } = start(t, { batchSize: 1 });
  await turn();
  queue(batcher, 'a');
  queue(batcher, 'b'.repeat(68));
  await writer.next();
  t.equal(writer.last.length, 64);
  t.equal(batcher.queuedEvents, 68, 'all of them are still in the queue');
  await writer.next();
  t.equal(writer.last.length, 4);
});

void t.test(
  'a batch ends before it grows beyond its bytes; a larger event is a batch of its own',
  async (t) => {
    const { batcher, writer } = start(t, { batchBytes: 100 });
    await turn();
    queue(batcher, 'a');
    queue(batcher, 'bcd');
    queue(batcher, 'X', 400);
    queue(batcher, 'e');
    await writer.next();
    t.same(writer.last, [
      ['b', 'bytes'],
      ['cd', 'bytes'],
      ['X', 'bytes'],
      ['e', null],
    ]);
  },
);

void t.test('a batch ends a while after its first event, also when nothing more comes', async (t) => {
  const { batcher, writer } = start(t, { batchWaitMs: 20 });
  await turn();
  queue(batcher, 'a');
  await writer.next();
  await until(() => writer.groups.length === 2, 'the time of the batch is over');
  t.same(writer.last, [['', 'time']]);
  await writer.next();
  queue(batcher, 'b');
  t.same(writer.last, [['b', null]], 'the next event begins a new batch');
});

// timers go off in the order of their times, however late: a sleep that is longer than a batch comes after its end
void t.test('a batch whose time is up while the writer is busy ends before what came since', async (t) => {
  const { batcher, writer } = start(t, { batchWaitMs: 5 });
  await turn();
  queue(batcher, 'a');
  queue(batcher, 'b');
  await sleep(30);
  await writer.next();
  t.same(writer.last, [
    ['', 'time'],
    ['b', null],
  ]);
});

void t.test('a batch that ended by size has no time left to run', async (t) => {
  const { batcher, writer } = start(t, { batchSize: 1, batchWaitMs: 5 });
  await turn();
  queue(batcher, 'a');
  await writer.next();
  await sleep(30);
  t.equal(writer.groups.length, 1);
});

void t.test('the end of the stream ends the batch, after all events', async (t) => {
  const { batcher, writer, ended } = start(t);
  await turn();
  queue(batcher, 'abc');
  batcher.end();
  await writer.next();
  t.same(writer.last, [['bc', null]]);
  await writer.next();
  t.same(writer.last, [['', 'stop']]);
  await writer.next();
  await ended;
});

void t.test(
  'exactly so many events fit as the queue has places, until the writer has finished some',
  async (t) => {
    const { batcher, writer } = start(t, { queueSize: 7 });
    await turn();
    let taken = 0;
    for (; batcher.admits(1, 10); taken++) queue(batcher, 'e');
    t.equal(taken, 7);
    t.notOk(batcher.admits(1, 10));
    await turn();
    t.notOk(batcher.admits(1, 10), 'the events that the writer holds count');
    await writer.next();
    t.ok(batcher.admits(1, 10), 'the one that it has finished does not');
    t.notOk(batcher.admits(2, 10));
    await writer.next();
    t.ok(batcher.admits(7, 70));
    t.notOk(batcher.admits(8, 80));
    t.notOk(batcher.canEverAdmit(8, 80));
  },
);

void t.test('the queue has a bound in bytes, too', async (t) => {
  const { batcher, writer } = start(t, { queueBytes: 100 });
  await turn();
  queue(batcher, 'ab');
  t.equal(batcher.queuedBytes, 80);
  t.notOk(batcher.admits(1, 21));
  t.ok(batcher.admits(1, 20));
  await writer.next();
  await writer.next();
  t.equal(batcher.queuedBytes, 0);
  t.ok(batcher.admits(1, 100));
  t.notOk(batcher.canEverAdmit(1, 101));
});

void t.test('the time to drain is that of the groups in the queue, each like the last one', async (t) => {
  const { batcher, writer } = start(t, { batchSize: 1 });
  await turn();
  t.equal(batcher.drainMs, 0);
  queue(batcher, 'a');
  const late = performance.now() + 20;
  while (performance.now() < late) await turn();
  t.ok(batcher.drainMs >= 20, 'a group that still runs counts');
  await writer.next();
  queue(batcher, 'b'.repeat(129));
  t.ok(batcher.drainMs >= 3 * 20, 'sixty-four, sixty-four and one');
});

void t.test(
  'a request goes into as many batches as it needs, and counts until all of it is done',
  async (t) => {
    const { batcher, writer } = start(t, { batchSize: 3, batchBytes: 120, queueSize: 12 });
    await turn();
    queue(batcher, 'a');
    batcher.queue(request('bcdef', 40));
    batcher.queue(request('ghij', 50));
    await writer.next();
    t.same(writer.last, [
      ['bc', 'size'],
      ['def', 'size'],
      ['gh', 'bytes'],
      ['ij', null],
    ]);
    t.same(
      writer.groups.at(-1)?.map(({ events, bytes }) => [events, bytes]),
      [
        [2, 80],
        [3, 120],
        [2, 100],
        [2, 100],
      ],
    );
    t.equal(batcher.queuedEvents, 9);
    t.ok(batcher.admits(3, 0));
    t.notOk(batcher.admits(4, 0));
    await writer.next();
    t.equal(batcher.queuedEvents, 0);
    t.equal(batcher.queuedBytes, 0);
  },
);

void t.test('a withdrawn request is left out from where the writer has not begun with it', async (t) => {
  const { batcher, writer } = start(t, { batchSize: 1 });
  await turn();
  queue(batcher, 'a');
  const begun = request('b'.repeat(68), 40);
  const waiting = request('cde', 40);
  batcher.queue(begun);
  batcher.queue(waiting);
  queue(batcher, 'f');
  await writer.next();
  t.equal(writer.last.length, 64);
  for (const each of [begun, waiting]) each.withdrawn = true;
  await writer.next();
  t.same(writer.last, [['f', 'size']]);
  t.same(begun.outcomes, ['4 withdrawn'], 'the writer tells of the others');
  t.same(waiting.outcomes, ['3 withdrawn']);
  t.equal(batcher.queuedEvents, 65, 'what the writer was given counts until all is done');
  const late = request('g', 40);
  batcher.queue(late);
  late.withdrawn = true;
  await writer.next();
  t.same(late.outcomes, ['1 withdrawn']);
  t.equal(batcher.queuedEvents, 0);
  t.equal(batcher.queuedBytes, 0);
});

void t.test('a broken pipeline fails every event in the queue, once', async (t) => {
  const { batcher, ended } = start(t);
  await turn();
  const requests = ['a', 'b', 'cde'].map((events) => request(events, 40));
  for (const each of requests) batcher.queue(each);
  batcher.destroy(new Error('broken'));
  await t.rejects(ended, { message: 'broken' });
  await turn();
  t.match(
    requests.map(({ outcomes }) => outcomes),
    [['1 broken'], [/^1 /], [/^3 /]],
  );
  t.same(
    requests.map(({ outcomes }) => outcomes.length),
    [1, 1, 1],
  );
});
