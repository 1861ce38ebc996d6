import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Dir, OpenDirOptions } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import type { Test } from 'tap';
import { AppendLog } from '../../lib/logs/file/append-log.js';
import type { Batch } from '../../lib/seams/batch.js';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { createForebay } from '../../lib/index.js';
import type { Forebay, ForebayOptions, Logger } from '../../lib/index.js';
import { Reporter, silentLogger } from '../../lib/base/reporter.js';
import type { Sink } from '../../lib/seams/sink.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import type { Refusal } from '../../lib/seams/sink-error.js';
import { backoffMs } from '../../lib/delivery/backoff.js';
import { settle } from '../../lib/delivery/settlement.js';
import { deliverLeft } from '../helpers/delivery-bench.js';
import type { DeliveryBench } from '../helpers/delivery-bench.js';
import { batchOfLines } from '../helpers/batches.js';
import { heldDisk } from '../helpers/held-disk.js';
import { SEED } from '../helpers/seed.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

const eventText = (id: string): string => `{"id":"${id}","type":"t","data":1.0,"timestamp":1}`;

function batchOf(ids: readonly string[]): Batch {
  return batchOfLines(ids.map(eventText));
}

/** Refuses events whose id begins with `bad`; says which, or only that there are some. */
class PickySink implements Sink {
  readonly taken: string[] = [];
  readonly attempts: string[] = [];
  readonly #says: boolean;

  constructor(says: boolean) {
    this.#says = says;
  }

  async deliver({ name, bytes, events }: Batch): Promise<void> {
    this.attempts.push(name);
    const lines = bytes.toString('utf8').split('\n').slice(0, -1);
    if (lines.length !== events) throw new Error(`${lines.length} lines, not ${events}`);
    const ids = lines.map((line) => (JSON.parse(line) as { id: string }).id);
    const bad = ids.flatMap((id, index) =>
      id.startsWith('bad') ? [{ index, reason: `no ${id}`, status: 422 }] : [],
    );
    if (bad.length > 0 && !this.#says) throw new SinkError('one is bad', { status: 400, refused: 'all' });
    this.taken.push(...ids.filter((id) => !id.startsWith('bad')));
    if (bad.length > 0) throw new SinkError('some are bad', { status: 207, refused: bad });
  }
}

interface Letter {
  readonly batch: string;
  readonly index: number;
  readonly reason: string;
  readonly status: number;
  readonly attempts: number;
  readonly time: string;
  readonly event: { readonly id: string };
}

function lettersIn(dir: string): { text: string; letters: Letter[] } {
  const folder = join(dir, 'dead-letters');
  const names = existsSync(folder) ? readdirSync(folder).toSorted() : [];
  const text = names.map((name) => readFileSync(join(folder, name), 'utf8')).join('');
  return {
    text,
    letters: text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Letter),
  };
}

async function start(t: Test, options: ForebayOptions): Promise<{ forebay: Forebay; dir: string }> {
  const dir = options.logDir ?? tempDir(t);
  const forebay = createForebay({ batchWaitMs: 20, ...options, logDir: dir });
  t.teardown(async () => forebay.stop(0));
  await forebay.start();
  return { forebay, dir };
}

for (const says of [true, false]) {
  const how = says ? 'where the sink names it' : 'where the sink refuses the batch';
  void t.test(`one bad event of 100 becomes a dead letter, and takes no other with it, ${how}`, async (t) => {
    const sink = new PickySink(says);
    const { forebay, dir } = await start(t, { sink, batchWaitMs: 10_000 });
    const ids = Array.from({ length: 100 }, (_, n) => (n === 37 ? 'bad' : `e${n}`));
    await Promise.all(ids.map(async (id) => forebay.write(eventText(id))));
    await until(() => forebay.counts().pending === 0, 'all are settled');
    t.match(forebay.counts(), { accepted: 100, delivered: 99, deadLettered: 1, quarantined: 0 });
    t.same(sink.taken.toSorted(), ids.filter((id) => id !== 'bad').toSorted());
    const { text, letters } = lettersIn(dir);
    t.match(letters, [{ index: 37, reason: says ? 'no bad' : 'one is bad', status: says ? 422 : 400 }]);
    t.equal(letters[0]?.attempts, says ? 1 : 7, 'the batch, and its halves down to the one event');
    t.ok(text.endsWith(`,"event":${eventText('bad')}}\n`), "the client's own text");
    t.equal(letters[0]?.batch, sink.attempts[0]);
    t.ok(sink.attempts.length <= 15, `${sink.attempts.length} attempts`);
    t.same(
      readdirSync(dir).filter((name) => name.startsWith('batch_')),
      [],
    );
  });
}

/** Answers 500 to a batch with a bad event, and never says that it refuses it. */
class BreakingSink implements Sink {
  readonly taken: string[] = [];
  attempts = 0;
  error: Error | null = null;

  async deliver({ bytes }: Batch): Promise<void> {
    this.attempts++;
    if (this.error !== null) throw this.error;
    const ids = bytes
      .toString('utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as { id: string }).id);
    if (ids.some((id) => id.startsWith('bad'))) throw new SinkError('it broke', { status: 500 });
    this.taken.push(...ids);
  }
}

void t.test(
  'an event that breaks the sink becomes a dead letter after --sink-tries-max answers',
  async (t) => {
    const sink = new BreakingSink();
    const { forebay, dir } = await start(t, { sink, batchSize: 4, batchWaitMs: 10_000, sinkTriesMax: 2 });
    await Promise.all(['a', 'bad', 'c', 'd'].map(async (id) => forebay.write(eventText(id))));
    await until(() => forebay.counts().pending === 0, 'all are settled');
    t.match(forebay.counts(), { accepted: 4, delivered: 3, deadLettered: 1 });
    t.same(sink.taken.toSorted(), ['a', 'c', 'd']);
    t.match(lettersIn(dir).letters, [{ index: 1, reason: 'it broke (2 times)', status: 500, attempts: 6 }]);
    t.equal(sink.attempts, 8, 'twice each: all, the first half, the bad one; once each: the two others');
  },
);

void t.test('an outage is not poison, however long', async (t) => {
  const sink = new BreakingSink();
  sink.error = new SinkError('out of reach', { retryAfterMs: 1 });
  const { forebay } = await start(t, { sink, batchSize: 1, sinkTriesMax: 1 });
  await forebay.write(eventText('a'));
  await until(() => sink.attempts >= 2, 'it is tried again');
  for (const status of [502, 503, 504, 429, 408, null, '57P03']) {
    sink.error = new SinkError('not now', { status, retryAfterMs: 1 });
    const before = sink.attempts;
    await until(() => sink.attempts > before, `it is tried again after ${status}`);
  }
  t.equal(forebay.counts().deadLettered, 0);
  sink.error = null;
  await until(() => forebay.counts().pending === 0, 'all are settled');
  t.same(sink.taken, ['a']);
});

void t.test(
  'an outage as an edge tells it is not poison, nor is an answer that says until when',
  async (t) => {
    t.intercept(Math, 'random', { value: () => 0 }); // no waits
    const sink = new BreakingSink();
    const { forebay } = await start(t, { sink, batchSize: 1, sinkTriesMax: 1 });
    const edge = [502, 503, 504, 507, 509, 511, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599];
    sink.error = new SinkError('away', { status: 502 });
    await forebay.write(eventText('a'));
    for (const error of [
      ...edge.map((status) => new SinkError('away', { status })),
      ...[500, 501, 505, 403, 413].map((status) => new SinkError('later', { status, retryAfterMs: 0 })),
    ]) {
      sink.error = error;
      const before = sink.attempts;
      await until(
        () => sink.attempts > before + 1 || forebay.counts().pending === 0,
        `${error.status} is followed`,
      );
      if (!t.equal(forebay.counts().deadLettered, 0, `${error.status}`)) return;
    }
    sink.error = null;
    await until(() => forebay.counts().pending === 0, 'all are settled');
    t.same(sink.taken, ['a']);
  },
);

void t.test(
  'splitting finds exactly what is refused, in order, with a bounded number of offers',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 64 }), async (bad) => {
        const ids = bad.map((isBad, n) => (isBad ? `bad${n}` : `e${n}`));
        const sink = new PickySink(false);
        const refused = await settle(batchOf(ids), async (part) => {
          const refusal = await sink.deliver(part).then(
            () => null,
            (error: SinkError) => error,
          );
          return { refusal, attempts: 1 };
        });
        t.same(
          refused?.map(({ index }) => ids[index]),
          ids.filter((id) => id.startsWith('bad')),
        );
        t.same(
          refused?.map(({ event }) => event.toString()),
          ids.filter((id) => id.startsWith('bad')).map(eventText),
        );
        t.same(
          sink.taken,
          ids.filter((id) => !id.startsWith('bad')),
          'each once, in order',
        );
        t.ok(sink.attempts.length <= 2 * ids.length - 1);
        t.equal(new Set(sink.attempts).size, sink.attempts.length, 'each part has a name of its own');
      }),
      { seed: SEED, numRuns: 200 },
    );
  },
);

void t.test('a batch file stays until its dead letters are flushed, and their disk may fail', async (t) => {
  const disk = heldDisk();
  const sink = new PickySink(false);
  const { forebay, dir } = await start(t, { sink, fs: disk.fs });
  disk.fail('fsync', 'EIO');
  const written = forebay.write(eventText('bad'));
  disk.fail('fsync', null);
  await written;
  disk.fail('fsync', 'EIO');
  await until(() => sink.attempts.length > 0, 'it is tried');
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.match(forebay.counts(), { accepted: 1, delivered: 0, deadLettered: 0, pending: 1 });
  t.equal(readdirSync(dir).filter((name) => name.startsWith('batch_')).length, 1);
  disk.fail('fsync', null);
  await until(() => forebay.counts().deadLettered === 1, 'it is a dead letter');
  t.equal(lettersIn(dir).letters.length, 1);
});

void t.test(
  'at --dead-letters-max refused batches wait aside, and nothing is lost; room lets them go on',
  async (t) => {
    const dir = tempDir(t);
    mkdirSync(join(dir, 'dead-letters'));
    const old = join(dir, 'dead-letters', 'batch_20240101_000000_1.jsonl');
    writeFileSync(old, 'x'.repeat(2000));
    const warnings: string[] = [];
    const line = (_fields: object, message: string): void => void warnings.push(message);
    const logger: Logger = { debug() {}, info() {}, warn: line, error: line };
    const sink = new PickySink(false);
    let looks = 0;
    const fs = Object.create(nodeFileSystem, {
      opendir: {
        value: (path: string, options: OpenDirOptions, done: (error: Error | null, handle: Dir) => void) => {
          if (path.endsWith('dead-letters')) looks++;
          nodeFileSystem.opendir(path, options, done);
        },
      },
    }) as FileSystem;
    const bounds = { deadLettersBytesMax: 2100, batchSize: 1, fileEvents: 1, sinkConcurrency: 3 };
    const { forebay } = await start(t, { sink, logDir: dir, ...bounds, logger, fs });
    const [before, startMs] = [looks, performance.now()];
    for (let n = 0; n < 3; n++) await forebay.write(eventText('bad'));
    await until(() => forebay.sinkState()?.batchesAside === 3, 'all are aside');
    await until(() => looks >= before + 3, 'the folder is looked at again');
    const most = 1 + (performance.now() - startMs) / 1000;
    t.ok(looks - before <= most, `${looks - before} looks at the folder`);
    t.equal(warnings.filter((each) => /--dead-letters-max/.test(each)).length, 1);
    t.match(forebay.counts(), { accepted: 3, deadLettered: 0, pending: 3 });
    t.equal(forebay.sinkState()?.deadLettersFull, true);
    rmSync(old);
    await until(() => forebay.counts().deadLettered === 3, 'all are dead letters');
    t.equal(forebay.sinkState()?.deadLettersFull, false);
    t.equal(lettersIn(dir).letters.length, 3);
    t.equal(sink.attempts.length, 3);
  },
);

void t.test('the letters of one batch have room in an empty folder, however small the bound', async (t) => {
  const { forebay, dir } = await start(t, { sink: new PickySink(false), deadLettersBytesMax: 1024 });
  await forebay.write(eventText('bad').replace('1.0', JSON.stringify('x'.repeat(2000))));
  await until(() => forebay.counts().deadLettered === 1, 'it is a dead letter');
  t.equal(lettersIn(dir).letters.length, 1);
});

void t.test(
  'after a crash between the dead letter and the deletion there is still one dead letter',
  async (t) => {
    const dir = tempDir(t);
    const disk = heldDisk();
    const deadLettersBytesMax = 1024; // the letter that is there must not stand in the way of itself
    const first = createForebay({
      sink: new PickySink(false),
      logDir: dir,
      batchWaitMs: 10,
      fs: disk.fs,
      deadLettersBytesMax,
    });
    await first.start();
    await first.write(eventText('bad').replace('1.0', JSON.stringify('x'.repeat(2000))));
    disk.fail('unlink', 'EIO');
    await until(() => lettersIn(dir).letters.length === 1, 'its letter is written');
    await first.stop(0);
    t.equal(readdirSync(dir).filter((name) => name.startsWith('batch_')).length, 1);
    const { forebay } = await start(t, { sink: new PickySink(false), logDir: dir, deadLettersBytesMax });
    await until(() => forebay.counts().deadLettered === 1, 'it is a dead letter');
    t.equal(lettersIn(dir).letters.length, 1);
  },
);

void t.test('what the sink asks for is waited for, instead of the backoff', async (t) => {
  let attempts = 0;
  const times: number[] = [];
  const sink: Sink = {
    async deliver() {
      times.push(performance.now());
      if (++attempts === 1) throw new SinkError('busy', { status: 429, retryAfterMs: 700 });
    },
  };
  const { forebay } = await start(t, { sink });
  await forebay.write(eventText('a'));
  await until(() => forebay.counts().delivered === 1, 'it is delivered');
  t.ok((times[1] ?? 0) - (times[0] ?? 0) >= 690, `${(times[1] ?? 0) - (times[0] ?? 0)} ms`);
});

void t.test(
  'a refusal that says nothing for certain is a failed attempt: nothing is lost, nothing breaks',
  async (t) => {
    const indices = [2, -1, 0.5, NaN, Infinity, '0', null, undefined, {}, 0n];
    const sparse: unknown[] = [];
    sparse[1] = { index: 0 };
    const strange = [
      ...indices.map((index) => [{ index, reason: 'nonsense', status: null }]),
      [],
      [{ index: 0 }, { index: 7 }],
      [null],
      [undefined],
      [0],
      [{}],
      sparse,
      'some',
      '',
      7,
      true,
      {},
      { length: 1 },
      new Set([0]),
    ];
    let attempts = 0;
    const sink: Sink = {
      async deliver() {
        if (attempts === strange.length) return;
        const refused = strange[attempts++] as [];
        throw new SinkError('nonsense', { refused, retryAfterMs: 1 });
      },
    };
    const messages: string[] = [];
    const warn = (_fields: object, message: string): void => void messages.push(message);
    const logger: Logger = { debug() {}, info() {}, warn, error: warn };
    const { forebay, dir } = await start(t, { sink, logger });
    await Promise.all([forebay.write(eventText('a')), forebay.write(eventText('b'))]);
    await until(() => forebay.counts().pending === 0, 'all are settled');
    t.equal(attempts, strange.length);
    const said = messages.filter((message) => message.startsWith('Delivery failed: '));
    t.ok(said.length > 0);
    for (const message of said)
      t.match(message, /: nonsense; next attempt in \d+ ms/, "the sink's own words");
    t.match(forebay.counts(), { accepted: 2, delivered: 2, deadLettered: 0 });
    t.same(lettersIn(dir).letters, []);
  },
);

void t.test('an event that is named twice is one dead letter', async (t) => {
  const sink: Sink = {
    async deliver() {
      const twice = { index: 1, reason: 'no', status: 'X1' };
      throw new SinkError('no', { refused: [twice, twice] });
    },
  };
  const { forebay, dir } = await start(t, { sink, batchSize: 2, batchWaitMs: 10_000 });
  await Promise.all([forebay.write(eventText('a')), forebay.write(eventText('b'))]);
  await until(() => forebay.counts().pending === 0, 'all are settled');
  t.match(forebay.counts(), { accepted: 2, delivered: 1, deadLettered: 1 });
  t.match(lettersIn(dir).letters, [{ index: 1, status: 'X1', event: { id: 'b' } }]);
});

/** A log directory with one batch, and a Delivery that gives it to a sink. */
async function deliver(
  t: Test,
  sink: Sink,
  ids: readonly string[],
  logger?: Logger,
): Promise<DeliveryBench & { readonly dir: string }> {
  const dir = tempDir(t);
  const { name, bytes } = batchOf(ids);
  writeFileSync(join(dir, name), bytes);
  const options = { random: () => RANDOM, ...(logger && { logger }) };
  return { dir, ...(await deliverLeft(t, dir, sink, options)) };
}
/** Short waits, and none alike. */
const RANDOM = 0.01;

void t.test('a reason or a status that is none breaks nothing', async (t) => {
  const sink: Sink = {
    async deliver() {
      const refused = [{ index: 1, reason: { no: 'text' }, status: { no: 'status' } }, { index: 0 }];
      throw new SinkError('no', { refused: refused as unknown as Refusal[] });
    },
  };
  const { delivery, dir, end } = await deliver(t, sink, ['a', 'b', 'c']);
  await until(() => delivery.deadLettered > 0, 'some are dead letters');
  t.match([delivery.delivered, delivery.deadLettered], [1, 2]);
  const { letters } = lettersIn(dir);
  t.match(letters, [
    { index: 0, reason: 'refused by the sink', event: { id: 'a' } },
    { index: 1, reason: 'refused by the sink', event: { id: 'b' } },
  ]);
  t.same(
    letters.map(({ status }) => status),
    [null, null],
  );
  await end();
});

for (const waits of [
  [NaN, -1, Infinity, 0],
  [-Infinity, {}, null, undefined],
]) {
  void t.test(
    `where the sink asks for no wait that can be, the backoff goes on: ${inspect(waits)}`,
    async (t) => {
      let attempts = 0;
      const sink: Sink = {
        async deliver() {
          const retryAfterMs = waits[attempts++] as number;
          if (attempts <= waits.length) throw new SinkError('busy', { retryAfterMs });
        },
      };
      const waitsMs: number[] = [];
      const warn = (_fields: object, message: string): void => {
        const wait = /^Delivery failed: .*: busy; next attempt in (\S+) ms/.exec(message)?.[1];
        if (wait !== undefined) waitsMs.push(Number(wait));
      };
      const logger: Logger = { debug() {}, info() {}, warn, error() {} };
      const { delivery, end } = await deliver(t, sink, ['a'], logger);
      await until(() => delivery.delivered === 1, 'it is delivered');
      t.same(
        waitsMs,
        waits.map((_wait, n) => backoffMs(n + 1, RANDOM)),
      );
      await end();
    },
  );
}

for (const refuses of [true, false]) {
  const how = refuses ? 'refused' : 'taken';
  void t.test(`a stop while a batch is split begins no further offer: one is ${how} meanwhile`, async (t) => {
    const offers: string[] = [];
    let answer: () => void = () => undefined;
    const sink: Sink = {
      async deliver({ name }) {
        offers.push(name);
        if (offers.length === 2) await new Promise<void>((resolve) => (answer = resolve));
        if (offers.length === 1 || refuses) throw new SinkError('bad', { status: 400, refused: 'all' });
      },
    };
    const { delivery, dir, end } = await deliver(t, sink, ['a', 'b', 'c', 'd']);
    await until(() => offers.length === 2, 'the first half is offered');
    const ended = end();
    answer();
    await ended;
    const { name } = batchOf([]);
    t.same(offers, [name, `${name}#1-2`]);
    t.match([delivery.delivered, delivery.deadLettered], [0, 0]);
    t.same(lettersIn(dir).letters, []);
    t.ok(existsSync(join(dir, name)), 'it stays for the next start');
  });
}

void t.test('a name that stands among the dead letters is not given again', async (t) => {
  const newest = 'batch_21000101_000000_12.jsonl';
  for (const file of [newest, `${newest}.taken`, `${newest}.2.taken`]) {
    await t.test(file, async (t) => {
      const dir = tempDir(t);
      mkdirSync(join(dir, 'dead-letters'));
      writeFileSync(join(dir, 'dead-letters', 'batch_21000101_000000_9.jsonl'), '');
      writeFileSync(join(dir, 'dead-letters', file), '');
      writeFileSync(join(dir, 'batch_20990101_000000_70.jsonl'), `${eventText('left')}\n`);
      const sink = new PickySink(true);
      const { forebay } = await start(t, { sink, logDir: dir });
      await forebay.write(eventText('a'));
      await until(() => forebay.counts().delivered === 2, 'both are delivered');
      t.same(sink.attempts, ['batch_20990101_000000_70.jsonl', 'batch_21000101_000000_13.jsonl']);
    });
  }
});

void t.test('dead letters of other events of the same name stay, whoever wrote them', async (t) => {
  const name = 'batch_20250101_000000_1.jsonl';
  const line = (about: object, id: string): string =>
    `${JSON.stringify({ batch: name, ...about }).slice(0, -1)},"event":${eventText(id)}}\n`;
  const rest = { index: 0, reason: 'no', status: 1, attempts: 1, time: '2025-01-01T00:00:00.000Z' };
  const letter = { ...rest, event: Buffer.from(eventText('new')) };
  const bytes = Buffer.from(`${eventText('other')}\n${eventText('new')}\n`);
  const two = (key: string): string => line({ key, ...rest }, 'other') + line({ key, ...rest }, 'old');
  for (const [what, there, key, isSame, others] of [
    ['another key', line({ key: `a-${name}`, ...rest }, 'new'), `b-${name}`, false],
    ['an earlier version wrote them', line(rest, 'new'), `b-${name}`, false],
    ['the same key', line({ key: `b-${name}`, ...rest }, 'other'), `b-${name}`, true],
    ['the same key, and other events', line({ key: `b-${name}`, ...rest }, 'old'), `b-${name}`, false],
    ['an earlier version wrote them and the batch', line(rest, 'new'), name, true],
    ['an earlier version wrote them by hand, of other events', line(rest, 'old'), name, false],
    ['some are damaged since', line({ key: `b-${name}@0a`, ...rest }, 'new'), `b-${name}@0b`, true],
    ['damage has taken the run', line({ key: `b-${name}@0a`, ...rest }, 'new'), `${name}@0b`, true],
    [
      'damage has taken the run, other events',
      line({ key: `b-${name}@0a`, ...rest }, 'old'),
      `${name}@0b`,
      false,
    ],
    ['other events, by hand', line({ key: `${name}@0a`, ...rest }, 'old'), `${name}@0b`, false],
    ['no digest, by an earlier version', line({ key: `b-${name}`, ...rest }, 'new'), `b-${name}@0a`, true],
    ['some of other events', two(`b-${name}@0a`), `b-${name}@0b`, true, two(`b-${name}@0a`).split('\n')[1]],
    ['cut off in the middle of the first line', `{"batch":"${name}","ke`, `b-${name}`, true],
    ['cut off at the start', '', `b-${name}`, true],
    ['its bytes were lost', '\0'.repeat(4096), `b-${name}`, true],
  ] as const) {
    for (const isTaken of [false, true]) {
      await t.test(`${what}${isTaken ? ', and the sink takes all' : ''}`, async (t) => {
        const dir = tempDir(t);
        const folder = join(dir, 'dead-letters');
        mkdirSync(folder);
        writeFileSync(join(folder, name), there);
        const log = await AppendLog.open({ dir, fsync: 'always', reporter: new Reporter(silentLogger) });
        const batch = { name, key, bytes };
        for (let time = 1; time <= 2; time++)
          await (isTaken ? log.deadLetters.withdraw(batch) : log.deadLetters.keep(batch, [letter]));
        await log.close();
        const files = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
        const kept = files.filter((text) => text !== there && text !== `${others}\n`);
        t.equal(files.includes(there), !isSame);
        t.equal(files.includes(`${others}\n`), others !== undefined);
        t.equal(kept.length, isTaken ? 0 : 1, 'also if it is kept once more');
        if (!isTaken)
          t.match(JSON.parse(kept[0] ?? ''), { batch: name, key, index: 0, event: { id: 'new' } });
      });
    }
  }
});

void t.test('letters of a batch that is taken go also if their size could not be read', async (t) => {
  const dir = tempDir(t);
  const disk = heldDisk();
  const options = { dir, fsync: 'always', reporter: new Reporter(silentLogger), fs: disk.fs } as const;
  const bad = { index: 0, reason: 'no', status: 400, attempts: 1, event: Buffer.from(eventText('bad')) };
  const batch = {
    name: 'batch_20260101_000000_1.jsonl',
    key: 'a',
    bytes: Buffer.from(`${eventText('bad')}\n`),
  };
  const first = await AppendLog.open(options);
  await first.deadLetters.keep(batch, [bad]);
  await first.close();
  const log = await AppendLog.open(options);
  disk.fail('lstat', 'EIO');
  await log.deadLetters.look();
  disk.fail('lstat', null);
  await log.deadLetters.withdraw(batch);
  t.same(readdirSync(join(dir, 'dead-letters')), []);
  await log.close();
});

void t.test('a start says that it could not look for dead letters', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'dead-letters'), 'a file, and no folder');
  const said: string[] = [];
  const logger = {
    ...silentLogger,
    warn: (fields: object, text: string) => void said.push(`${JSON.stringify(fields)} ${text}`),
  };
  const log = await AppendLog.open({ dir, fsync: 'always', reporter: new Reporter(logger) });
  await log.close();
  t.match(said, [/"DISK_FAILED".*Could not look for dead letters in .*ENOTDIR/]);
});

void t.test(
  'a dead letter of a run that was killed goes when the sink takes its event after all',
  async (t) => {
    const disk = heldDisk();
    const ids = ['a', 'bad1', 'bad2'];
    const first = await start(t, {
      sink: new PickySink(true),
      fs: disk.fs,
      batchSize: 3,
      batchWaitMs: 10_000,
    });
    const { dir } = first;
    disk.fail('unlink', 'EIO'); // its batch file stays, as after a kill in between
    await Promise.all(ids.map(async (id) => first.forebay.write(eventText(id))));
    await until(() => lettersIn(dir).letters.length === 2, 'the letters are written');
    await first.forebay.stop();
    const taken: string[] = [];
    const sink: Sink = {
      async deliver({ bytes }) {
        const lines = bytes.toString('utf8').split('\n').slice(0, -1);
        const bad = lines.findIndex((line) => line.includes('bad2'));
        taken.push(
          ...lines
            .filter((_line, index) => index !== bad)
            .map((line) => (JSON.parse(line) as { id: string }).id),
        );
        if (isStrict)
          throw new SinkError('one is bad', { refused: [{ index: bad, reason: 'bad', status: 1 }] });
        taken.push('bad2');
      },
    };
    let isStrict = true;
    cpSync(dir, `${dir}-mended`, { recursive: true });
    t.teardown(() => rmSync(`${dir}-mended`, { recursive: true }));
    const second = await start(t, { sink, logDir: dir });
    t.match(second.forebay.counts(), { accepted: 3, delivered: 2, deadLettered: 1, pending: 0 });
    t.same(taken, ['a', 'bad1']);
    t.match(lettersIn(dir).letters, [{ event: { id: 'bad2' } }], 'nobody may send the other one again');
    isStrict = false;
    const third = await start(t, { sink, logDir: `${dir}-mended` });
    t.match(third.forebay.counts(), { accepted: 3, delivered: 3, deadLettered: 0, pending: 0 });
    t.same(lettersIn(`${dir}-mended`).letters, [], 'nor both');
  },
);
