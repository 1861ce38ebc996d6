import t from 'tap';
import type { EventContext } from '../../lib/event/event-context.js';
import { EventBlock } from '../../lib/event/event-block.js';
import type { Forebay } from '../../lib/forebay.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import type { Batch } from '../../lib/seams/batch.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { buildWith, eventText, startForebay, startWith, until } from '../helpers/running-forebay.js';
import { tempDir } from '../helpers/temp-dir.js';

const traceOf = (n: number): string => `00-${String(n).repeat(32)}-${String(n).repeat(16)}-01`;
const TRACED: EventContext = { traceparent: traceOf(1), isReplay: false };
const REPLAYED: EventContext = { traceparent: traceOf(2), isReplay: true };

/** Sends the events of a request. */
async function send(forebay: Forebay, ids: readonly string[], context: EventContext | null): Promise<void> {
  const block = EventBlock.of(...ids.map((id) => eventText(id)));
  block.context = context;
  await new Promise<void>((resolve, reject) => {
    forebay.take(block, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

const SENT: Readonly<Record<string, EventContext | null>> = {
  a: TRACED,
  b: TRACED,
  c: TRACED,
  d: null,
  e: REPLAYED,
  f: REPLAYED,
  g: { traceparent: null, isReplay: true },
};

async function sendAll(forebay: Forebay): Promise<void> {
  await Promise.all([
    send(forebay, ['a', 'b', 'c'], TRACED),
    send(forebay, ['d'], null),
    send(forebay, ['e', 'f'], REPLAYED),
    send(forebay, ['g'], SENT['g'] ?? null),
  ]);
}

for (const batchSize of [2, 100])
  void t.test(`events arrive with their contexts, in batches of ${batchSize}`, async (t) => {
    const { forebay, sink } = await startForebay(t, { batchSize });
    await sendAll(forebay);
    await sink.received(7);
    t.strictSame(sink.contexts, SENT);
  });

void t.test('a batch without a context has none at all', async (t) => {
  const { forebay, sink } = await startForebay(t);
  await send(forebay, ['a', 'b'], null);
  await sink.received(2);
  t.strictSame(
    sink.batches.map(({ contexts }) => contexts),
    [[]],
  );
});

void t.test('what an earlier run left arrives with its contexts', async (t) => {
  const logDir = tempDir(t);
  const sink = new CollectingSink();
  sink.held = true;
  const first = buildWith(t, sink, { logDir, batchSize: 2 });
  await first.forebay.start();
  await sendAll(first.forebay);
  await first.forebay.stop(0);
  const { sink: next } = await startForebay(t, { logDir, batchSize: 2 });
  await next.received(7);
  t.strictSame(next.contexts, SENT);
});

/** Refuses batches with one of these events, without saying which events it means. */
class PickySink extends CollectingSink {
  readonly refused: readonly string[];
  readonly error422 = new SinkError('no', { status: 422, refused: 'all' });

  constructor(...refused: readonly string[]) {
    super();
    this.refused = refused;
  }

  override async deliver(batch: Batch, signal: AbortSignal): Promise<void> {
    this.error = [...batch].some(({ id }) => this.refused.includes(id)) ? this.error422 : null;
    await super.deliver(batch, signal);
  }
}

void t.test('so do the parts of a batch that is split', async (t) => {
  const { forebay, sink } = await startWith(t, new PickySink('b', 'g'));
  await sendAll(forebay);
  await sink.received(5);
  const { b: _b, g: _g, ...others } = SENT;
  t.strictSame(sink.contexts, others);
});

void t.test('so does a batch that is tried again, or goes apart from others', async (t) => {
  const sink = new CollectingSink();
  const { forebay } = await startWith(t, sink, { batchSize: 4 });
  sink.error = new Error('unwell');
  await sendAll(forebay);
  await until(() => sink.attempts.length > 2, 'the sink has failed more than once');
  sink.error = null;
  await sink.received(7);
  t.strictSame(sink.contexts, SENT);
});

void t.test('write takes a context, and ignores one that is invalid', async (t) => {
  const { forebay, sink } = await startForebay(t);
  await forebay.write(eventText('a'), { traceparent: traceOf(3) });
  await forebay.write(eventText('b'), { traceparent: 'nonsense', isReplay: true });
  await forebay.write(eventText('c'), { traceparent: traceOf(0) });
  await forebay.write(eventText('d'));
  await sink.received(4);
  t.strictSame(sink.contexts, {
    a: { traceparent: traceOf(3), isReplay: false },
    b: { traceparent: null, isReplay: true },
    c: null,
    d: null,
  });
});
