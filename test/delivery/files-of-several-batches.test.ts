import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { EventBlock } from '../../lib/event/event-block.js';
import type { ForebayError } from '../../lib/base/errors.js';
import type { Forebay } from '../../lib/forebay.js';
import type { Batch } from '../../lib/seams/batch.js';
import { UNLIMITED } from '../../lib/seams/client.js';
import type { Client } from '../../lib/seams/client.js';
import type { Sink } from '../../lib/seams/sink.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { batchFiles } from '../helpers/left-files.js';
import { addsUp, eventText, idsOf, startWith, until } from '../helpers/running-forebay.js';
import { tempDir } from '../helpers/temp-dir.js';

/** Refuses events whose id starts with `bad`, and fails at those that start with `toxic` until it is mended. */
class PickySink implements Sink {
  readonly offers: { readonly name: string; readonly key: string; readonly ids: readonly string[] }[] = [];
  readonly taken: string[] = [];
  isMended = false;

  async deliver({ name, key, bytes }: Batch): Promise<void> {
    const ids = idsOf(bytes.toString('utf8').split('\n').slice(0, -1));
    this.offers.push({ name, key, ids });
    if (!this.isMended && ids.some((id) => id.startsWith('toxic'))) throw new Error('it broke');
    const refused = ids.flatMap((id, index) =>
      id.startsWith('bad') ? [{ index, reason: `no ${id}`, status: 422 }] : [],
    );
    this.taken.push(...ids.filter((id) => !id.startsWith('bad')));
    if (refused.length > 0) throw new SinkError('some are bad', { refused });
  }
}

/** All of them in one request: their batches are at hand together, so they share a file. */
async function send(forebay: Forebay, ids: readonly string[], client?: Client): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const answer = (error: Error | null): void => {
      if (error === null) resolve();
      else reject(error);
    };
    forebay.take(EventBlock.of(...ids.map((id) => eventText(id))), answer, client);
  });
}

const ids = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_each, n) => `e${from + n}`);

function lettersIn(dir: string): string[] {
  const folder = join(dir, 'dead-letters');
  const files = readdirSync(folder).filter((name) => name.startsWith('batch_2026') || /_\d{6,}/.test(name));
  return files
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
    .filter((line) => line.startsWith('{'))
    .map((line) => (JSON.parse(line) as { event: { id: string } }).event.id);
}

void t.test('the batches of a file go to the sink one by one, and the file after the last', async (t) => {
  const sink = new PickySink();
  const { forebay, dir, said } = await startWith(t, sink, { batchSize: 10 });
  await send(forebay, ids(0, 50));
  await until(() => forebay.counts().delivered === 50, 'all is delivered');
  t.same(sink.taken, ids(0, 50), 'in order, each once');
  t.same(
    sink.offers.map(({ name }) => name.replace(/^.*#/, '')),
    ['1-10', '11-20', '21-30', '31-40', '41-50'],
  );
  t.same(batchFiles(dir), []);
  const wrote = said.map(({ text }) => text).filter((text) => text.startsWith('Wrote batch to: '));
  t.match(wrote, [/\.jsonl \(50 events in 5 batches\)$/]);
  addsUp(t, forebay);
});

void t.test('the pace of a slow sink is known before it has all of a file', async (t) => {
  const answers: (() => void)[] = [];
  const sink: Sink = {
    deliver: async () =>
      new Promise<void>((resolve) => {
        answers.push(resolve);
      }),
  };
  const backlogBytesMax = 600_000;
  const { forebay } = await startWith(t, sink, { batchSize: 10, backlogBytesMax, clientShare: 0.5 });
  const client = { id: '192.0.2.7', limits: UNLIMITED };
  await send(forebay, ids(0, 1000), client);
  await until(() => answers.length === 1, 'the first batch of the file is at the sink');
  const whenFull = (): (ForebayError | null)[] => [
    forebay.refusal(1, 520_000),
    forebay.refusal(1, 520_000, 0, client),
  ];
  t.match(whenFull(), [
    { code: 'BACKLOG_FULL', retryAfterMs: 300_000 },
    { code: 'CLIENT_SHARE', retryAfterMs: 300_000 },
  ]);
  answers.pop()?.();
  await until(() => answers.length === 1, 'it has taken the first');
  t.match(forebay.counts(), { delivered: 0, pending: 1000 }, 'the file is not off the log');
  for (const error of whenFull())
    t.ok((error?.retryAfterMs ?? Infinity) < 300_000, String(error?.retryAfterMs));
  t.ok(Number.isFinite(forebay.statistics()?.drainSeconds));
  sink.deliver = async () => undefined;
  answers.pop()?.();
});

void t.test('an event that the sink fails at holds up no other batch of its file', async (t) => {
  const sink = new PickySink();
  const { forebay, dir } = await startWith(t, sink, { batchSize: 10 });
  await send(forebay, [...ids(0, 13), 'toxic', ...ids(13, 49)]);
  await until(() => sink.taken.length === 49, 'all others are delivered');
  await until(() => forebay.sinkState()?.isolatedEvents === 1, 'it waits apart');
  t.same(sink.taken.toSorted(), ids(0, 49).toSorted(), 'each once');
  t.match(forebay.counts(), { delivered: 0, pending: 50 }, 'they count once their file is gone');
  const copy = tempDir(t);
  cpSync(dir, copy, { recursive: true }); // what a kill leaves
  sink.isMended = true;
  await until(() => forebay.counts().delivered === 50, 'it is delivered once the sink is mended');
  t.equal(sink.taken.length, 50);
  const again = new PickySink();
  again.isMended = true;
  const next = await startWith(t, again, { logDir: copy });
  await until(() => next.forebay.counts().delivered === 50, 'after a crash the whole file comes again');
  const keys = new Map(sink.offers.map(({ name, key }) => [name, key]));
  for (const { name, key } of again.offers) t.equal(key, keys.get(name), `${name} under the same key`);
  t.equal(again.offers.length, 5);
});

void t.test('refused events of several batches wait for room, and the sink is not asked again', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'dead-letters'));
  const old = join(dir, 'dead-letters', 'batch_20240101_000000_1.jsonl');
  writeFileSync(old, 'x'.repeat(2000));
  const sink = new PickySink();
  const settings = { logDir: dir, batchSize: 10, deadLettersBytesMax: 2100 };
  const { forebay } = await startWith(t, sink, settings);
  await send(forebay, [...ids(0, 5), 'bad1', ...ids(5, 25), 'bad2', 'bad3', ...ids(25, 40)]);
  await until(() => forebay.sinkState()?.batchesAside === 1, 'the file is aside');
  t.same(sink.taken, ids(0, 40), 'all others are delivered');
  await send(forebay, ['next']);
  await until(() => sink.taken.includes('next'), 'and it holds up no other');
  const { length } = sink.offers;
  rmSync(old);
  await until(() => forebay.counts().deadLettered === 3, 'there is room');
  t.equal(sink.offers.length, length);
  t.same(lettersIn(dir).toSorted(), ['bad1', 'bad2', 'bad3']);
  await until(() => forebay.counts().pending === 0, 'nothing waits');
  t.match(forebay.counts(), { delivered: 41, deadLettered: 3 });
  t.same(batchFiles(dir), []);
  addsUp(t, forebay);
});
