import t from 'tap';
import type { Test } from 'tap';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import { EventBlock } from '../../lib/event/event-block.js';
import type { EventContext } from '../../lib/event/event-context.js';
import type { Forebay } from '../../lib/forebay.js';
import type { Batch } from '../../lib/seams/batch.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import type { Tracer } from '../../lib/seams/tracer.js';
import { openTracer } from '../../lib/traces/open-tracer.js';
import { tracedSink } from '../../lib/traces/traced-sink.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { RawClient } from '../helpers/raw-client.js';
import { event, whole } from '../helpers/raw-door.js';
import { startWith } from '../helpers/running-forebay.js';
import { TraceCollector } from '../helpers/trace-collector.js';
import type { SeenSpan } from '../helpers/trace-collector.js';
import { until } from '../helpers/wait-for.js';

const SERVER = 2;
const CLIENT = 3;
const NOT_PLAIN = { Prefer: 'respond-async' };
const traceOf = (n: number, flags = '01'): string =>
  `00-${n.toString(16).padStart(32, 'a')}-${n.toString(16).padStart(16, 'b')}-${flags}`;

/** Keeps what each attempt was given as its `traceparent`. */
class TracedSink extends CollectingSink {
  readonly traceparents: (string | undefined)[] = [];

  override async deliver(batch: Batch, signal: AbortSignal, traceparent?: string): Promise<void> {
    this.traceparents.push(traceparent);
    await super.deliver(batch, signal);
  }
}

interface Traced {
  readonly collector: TraceCollector;
  readonly tracer: Tracer;
  readonly sink: TracedSink;
  readonly forebay: Forebay;
  readonly said: string[];
  readonly send: (body: string, headers?: Readonly<Record<string, string>>) => Promise<number>;
}

async function traced(t: Test, traceSample = 1, batchSize = 100): Promise<Traced> {
  const collector = await TraceCollector.start(t);
  const said: string[] = [];
  const say = (_fields: object, text: string): void => void said.push(text);
  const logger = { debug: say, info: say, warn: say, error: say };
  const tracer = await openTracer({ traceUrl: new URL(collector.url), traceSample }, logger);
  if (tracer === null) throw new Error('there is no tracer');
  t.teardown(() => tracer.close(0));
  const sink = new TracedSink();
  const { forebay } = await startWith(t, tracedSink(sink, tracer), { batchSize });
  const server = new IngestionServer({ forebay, port: 0, tracer });
  await server.start();
  t.teardown(() => server.stop(0));
  const send: Traced['send'] = async (body, headers = {}) => {
    const client = await RawClient.connect(server.port);
    t.teardown(() => client.socket.destroy());
    await client.send(whole(body, headers));
    return (await client.answer()).status;
  };
  return { collector, tracer, sink, forebay, said, send };
}

for (const [way, extra] of Object.entries({ 'the fast path': {}, 'node:http': NOT_PLAIN }))
  void t.test(`a trace goes from its client through the log to the sink, by ${way}`, async (t) => {
    const { collector, sink, send } = await traced(t);
    t.equal(await send(`[${event('a')},${event('b')}]`, { traceparent: traceOf(1), ...extra }), 202);
    await sink.received(2);
    const [accept] = await collector.named('POST /events', 1);
    const [deliver] = await collector.named('deliver custom', 1);
    const [, trace, parent] = traceOf(1).split('-');
    t.match(accept, { traceId: trace, parentSpanId: parent, kind: SERVER, isError: false });
    t.match(accept?.attributes, {
      'http.request.method': 'POST',
      'http.route': '/events',
      'http.response.status_code': 202,
      'url.scheme': 'http',
      'messaging.system': 'forebay',
      'messaging.destination.name': 'events',
      'messaging.batch.message_count': 2,
    });
    t.match(deliver, { parentSpanId: null, kind: CLIENT, isError: false, droppedLinks: 0 });
    t.same(deliver?.links, [`${accept?.traceId}-${accept?.spanId}`], 'one link for both events');
    t.match(deliver?.attributes, { 'messaging.batch.message_count': 2, 'messaging.operation.type': 'send' });
    t.match(deliver?.attributes['forebay.batch'], /^batch_/);
    const kept: EventContext = { traceparent: `00-${accept?.traceId}-${accept?.spanId}-01`, isReplay: false };
    t.strictSame(sink.contexts, { a: kept, b: kept });
    t.same(sink.traceparents, [`00-${deliver?.traceId}-${deliver?.spanId}-01`]);
    t.match(collector.resource, { 'service.name': 'forebay' });
    t.equal(collector.spans.length, 2);
  });

void t.test('a trace starts here if the request has none, for the share that is asked for', async (t) => {
  const all = await traced(t);
  t.equal(await all.send(event('a')), 202);
  const [accept] = await all.collector.named('POST /events', 1);
  t.equal(accept?.parentSpanId, null);
  const none = await traced(t, 0);
  t.equal(await none.send(event('a')), 202);
  t.equal(await none.send(event('b'), { traceparent: traceOf(1, '00') }), 202);
  t.equal(await none.send(event('c'), { traceparent: traceOf(2) }), 202);
  await none.sink.received(3);
  await none.collector.named('deliver custom', 1);
  const [sent] = await none.collector.named('POST /events', 1);
  t.equal(none.collector.spans.filter(({ kind }) => kind === SERVER).length, 1, 'that of the sampled trace');
  t.strictSame(none.sink.contexts, {
    a: null,
    b: { traceparent: traceOf(1, '00'), isReplay: false },
    c: { traceparent: `00-${sent?.traceId}-${sent?.spanId}-01`, isReplay: false },
  });
});

void t.test('failures are errors of their spans, without what the sink said', async (t) => {
  const { collector, sink, send } = await traced(t);
  t.equal(await send('{'), 400);
  const [refused] = await collector.named('POST /events', 1);
  t.match(refused, { isError: false, attributes: { 'http.response.status_code': 400 } });
  sink.error = new SinkError('secret words', { status: 503 });
  t.equal(await send(event('a')), 202);
  const [failed] = await collector.named('deliver custom', 1);
  t.match(failed, { isError: true, attributes: { 'error.type': '503' } });
  sink.error = new SinkError('secret words', {
    status: 422,
    refused: [{ index: 0, reason: 'secret words', status: 422 }],
  });
  const refusals = (): SeenSpan[] =>
    collector.spans.filter(({ attributes }) => attributes['error.type'] === '422');
  await until(() => refusals().length > 0, 'there is the span of the refusal');
  t.match(refusals()[0], { isError: true, attributes: { 'forebay.refused': 1 } });
  t.notMatch(JSON.stringify(collector.spans), /secret/);
});

void t.test('a span has a bounded number of links, and counts the others', async (t) => {
  const { collector, forebay, sink } = await traced(t, 1, 300);
  const traces = Array.from({ length: 300 }, (_each, n) => traceOf(n));
  for (const [n, traceparent] of traces.entries()) {
    const block = EventBlock.of(event(`e${n}`));
    block.context = { traceparent, isReplay: false };
    forebay.take(block, () => undefined);
  }
  await sink.received(300);
  await until(() => linked(collector) === 300, `300 links are there, not ${linked(collector)}`);
  const deliver = await collector.named('deliver custom', 1);
  t.ok(
    deliver.some(({ droppedLinks }) => droppedLinks > 0),
    'of a batch with more than its bound',
  );
  t.ok(deliver.every(({ links }) => links.length <= 128));
});

/** All links of attempts, also those that were dropped. */
function linked({ spans }: TraceCollector): number {
  return spans.reduce((sum, { links, droppedLinks }) => sum + links.length + droppedLinks, 0);
}

void t.test('a collector that hangs delays nothing, and costs a bounded number of spans', async (t) => {
  const { collector, tracer, forebay, sink, said, send } = await traced(t);
  collector.mode = 'hang';
  for (let n = 0; n < 20; n++) t.equal(await send(event(`e${n}`), { traceparent: traceOf(n) }), 202);
  await sink.received(20);
  const about = { source: 'events', path: '/events', isTls: false, context: null };
  for (let n = 0; n < 5000; n++) tracer.accept(about)?.end(202);
  t.ok(tracer.counts.lost >= 2900, `${tracer.counts.lost} spans are lost`);
  t.equal(tracer.counts.sent, 0);
  t.equal(said.filter((text) => text.includes('lost')).length, 1, 'it is said once');
  await until(() => forebay.counts().delivered === 20, 'all are delivered');
  await tracer.close(0);
  t.ok(tracer.counts.lost >= 5020, 'all are counted once it is closed');
  t.equal(said.filter((text) => text.includes('lost')).length, 2, 'and said at the end');
});

void t.test('what a collector does not take is counted, and said', async (t) => {
  const { collector, tracer, said, send } = await traced(t);
  collector.mode = 'refuse';
  t.equal(await send(event('a')), 202);
  await until(() => tracer.counts.lost > 0, 'spans are lost');
  t.match(
    said.find((text) => text.includes('lost')),
    /^\d+ spans? lost: the collector http:\/\/127\.0\.0\.1:\d+: /,
  );
});

void t.test('spans that a collector rejects with its 200 are lost, not sent', async (t) => {
  const { collector, tracer, said } = await traced(t);
  const about = { source: 'events', path: '/events', isTls: false, context: null };
  const send = async (spans: number, partialSuccess: object): Promise<void> => {
    collector.partialSuccess = partialSuccess;
    const before = tracer.counts.sent + tracer.counts.lost;
    for (let n = 0; n < spans; n++) tracer.accept(about)?.end(202);
    const counted = (): number => tracer.counts.sent + tracer.counts.lost - before;
    await until(() => counted() === spans, `${spans} are counted, not ${counted()}`);
  };
  await send(2, { rejectedSpans: 0, errorMessage: 'a warning' });
  t.same(tracer.counts, { sent: 2, lost: 0 });
  await send(5, { rejectedSpans: '3', errorMessage: 'the trace is too old' });
  t.same(tracer.counts, { sent: 4, lost: 3 });
  await send(2, { rejectedSpans: 99 });
  t.same(tracer.counts, { sent: 4, lost: 5 }, 'never more than it got');
  await send(1, {});
  t.same(tracer.counts, { sent: 5, lost: 5 });
  t.match(
    said.filter((text) => text.includes('lost')),
    [/^3 spans lost: the collector http:\S+: it has rejected some: the trace is too old$/],
    'at most once a minute',
  );
});

void t.test(
  'without --trace-url nothing is loaded, and without its packages the start says so',
  async (t) => {
    const logger = {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: () => undefined,
    };
    const load = async (): Promise<never> => {
      const error = Object.assign(new Error("Cannot find package '@opentelemetry/api'"), {
        code: 'ERR_MODULE_NOT_FOUND',
      });
      return Promise.reject(error);
    };
    t.equal(await openTracer({ traceUrl: null, traceSample: 1 }, logger, load), null);
    const missing = openTracer({ traceUrl: new URL('http://127.0.0.1:1/'), traceSample: 1 }, logger, load);
    await t.rejects(missing, {
      code: 'SETTING_INVALID',
      message: /^--trace-url needs the packages @opentelemetry\/api, /,
    });
  },
);
