import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import type { Test } from 'tap';
import { ForebayClient } from '../../lib/client/index.js';
import type { ClientEvent, ForebayClientError, ForebayClientOptions } from '../../lib/client/index.js';
import { madeKey, openKeys } from '../helpers/keys-file.js';
import { ids, openRaw } from '../helpers/raw-door.js';
import type { Door } from '../helpers/raw-door.js';
import { until } from '../helpers/wait-for.js';
import { accepts, idsIn, isSilent, resets, says, scripted } from './scripted-server.js';
import { VirtualClock } from './virtual-clock.js';

function clientOf(
  t: Test,
  url: string,
  options: Partial<ForebayClientOptions> = {},
): { client: ForebayClient; clock: VirtualClock } {
  const clock = new VirtualClock();
  const client = new ForebayClient({ url, waitMs: 0, ...options }, clock);
  t.teardown(async () => client.stop({ timeoutMs: 0 }));
  return { client, clock };
}

function urlOf({ server }: Door): string {
  return `http://127.0.0.1:${server.port}/events`;
}

function numbered(count: number): { id: string; type: string; data: unknown }[] {
  return Array.from({ length: count }, (_, index) => ({ id: `e${index + 1}`, type: 't', data: index }));
}

/** The code that an event was refused with; `null` if it was accepted. */
async function codeOf(sending: Promise<unknown>): Promise<string | null> {
  return sending.then(
    () => null,
    (error: ForebayClientError) => error.code,
  );
}

void t.test('send resolves when the event is on disk, not before', async (t) => {
  const door = await openRaw(t);
  const { client } = clientOf(t, urlOf(door));
  door.disk.hold();
  let isOnDisk = false;
  const sending = client.send({ id: 'a', type: 't', data: 1 }).then(() => {
    isOnDisk = true;
  });
  await until(() => door.forebay.statistics()?.queuedEvents === 1, 'the event is queued');
  t.notOk(isOnDisk);
  t.match(client, { sent: 1, accepted: 0, bufferedEvents: 1 });
  door.disk.release();
  await sending;
  t.match(client, { sent: 1, accepted: 1, bufferedEvents: 0, bufferedBytes: 0 });
});

void t.test('events arrive in their order, with ids that are made once and other members', async (t) => {
  const door = await openRaw(t);
  const { client } = clientOf(t, urlOf(door), { batchEvents: 100 });
  for (const event of numbered(1000)) void client.send(event);
  const own = { type: 't', data: { text: 'ä\u2028\ud800' }, timestamp: 5, more: [1] };
  await client.send(own);
  t.notOk('id' in own, 'what was given is not changed');
  await door.sink.received(1001);
  t.same(
    ids(door.sink.lines).slice(0, 1000),
    numbered(1000).map(({ id }) => id),
  );
  t.match(JSON.parse(door.sink.lines[1000] ?? ''), { ...own, id: /^[0-9a-f-]{36}$/ });
});

void t.test('a batch goes when it has its events or bytes, or after waitMs', async (t) => {
  const { url, asked } = await scripted(t);
  const { client, clock } = clientOf(t, url, { batchEvents: 3, batchBytes: 100, waitMs: 100 });
  for (const event of numbered(3)) void client.send(event);
  await until(() => client.accepted === 3, 'three events need no time');
  void client.send({ id: 'large', type: 't', data: 'x'.repeat(200) });
  await until(() => client.accepted === 4, 'nor does a large one');
  void client.send({ id: 'first', type: 't', data: 1 });
  await until(() => clock.waits.includes(100), 'it waits for others');
  clock.advance(60);
  void client.send({ id: 'second', type: 't', data: 1 });
  clock.advance(39);
  t.equal(client.accepted, 4);
  clock.advance(1);
  await until(() => client.accepted === 6, 'the time counts from the first');
  for (const data of ['x'.repeat(60), 'y'.repeat(60)]) void client.send({ id: data, type: 't', data: 1 });
  await until(() => client.accepted === 7, 'two that are too large together do not wait');
  await clock.pass(100);
  await until(() => client.accepted === 8, 'the second one may have company');
  t.same(
    asked.map((each) => idsIn(each).length),
    [3, 1, 2, 1, 1],
  );
});

void t.test('the time that an event waits counts while another request is under way', async (t) => {
  const { url, asked } = await scripted(t, says(429, {}, { 'retry-after': '1' }));
  const { client, clock } = clientOf(t, url, { waitMs: 100 });
  void client.send({ id: 'first', type: 't', data: 1 });
  await clock.pass(100);
  await until(() => clock.waits.includes(1000), 'the server is full');
  void client.send({ id: 'second', type: 't', data: 1 });
  await clock.pass(1000);
  await until(() => client.accepted === 2, 'it has waited long enough');
  t.same(asked.map(idsIn), [['first'], ['first'], ['second']]);
});

void t.test('a clock that is set back makes no event wait longer', async (t) => {
  const { url } = await scripted(t, says(429, {}, { 'retry-after': '1' }));
  const { client, clock } = clientOf(t, url, { waitMs: 100 });
  void client.send({ id: 'first', type: 't', data: 1 });
  await clock.pass(100);
  await until(() => clock.waits.includes(1000), 'the server is full');
  void client.send({ id: 'second', type: 't', data: 1 });
  clock.stepMs = -3_600_000;
  await clock.pass(1000);
  await clock.pass(100);
  await until(() => client.accepted === 2, 'it goes');
});

void t.test('one bad event among good ones is refused alone, by the door', async (t) => {
  const door = await openRaw(t, { eventBytesMax: 1000, depthMax: 8 });
  const { client } = clientOf(t, urlOf(door));
  const events: ClientEvent[] = numbered(300);
  events[20] = { id: 'large', type: 't', data: 'x'.repeat(2000) };
  events[250] = { id: 'deep', type: 't', data: [[[[[[[[[[1]]]]]]]]]] };
  const codes = await Promise.all(events.map(async (event) => codeOf(client.send(event))));
  t.same(
    codes.flatMap((code, index) => (code === null ? [] : [[index, code]])),
    [
      [20, 'EVENT_TOO_LARGE'],
      [250, 'EVENT_TOO_DEEP'],
    ],
  );
  t.match(client, { sent: 300, accepted: 298, refused: 2, retries: 0 });
  await door.sink.received(298);
  t.same(
    ids(door.sink.lines),
    events.flatMap(({ id = '' }) => (id.startsWith('e') ? [id] : [])),
  );
});

void t.test('an event with a known id and other data is refused alone, by the door', async (t) => {
  const door = await openRaw(t, { idWindowMs: 3_600_000, idConflict: 'reject' });
  const { client } = clientOf(t, urlOf(door));
  const events = numbered(300);
  await Promise.all(events.slice(0, 2).map(async (event) => client.send(event)));
  const other = { id: 'e2', type: 't', data: 'other' };
  t.equal(await codeOf(client.send(other)), 'ID_CONFLICT', 'by itself');
  const mixed = events.with(1, other).with(299, { id: 'e7', type: 't', data: 'other' });
  const codes = await Promise.all(mixed.map(async (event) => codeOf(client.send(event))));
  t.same(
    codes.flatMap((code, index) => (code === null ? [] : [[index, code]])),
    [
      [1, 'ID_CONFLICT'],
      [299, 'ID_CONFLICT'],
    ],
    'among others, also with an id of the same request',
  );
  const twice = [other, { ...other, data: 'another' }];
  t.same(
    await Promise.all(twice.map(async (event) => codeOf(client.send(event)))),
    ['ID_CONFLICT', 'ID_CONFLICT'],
    'and if there are no others',
  );
  t.match(client, { sent: 305, accepted: 300, duplicates: 1, refused: 5, retries: 0, bufferedEvents: 0 });
  await door.sink.received(299);
  t.same(
    ids(door.sink.lines),
    events.slice(0, 299).map(({ id }) => id),
  );
});

void t.test('each outcome is right if the door refuses more events than its answer lists', async (t) => {
  const door = await openRaw(t, { depthMax: 8 });
  const { client } = clientOf(t, urlOf(door));
  const isBad = (index: number): boolean => index % 5 !== 0;
  const events = numbered(500).map((event, index) =>
    isBad(index) ? { ...event, data: [[[[[[[[[[1]]]]]]]]]] } : event,
  );
  const codes = await Promise.all(events.map(async (event) => codeOf(client.send(event))));
  t.same(
    codes,
    events.map((_, index) => (isBad(index) ? 'EVENT_TOO_DEEP' : null)),
  );
  await door.sink.received(100);
  t.same(
    ids(door.sink.lines),
    events.flatMap(({ id }, index) => (isBad(index) ? [] : [id])),
  );
  t.equal(door.forebay.counts().accepted, 100, 'none was sent twice');
});

void t.test(
  'a batch that the queue never takes goes in halves; an event too large for the door is refused',
  async (t) => {
    const door = await openRaw(t, { queueSize: 100 });
    const { client } = clientOf(t, urlOf(door));
    const huge = client.send({ id: 'huge', type: 't', data: 'x'.repeat(5 * 2 ** 20) });
    const all = numbered(300).map(async (event) => client.send(event));
    t.equal(await codeOf(huge), 'BODY_TOO_LARGE');
    await Promise.all(all);
    await door.sink.received(300);
    t.same(
      ids(door.sink.lines),
      numbered(300).map(({ id }) => id),
    );
  },
);

void t.test('a full queue is waited for, as Retry-After says', async (t) => {
  const door = await openRaw(t, { queueSize: 1 });
  const [one, other] = [clientOf(t, urlOf(door)), clientOf(t, urlOf(door))];
  door.disk.hold();
  const first = one.client.send({ id: 'first', type: 't', data: 1 });
  await until(() => door.forebay.statistics()?.queuedEvents === 1, 'the queue is full');
  const second = other.client.send({ id: 'second', type: 't', data: 1 });
  await until(() => other.clock.waits.includes(1000), 'it waits a second');
  door.disk.release();
  await first;
  await other.clock.pass(1000);
  await second;
  t.match(other.client, { accepted: 1, retries: 1 });
});

void t.test('an event in doubt comes again under its id', async (t) => {
  const door = await openRaw(t, { ackTimeoutMs: 20 });
  const codes: string[] = [];
  const { client, clock } = clientOf(t, urlOf(door), { onRetry: ({ code }) => codes.push(code) });
  door.disk.hold();
  const sending = client.send({ type: 't', data: 1 });
  await until(() => codes.length > 0, 'the disk does not answer');
  door.disk.release();
  const [ms = NaN] = clock.waits;
  await clock.pass(ms);
  while (client.accepted === 0) {
    // the disk may still be taken for one that hangs
    await until(() => client.accepted > 0 || clock.waits.some((each) => each < 30_000), 'it goes on');
    clock.advance(clock.waits[0] ?? 0);
  }
  await sending;
  t.equal(codes[0], 'IN_DOUBT');
  await until(() => door.forebay.counts().delivered >= 2, 'it is delivered twice, as nobody knew');
  t.equal(new Set(ids(door.sink.lines)).size, 1, 'under one id');
});

void t.test('a wrong key waits until it is one', async (t) => {
  const { key, line } = madeKey('shop');
  const { keys, change } = openKeys(t, []);
  const door = await openRaw(t, { keys });
  const codes: string[] = [];
  const { client, clock } = clientOf(t, urlOf(door), {
    key,
    timeoutMs: 7000,
    onRetry: ({ code }) => codes.push(code),
  });
  const sending = client.send({ type: 't', data: 1 });
  await until(() => codes.length > 0, 'the key is refused');
  await change(line);
  await clock.pass(30_000);
  await sending;
  t.same(codes, ['KEY_WRONG']);
});

void t.test('a full buffer says so at once, and when there is room', async (t) => {
  const { url, asked } = await scripted(t, isSilent);
  const refused: string[] = [];
  const { client, clock } = clientOf(t, url, {
    bufferEvents: 3,
    onRefused: ({ data }, { code }) => refused.push(`${String(data)} ${code}`),
  });
  await client.ready();
  for (let data = 1; data <= 3; data++) void client.send({ type: 't', data });
  t.equal(await codeOf(client.send({ type: 't', data: 4 })), 'BUFFER_FULL');
  t.same(refused, ['4 BUFFER_FULL']);
  t.match(client, { sent: 4, refused: 1, bufferedEvents: 3 });
  let isReady = false;
  const ready = client.ready().then(() => {
    isReady = true;
  });
  await until(() => asked.length === 1, 'a request is under way');
  await clock.pass(30_000);
  t.notOk(isReady, 'not while nothing has an outcome');
  await clock.pass(100);
  await ready;
  t.match(client, { accepted: 3, bufferedEvents: 0 });
  await client.send({ type: 't', data: 5 });
});

void t.test('the buffer is bounded in bytes, too', async (t) => {
  const { url } = await scripted(t, isSilent);
  const { client } = clientOf(t, url, { bufferBytes: 100 });
  void client.send({ id: 'a', type: 't', data: 'x'.repeat(100) });
  t.ok(client.bufferedBytes > 100, 'the event that reaches the bound is taken, however large');
  t.equal(await codeOf(client.send({ id: 'b', type: 't', data: 1 })), 'BUFFER_FULL');
});

void t.test('what is no event is refused at once, and not sent', async (t) => {
  const { url, asked } = await scripted(t);
  const { client } = clientOf(t, url);
  const circle: Record<string, unknown> = {};
  circle['me'] = circle;
  const throwing = {
    get type(): string {
      throw new Error('no');
    },
  };
  const wrong: readonly (readonly [unknown, string, string?])[] = [
    [null, 'EVENT_NOT_OBJECT'],
    ['{"type":"t","data":1}', 'EVENT_NOT_OBJECT'],
    [[], 'EVENT_NOT_OBJECT'],
    [{ data: 1 }, 'EVENT_FIELD', 'type'],
    [{ type: '', data: 1 }, 'EVENT_FIELD', 'type'],
    [{ id: '', type: 't', data: 1 }, 'EVENT_FIELD', 'id'],
    [{ id: 7, type: 't', data: 1 }, 'EVENT_FIELD', 'id'],
    [{ type: 't' }, 'EVENT_FIELD', 'data'],
    [{ type: 't', data: () => 1 }, 'EVENT_FIELD', 'data'],
    [{ type: 't', data: 1n }, 'EVENT_NOT_JSON'],
    [{ type: 't', data: circle }, 'EVENT_NOT_JSON'],
    [throwing, 'EVENT_NOT_JSON'],
  ];
  for (const [event, code, field] of wrong)
    await t.rejects(client.send(event as ClientEvent), { code, field, name: 'ForebayClientError' });
  t.match(client, { sent: wrong.length, refused: wrong.length, bufferedEvents: 0 });
  t.equal(asked.length, 0);
});

void t.test('flush does not wait for a batch to fill, and resolves when all have an outcome', async (t) => {
  const { url, asked } = await scripted(t, resets);
  const { client, clock } = clientOf(t, url, { waitMs: 5000, batchEvents: 2 });
  await client.flush();
  const wrong = codeOf(client.send({ type: '', data: 1 }));
  for (const event of numbered(3)) void client.send(event);
  const flushed = client.flush().then(() => client.accepted);
  await clock.pass(100);
  t.equal(await flushed, 3);
  t.equal(asked.length, 3);
  t.equal(await wrong, 'EVENT_FIELD');
  void client.send({ id: 'later', type: 't', data: 1 });
  await until(() => clock.waits.includes(5000), 'the next one waits for others again');
  await client.flush();
  t.equal(client.accepted, 4, 'and not when a flush comes');
});

void t.test('stop flushes, and returns what was not sent with its ids', async (t) => {
  const { url, asked } = await scripted(t, accepts, isSilent);
  const refused: unknown[] = [];
  const { client, clock } = clientOf(t, url, {
    batchEvents: 2,
    waitMs: 1000,
    onRefused: (event) => refused.push(event),
  });
  const codes = [...numbered(3), { type: 't', data: 'own' }].map(async (event) => codeOf(client.send(event)));
  const stopped = client.stop({ timeoutMs: 5000 });
  t.equal(await codeOf(client.send({ type: 't', data: 1 })), 'STOPPED');
  t.equal(await codeOf(client.ready()), 'STOPPED');
  await until(() => asked.length === 2, 'the second batch is under way');
  await clock.pass(5000);
  const left = await stopped;
  t.match(left, [
    { id: 'e3', type: 't', data: 2 },
    { id: /^[0-9a-f-]{36}$/, data: 'own' },
  ]);
  t.same(
    asked[1] && idsIn(asked[1]),
    left.map(({ id }) => id),
    'the ids that may have arrived',
  );
  t.same(await Promise.all(codes), [null, null, 'STOPPED', 'STOPPED']);
  t.match(client, { sent: 5, accepted: 2, refused: 1, unsent: 2, bufferedEvents: 0, bufferedBytes: 0 });
  t.equal(refused.length, 1, 'those are not refused');
  t.equal(await client.stop(), left);
  t.same(clock.waits, [], 'nothing goes on');
  const { client: next } = clientOf(t, url);
  await Promise.all(left.map(async (event) => next.send(event)));
  t.same(
    asked[2] && idsIn(asked[2]),
    left.map(({ id }) => id),
  );
});

void t.test('stop ends a wait, and waits for nobody if it is not to', async (t) => {
  const { url, asked } = await scripted(t, says(429, {}, { 'retry-after': '60' }));
  const { client, clock } = clientOf(t, url);
  void client.send({ id: 'a', type: 't', data: 1 });
  await until(() => clock.waits.includes(60_000), 'the server is full');
  t.match(await client.stop({ timeoutMs: 0 }), [{ id: 'a' }]);
  t.same(clock.waits, []);
  t.equal(asked.length, 1);
  const silent = await scripted(t, isSilent);
  const { client: full, clock: fullClock } = clientOf(t, silent.url, { bufferEvents: 1 });
  void full.send({ id: 'a', type: 't', data: 1 });
  const waiting = codeOf(full.ready());
  const stopped = full.stop({ timeoutMs: 5000 });
  t.equal(await waiting, 'STOPPED', 'who waits for room hears of it before the time is over');
  await fullClock.pass(5000);
  t.match(await stopped, [{ id: 'a' }]);
  const { client: idle } = clientOf(t, url);
  t.same(await idle.stop(), []);
});

void t.test('what a callback throws stops nothing', async (t) => {
  const { url } = await scripted(t, resets, says(413, {}));
  const boom = (): never => {
    throw new Error('boom');
  };
  const { client, clock } = clientOf(t, url, { onRefused: boom, onRetry: boom });
  const sending = codeOf(client.send({ type: 't', data: 1 }));
  await clock.pass(100);
  t.equal(await sending, 'HTTP_413');
  await client.send({ type: 't', data: 1 });
});

void t.test('a setting that is wrong is named', (t) => {
  const url = 'http://localhost/events';
  for (const [options, message] of [
    [{ url: 'ftp://localhost/' }, /^url must be/],
    [{ url: '/events' }, /^url must be/],
    [{ url: 'http://user:pass@localhost/' }, /^url must be an http or https URL without a user$/],
    [{ url, batchEvents: 0 }, /^batchEvents must be a whole number, at least 1$/],
    [{ url, waitMs: -1 }, /^waitMs/],
    [{ url, timeoutMs: NaN }, /^timeoutMs/],
    [{ url, bufferBytes: Infinity }, /^bufferBytes/],
  ] as const)
    t.throws(() => new ForebayClient(options), { code: 'SETTING_INVALID', message });
  t.end();
});

/** Runs a program that has a client. @returns its exit code and what it printed */
async function run(url: string, program: string): Promise<readonly [number | null, string]> {
  const text = `import { ForebayClient } from 'forebay/client'; const url = ${JSON.stringify(url)};\n${program}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => (output += piece.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return [code, output];
}

void t.test(
  'ignoring what send returns ends no process; what is buffered keeps it until it is sent',
  async (t) => {
    const { url, asked } = await scripted(t, resets, accepts, says(413, {}));
    const program = `const client = new ForebayClient({ url });
client.send({ id: 'a', type: 't', data: 1 });
client.send({});
process.once('beforeExit', () => {
  client.send({ id: 'b', type: 't', data: 1 });
  process.once('beforeExit', () => console.log(client.accepted, client.refused, client.retries));
});`;
    t.same(await run(url, program), [0, '1 2 1\n']);
    t.same(asked.map(idsIn), [['a'], ['a'], ['b']]);
  },
);

void t.test('an empty buffer keeps no process, not even while connections are kept alive', async (t) => {
  const { url } = await scripted(t);
  const program = `const client = new ForebayClient({ url, timeoutMs: 2 ** 31 - 1 });
await client.send({ type: 't', data: 1 });
console.log('accepted');`;
  t.same(await run(url, program), [0, 'accepted\n']);
});
