import { gzipSync } from 'node:zlib';
import t from 'tap';
import type { EventContext } from '../../lib/event/event-context.js';
import { binaryCloudEvent, githubDelivery } from '../helpers/senders.js';
import { openSource, secretFile } from '../helpers/webhook-senders.js';
import { SOURCES } from '../../lib/sources/registry.js';
import { event, openRaw, post, whole } from '../helpers/raw-door.js';
import type { Door } from '../helpers/raw-door.js';

const traceOf = (n: number): string => `00-${String(n).repeat(32)}-${String(n).repeat(16)}-01`;
const context = (n: number): EventContext => ({ traceparent: traceOf(n), isReplay: false });
/** A header that means nothing to the door, but sends the request to `node:http`. */
const NOT_PLAIN = { Prefer: 'respond-async' };
const NDJSON = { 'Content-Type': 'application/x-ndjson' };

async function send({ connect }: Door, request: string | Buffer): Promise<number> {
  const client = await connect();
  await client.send(request);
  return (await client.answer()).status;
}

for (const [way, extra] of Object.entries({ 'the fast path': {}, 'node:http': NOT_PLAIN }))
  void t.test(`a request has its traceparent kept with each of its events, through ${way}`, async (t) => {
    const door = await openRaw(t);
    const { sink, server } = door;
    const bodies = [
      whole(event('a'), { traceparent: traceOf(1), ...extra }),
      whole(`[${event('b')},${event('c')}]`, { Traceparent: traceOf(2), ...extra }),
      whole(`${event('d')}\n${event('e')}\n`, { ...NDJSON, TRACEPARENT: ` ${traceOf(3)} `, ...extra }),
      whole(event('f'), { tracestate: 'vendor=1', ...extra }),
    ];
    for (const body of bodies) t.equal(await send(door, body), 202);
    await sink.received(6);
    t.strictSame(sink.contexts, {
      a: context(1),
      b: context(2),
      c: context(2),
      d: context(3),
      e: context(3),
      f: null,
    });
    t.equal(server.handedOverConnections, extra === NOT_PLAIN ? bodies.length : 0);
  });

void t.test(
  'requests of one connection have their own, as the head of the last one is remembered',
  async (t) => {
    const door = await openRaw(t);
    const client = await door.connect();
    const sent: Record<string, EventContext | null> = {};
    for (const [index, n] of [1, 1, 2, null, 1, null, 3].entries()) {
      const id = `e${index}`;
      await client.send(whole(event(id), n === null ? {} : { traceparent: traceOf(n) }));
      t.equal((await client.answer()).status, 202);
      sent[id] = n === null ? null : context(n);
    }
    await door.sink.received(7);
    t.strictSame(door.sink.contexts, sent);
    t.equal(door.server.handedOverConnections, 0);
  },
);

void t.test('one that is invalid is ignored, on both ways', async (t) => {
  const door = await openRaw(t);
  const two = post({ 'Content-Length': event('x').length }, event('two')).replace(
    '\r\n\r\n',
    `\r\ntraceparent: ${traceOf(1)}\r\ntraceparent: ${traceOf(2)}\r\n\r\n`,
  );
  const bad = ['nonsense', traceOf(0), `ff${traceOf(1).slice(2)}`, ''];
  for (const extra of [{}, NOT_PLAIN])
    for (const [index, traceparent] of bad.entries())
      t.equal(await send(door, whole(event(`${index}${'Prefer' in extra}`), { traceparent, ...extra })), 202);
  t.equal(
    await send(door, two.replace(/Content-Length: \d+/, `Content-Length: ${event('two').length}`)),
    202,
  );
  await door.sink.received(9);
  t.same(
    Object.values(door.sink.contexts),
    Array.from({ length: 9 }, () => null),
  );
});

void t.test('--traceparent ignore keeps none', async (t) => {
  const door = await openRaw(t, { traceparent: 'ignore' });
  for (const extra of [{}, NOT_PLAIN])
    t.equal(
      await send(door, whole(event('Prefer' in extra ? 'a' : 'b'), { traceparent: traceOf(1), ...extra })),
      202,
    );
  await door.sink.received(2);
  t.same(door.sink.contexts, { a: null, b: null });
});

void t.test('an event that was known before has the context of the first', async (t) => {
  const door = await openRaw(t, { idWindowMs: 60_000 });
  t.equal(await send(door, whole(event('a'), { traceparent: traceOf(1) })), 202);
  const body = `[${event('a')},${event('b')}]`;
  t.equal(await send(door, whole(body, { traceparent: traceOf(2) })), 202);
  await door.sink.received(2);
  t.strictSame(door.sink.contexts, { a: context(1), b: context(2) });
});

void t.test('a compressed body, a CloudEvent and a webhook have theirs', async (t) => {
  const github = openSource(t, `github,secret-file=${secretFile(t, 's3cret-of-github')}`);
  const door = await openRaw(t, { sources: [...SOURCES, github] });
  const packed = gzipSync(event('packed'));
  const head = post({ traceparent: traceOf(1), 'Content-Encoding': 'gzip', 'Content-Length': packed.length });
  t.equal(await send(door, Buffer.concat([Buffer.from(head), packed])), 202);
  const others = [binaryCloudEvent('/events', 'cloud'), githubDelivery('s3cret-of-github', 'hook')];
  for (const [index, { path, headers, body }] of others.entries()) {
    const all = { ...headers, 'Content-Length': Buffer.byteLength(body), traceparent: traceOf(2 + index) };
    t.equal(await send(door, post(all, body, path)), 202);
  }
  await door.sink.received(3);
  t.strictSame(door.sink.contexts, { packed: context(1), cloud: context(2), hook: context(3) });
});
