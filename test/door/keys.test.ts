import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { ForebayError } from '../../lib/base/errors.js';
import { silentLogger } from '../../lib/base/reporter.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import { KEYS_MAX } from '../../lib/keys/key-line.js';
import { KeyHolder, Keys } from '../../lib/keys/keys.js';
import { digestOf, newKey } from '../../lib/keys/secret.js';
import type { RequestHead, Source } from '../../lib/seams/source.js';
import { events } from '../../lib/sources/events/events-source.js';
import { keyFamilies } from '../../lib/observe/metrics/key-families.js';
import { basic, madeKey, openKeys } from '../helpers/keys-file.js';
import type { RawAnswer } from '../helpers/raw-client.js';
import { chunk, CHUNKED, event, ids, openRaw, post, whole } from '../helpers/raw-door.js';
import type { Door } from '../helpers/raw-door.js';
import { headOf as headWith } from '../helpers/read-source.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

type Headers = Readonly<Record<string, string>>;

/** Headers that send a request through the fast path, and through `node:http`. */
const WAYS: Readonly<Record<string, Headers>> = {
  'fast path': {},
  'node:http': { Prefer: 'respond-async' },
};
const CHALLENGES = 'Bearer realm="forebay", Basic realm="forebay", charset="UTF-8"';

const bearer = (key: string): Headers => ({ Authorization: `Bearer ${key}` });
const at = (path: string, name: string, more: Partial<Source> = {}): Source => ({
  ...events,
  name,
  path,
  ...more,
});

/** Claims something of both ways. */
function claim(title: string, check: (t: Test, way: Headers) => Promise<void>): void {
  for (const [name, way] of Object.entries(WAYS)) void t.test(`${title}, ${name}`, (t) => check(t, way));
}

/** The sink gets these events, the one that is sent now, and no others. */
async function hasTaken(
  t: Test,
  { connect, sink }: Door,
  key: string,
  taken: readonly string[],
): Promise<void> {
  const client = await connect();
  await client.send(whole(event('last'), bearer(key)));
  t.equal((await client.answer()).status, 202, 'others are served');
  await until(() => ids(sink.lines).includes('last'), 'the last event is delivered');
  t.same(ids(sink.lines), [...taken, 'last']);
}

const codeOf = ({ body }: RawAnswer): unknown => (JSON.parse(body) as { code?: unknown }).code;

claim('whoever presents a key is let in, and counted by its name', async (t, way) => {
  const meter = madeKey('meter');
  const { keys } = openKeys(t, [meter.line, madeKey('other').line]);
  const door = await openRaw(t, { keys });
  const client = await door.connect();
  const forms = [
    `Bearer ${meter.key}`,
    `bearer   ${meter.key} `,
    basic('meter', meter.key),
    basic('', meter.key),
    basic('anyone ü', meter.key).replace('Basic', 'bASIC'),
  ];
  for (const [index, form] of forms.entries()) {
    await client.send(whole(event(`e${index}`), { Authorization: form, ...way }));
    t.equal((await client.answer()).status, 202, form.slice(0, 8));
  }
  t.equal(door.server.handedOverConnections, way === WAYS['fast path'] ? 0 : 1);
  await client.send(whole(`[${event('a')},{}]`, { ...bearer(meter.key), ...way }));
  t.equal((await client.answer()).status, 400);
  t.match(keys.holders.get('meter'), { acceptedEvents: 5, refusedEvents: 2 });
  t.match(keys.holders.get('other'), { acceptedEvents: 0, refusedEvents: 0 });
  const samples = Object.fromEntries(keyFamilies(keys).map(({ name, samples }) => [name, samples]));
  t.match(samples, {
    forebay_key_events_accepted_total: [{ value: 5, labels: { key: 'meter' } }, { value: 0 }],
    forebay_key_events_refused_total: [{ value: 2, labels: { key: 'meter' } }, { value: 0 }],
    forebay_keys: [{ value: 2 }],
    forebay_keys_file_stale: [{ value: 0 }],
  });
  await hasTaken(
    t,
    door,
    meter.key,
    forms.map((_, index) => `e${index}`),
  );
});

claim('an event gets the name of its key if its source says so, and cannot bring another', async (t, way) => {
  const meter = madeKey('meter');
  const { keys } = openKeys(t, [meter.line]);
  const marking = { ...events, keyMember: 'sender' };
  const door = await openRaw(t, { keys, sources: [marking] });
  const client = await door.connect();
  const statusOf = async (body: string): Promise<number> => {
    await client.send(whole(body, { ...bearer(meter.key), ...way }));
    return (await client.answer()).status;
  };
  t.equal(await statusOf(event('a')), 202);
  t.equal(await statusOf(` {"id":"b","type":"t","data":{"sender":1}} `), 202, 'of its data');
  t.equal(await statusOf(`[${event('c')}, ${event('d', '}')} ]`), 202);
  for (const own of ['"sender":"other"', '"s\\u0065nder":null', '"sender":"meter"'])
    t.equal(await statusOf(`[${event('e')},${event('f').replace('{', `{${own},`)}]`), 400, own);
  t.equal(await statusOf(event('g').replace('{', '{"sender":1,')), 400);
  await door.sink.received(4);
  const lines = door.sink.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  t.same(ids(door.sink.lines).toSorted(), ['a', 'b', 'c', 'd']);
  t.ok(lines.every(({ sender }) => sender === 'meter'));
  t.match(door.sink.lines[0], /,"timestamp":1,"sender":"meter"\}$/);
  t.equal(door.server.counts.refusedFor('EVENT_FIELD'), 7);
  const bare = { forebay: door.forebay, sources: [marking] };
  t.throws(() => new IngestionServer(bare), { message: /"key-member" of the source events needs a source/ });
});

claim('what is no key of the file gets 401, both challenges, and words without the key', async (t, way) => {
  const meter = madeKey('meter');
  const { keys } = openKeys(t, [meter.line]);
  const door = await openRaw(t, { keys });
  const stranger = newKey();
  const wrong: readonly (string | null)[] = [
    null,
    '',
    'Bearer',
    'Bearer s3cret',
    `Bearer ${stranger}`,
    `Bearer ${meter.key}x`,
    `Bearer ${meter.key.slice(0, -1)}`,
    `Bearer ${meter.key} ${meter.key}`,
    `Bearer ${meter.key}, Bearer ${meter.key}`,
    `Bearer "${meter.key}"`,
    `Bearer ${meter.key.toLowerCase()}`,
    `Bearer:${meter.key}`,
    `Bearer${meter.key}`,
    meter.key,
    `Basic ${meter.key}`,
    'Basic',
    'Basic !!!!',
    'Basic ====',
    basic('meter', stranger),
    basic('meter', ''),
    basic(meter.key, ''),
    basic('meter', `${meter.key}:`),
    basic('meter', `:${meter.key}`),
    `Digest username="meter", response="${meter.key}"`,
    `Bearer ${'x'.repeat(8000)}`,
    `Basic ${'A'.repeat(8000)}`,
  ];
  for (const form of wrong) {
    const client = await door.connect();
    const header = form === null ? {} : { Authorization: form };
    await client.send(whole(event('wrong'), { ...header, ...way }));
    const answer = await client.answer();
    const what = String(form).slice(0, 60);
    t.equal(answer.status, 401, what);
    t.equal(codeOf(answer), form === null ? 'KEY_MISSING' : 'KEY_WRONG', what);
    t.equal(answer.headers['www-authenticate'], CHALLENGES);
    t.equal(answer.headers['cache-control'], 'no-store');
    for (const secret of [meter.key, stranger, 's3cret', 'xxxx', 'AAAA', 'meter'])
      t.notOk(answer.body.includes(secret), `${what} is not shown`);
    await client.send(whole(event('wrong'), header));
    t.equal((await client.answer()).status, 401, 'the connection stays');
  }
  t.match(keys.holders.get('meter'), { acceptedEvents: 0, refusedEvents: 0 }, 'nobody knows whose they were');
  t.equal(door.server.counts.refusedFor('KEY_MISSING'), 2);
  t.equal(door.server.counts.refusedFor('KEY_WRONG'), 2 * (wrong.length - 1));
  await hasTaken(t, door, meter.key, []);
});

claim('the hash of a chosen password lets nobody in', async (t, way) => {
  const hash = digestOf('hunter2').toString('hex');
  const { connect } = await openRaw(t, { keys: openKeys(t, [madeKey('weak', { hash }).line]).keys });
  for (const form of ['Bearer hunter2', basic('weak', 'hunter2')]) {
    const client = await connect();
    await client.send(whole(event('a'), { Authorization: form, ...way }));
    t.match(await client.answer(), { status: 401, body: /KEY_WRONG/ });
  }
});

void t.test('of two Authorization lines none counts, nor does one that is folded or not ASCII', async (t) => {
  const meter = madeKey('meter');
  const door = await openRaw(t, { keys: openKeys(t, [meter.line]).keys });
  const body = event('twice');
  const line = `Authorization: Bearer ${meter.key}\r\n`;
  const lines = [
    line + line,
    `${line}authorization: Bearer x\r\n`,
    `authorization: Bearer x\r\n${line}`,
    'Authorization: Bearer \xff\xfe\r\n',
  ];
  for (const each of lines) {
    const client = await door.connect();
    const head = `POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${each}`;
    await client.send(Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n${body}`, 'latin1'));
    t.match(await client.answer(), { status: 401, body: /KEY_WRONG/ });
  }
  await hasTaken(t, door, meter.key, []);
});

void t.test('HTTP/1.0, chunks and pipelined requests are asked, too, each for itself', async (t) => {
  const meter = madeKey('meter');
  const door = await openRaw(t, { keys: openKeys(t, [meter.line]).keys });
  const old = (id: string, headers: Headers): string =>
    whole(event(id), headers).replace('HTTP/1.1', 'HTTP/1.0');
  for (const [id, headers, status] of [
    ['a', bearer(meter.key), 202],
    ['x', {}, 401],
    ['x', bearer(newKey()), 401],
  ] as const) {
    const client = await door.connect();
    await client.send(old(id, headers));
    t.equal((await client.answer()).status, status);
    await client.closed;
  }
  const chunked = (id: string, headers: Headers): string =>
    post({ ...headers, ...CHUNKED }) + chunk(event(id)) + chunk('');
  const client = await door.connect();
  await client.send(
    whole(event('b'), bearer(meter.key)) +
      whole(event('x')) +
      chunked('c', { Authorization: basic('', meter.key) }) +
      whole(event('d'), bearer(meter.key)) +
      chunked('x', bearer(newKey())),
  );
  const statuses: number[] = [];
  for (let answers = 0; answers < 5; answers++) statuses.push((await client.answer()).status);
  t.same(statuses, [202, 401, 202, 202, 401]);
  await hasTaken(t, door, meter.key, ['a', 'b', 'c', 'd']);
});

void t.test('a key is asked for before the body is read, and before anything else is said', async (t) => {
  const meter = madeKey('meter');
  const door = await openRaw(t, { keys: openKeys(t, [meter.line]).keys, bodyBytesMax: 1000, queueSize: 1 });
  for (const [what, headers] of Object.entries({
    'a body that waits for 100 Continue': { Expect: '100-continue', 'Content-Length': '100' },
    'a body that does not come': { Prefer: 'x', 'Content-Length': '100' },
    'a body that is too large': { 'Content-Length': '100000' },
    'a format that is not taken': { 'Content-Type': 'text/plain', 'Content-Length': '100' },
    'a coding that is not known': { 'Content-Encoding': 'x', 'Content-Length': '100' },
  })) {
    const client = await door.connect();
    await client.send(post(headers));
    t.match(await client.answer(), { status: 401, body: /KEY_MISSING/ }, what);
  }
  const patient = await door.connect();
  await patient.send(
    post({ ...bearer(meter.key), Expect: '100-continue', 'Content-Length': event('a').length }),
  );
  t.equal((await patient.answer()).status, 100);
  await patient.send(event('a'));
  t.equal((await patient.answer()).status, 202);
  door.disk.hold();
  await patient.send(whole(event('b'), bearer(meter.key)));
  await until(() => door.server.refusal()?.code === 'QUEUE_FULL', 'the queue is full');
  for (const [headers, status] of [
    [bearer(meter.key), 429],
    [{}, 401],
  ] as const) {
    const client = await door.connect();
    await client.send(whole(event('c'), headers));
    t.equal((await client.answer()).status, status);
  }
  door.disk.release();
  t.equal((await patient.answer()).status, 202);
});

claim('a key for some sources gets 403 at the others', async (t, way) => {
  const meter = madeKey('meter', { sources: ['partner'] });
  const { keys } = openKeys(t, [meter.line]);
  const { connect } = await openRaw(t, { keys, sources: [events, at('/in/partner', 'partner')] });
  const client = await connect();
  const sent = { ...bearer(meter.key), ...way };
  await client.send(whole(event('a'), sent));
  const answer = await client.answer();
  t.equal(answer.status, 403);
  t.match(JSON.parse(answer.body), {
    code: 'KEY_NOT_FOR_SOURCE',
    error: 'The key meter may not send to the source events',
  });
  t.equal(answer.headers['www-authenticate'], undefined);
  await client.send(post({ ...sent, 'Content-Length': event('b').length }, event('b'), '/in/partner'));
  t.equal((await client.answer()).status, 202);
  t.match(keys.holders.get('meter'), { acceptedEvents: 1, refusedEvents: 1 });
});

claim('a key that expires while its connection is open is refused with the next request', async (t, way) => {
  const realNow = Date.now.bind(Date);
  let aheadMs = 0;
  t.intercept(Date, 'now', { value: () => realNow() + aheadMs });
  const expires = Date.now() + 3_600_000;
  const [short, good] = [madeKey('short', { expires }), madeKey('good')];
  const { keys } = openKeys(t, [short.line, good.line]);
  const door = await openRaw(t, { keys });
  const client = await door.connect();
  const send = async (key: string): Promise<RawAnswer> => {
    await client.send(whole(event('a'), { ...bearer(key), ...way }));
    return client.answer();
  };
  t.equal((await send(short.key)).status, 202);
  t.equal((await send(short.key)).status, 202);
  aheadMs = 3_600_001;
  for (let times = 0; times < 2; times++) {
    const answer = await send(short.key);
    t.match(answer, { status: 401, headers: { 'www-authenticate': CHALLENGES } });
    const { code, error } = JSON.parse(answer.body) as { code: string; error: string };
    t.equal(code, 'KEY_WRONG');
    t.equal(error, `The key short expired at ${new Date(expires).toISOString()}`);
  }
  t.equal(door.server.handedOverConnections, way === WAYS['fast path'] ? 0 : 1);
  t.match(keys.holders.get('short'), { acceptedEvents: 2, refusedEvents: 2 });
  t.notMatch((await send(newKey())).body, /expired/, 'strangers hear nothing of it');
  t.equal((await send(good.key)).status, 202);
});

claim('what is changed in the file holds for the next request of an open connection', async (t, way) => {
  const [meter, second, other] = [madeKey('meter'), madeKey('meter'), madeKey('other')];
  const { keys, change } = openKeys(t, [meter.line, second.line, other.line]);
  const door = await openRaw(t, { keys });
  const [client, holder] = [await door.connect(), await door.connect()];
  const send = async (by = client, key = meter.key): Promise<number> => {
    await by.send(whole(event('a'), { ...bearer(key), ...way }));
    return (await by.answer()).status;
  };
  t.equal(await send(), 202);
  t.equal(await send(holder, second.key), 202);
  await change(second.line + other.line);
  t.equal(await send(), 401);
  t.equal(await send(), 401);
  t.equal(await send(holder, second.key), 202, 'the other key of its holder is as good as before');
  await change(meter.line + other.line);
  t.equal(await send(), 202, 'and back');
  t.equal(await send(holder, second.key), 401);
  await change(meter.line.replace('}', ',"sources":["x"]}'));
  t.equal(await send(), 403);
  await change(meter.line.replace('}', ',"eventsPerSecond":7}'));
  t.equal(await send(), 202);
  const counted = keys.holders.get('meter');
  t.match(counted, { id: 'key meter', limits: { eventsPerSecond: 7, bytesPerSecond: null } });
  t.match(counted, { acceptedEvents: 5, refusedEvents: 1 });
  t.ok(keys.holders.has('other'), 'the counters of a removed key stay');
});

void t.test('a broken file is reported once, and its last content is used', async (t) => {
  const meter = madeKey('meter');
  const warnings: object[] = [];
  const warn = (fields: object, message: string): void => void warnings.push({ ...fields, message });
  const { keys, change } = openKeys(t, [meter.line], { ...silentLogger, warn });
  const { connect } = await openRaw(t, { keys });
  const client = await connect();
  const status = async (): Promise<number> => {
    await client.send(whole(event('a'), bearer(meter.key)));
    return (await client.answer()).status;
  };
  await change(`${madeKey('other').line}{"name":"x"}\n`);
  for (let looks = 0; looks < 3; looks++) await keys.refresh();
  t.equal(await status(), 202);
  t.equal(keys.isStale, true);
  t.match(keyFamilies(keys).at(-1), { name: 'forebay_keys_file_stale', samples: [{ value: 1 }] });
  t.equal(warnings.length, 1);
  t.match(warnings[0], {
    code: 'KEYS_FILE_FAILED',
    message: /keys\.jsonl \(--keys-file\) cannot be read: line 2 has no "hash"; its last content is used/,
  });
  await change(madeKey('other').line);
  t.equal(keys.isStale, false);
  t.equal(await status(), 401);
  t.equal(warnings.length, 1);
});

void t.test('a source is asked as its setting says, otherwise if it checks no signature', async (t) => {
  const meter = madeKey('meter');
  const verify = (head: RequestHead): void => {
    if (head.header('x-signature') !== 'good') throw new ForebayError('BAD_REQUEST', { message: 'forged' });
  };
  const sources = [
    events,
    at('/open', 'open', { keyRule: 'none' }),
    at('/signed', 'signed', { verify }),
    at('/both', 'both', { verify, keyRule: 'required' }),
  ];
  const { connect } = await openRaw(t, { keys: openKeys(t, [meter.line]).keys, sources });
  const signed = { 'X-Signature': 'good' };
  for (const way of Object.values(WAYS)) {
    for (const [path, headers, status] of [
      ['/events', {}, 401],
      ['/events', bearer(meter.key), 202],
      ['/open', {}, 202],
      ['/open', bearer(newKey()), 202],
      ['/signed', {}, 400],
      ['/signed', signed, 202],
      ['/both', signed, 401],
      ['/both', bearer(meter.key), 400],
      ['/both', { ...signed, ...bearer(meter.key) }, 202],
    ] as const) {
      const client = await connect();
      const body = event('a');
      await client.send(post({ ...headers, ...way, 'Content-Length': body.length }, body, path));
      t.equal((await client.answer()).status, status, `${path} ${Object.keys(headers).join()}`);
    }
  }
  const { forebay } = await openRaw(t);
  t.throws(() => new IngestionServer({ forebay, sources }), {
    code: 'SETTING_INVALID',
    message: '"key" of the source both is required, so the server needs --keys-file',
  });
});

void t.test('a preflight is asked for no key, and lets a page send one', async (t) => {
  const meter = madeKey('meter');
  const origin = 'https://app.example';
  const { keys } = openKeys(t, [meter.line]);
  const { connect } = await openRaw(t, { keys, corsOrigins: [origin] });
  const client = await connect();
  const asked = 'Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n';
  await client.send(`OPTIONS /events HTTP/1.1\r\nHost: localhost\r\nOrigin: ${origin}\r\n${asked}\r\n`);
  const { status, headers } = await client.answer();
  t.equal(status, 204);
  t.match(headers['access-control-allow-headers'], /\bAuthorization\b/);
  for (const [from, key, expected] of [
    [origin, {}, 401],
    [origin, bearer(meter.key), 202],
    ['https://other.example', {}, 403],
  ] as const) {
    const page = await connect();
    await page.send(whole(event('a'), { Origin: from, ...key }));
    const answer = await page.answer();
    t.equal(answer.status, expected);
    if (from === origin)
      t.equal(answer.headers['access-control-allow-origin'], origin, 'the page may read it');
  }
});

void t.test('10,000 keys are looked up as fast as one, and one more is refused', async (t) => {
  const made = Array.from({ length: KEYS_MAX }, (_, index) => madeKey(`k${index}`));
  const lines = made.map(({ line }) => line);
  const { keys, change } = openKeys(t, lines);
  t.equal(keys.size, KEYS_MAX);
  const headOf = (key: string): RequestHead => headWith({ Authorization: `Bearer ${key}` });
  for (const index of [0, 4711, KEYS_MAX - 1])
    t.equal(keys.holderOf(headOf(made[index]?.key ?? ''), 'events')().name, `k${index}`);
  const few = openKeys(t, lines.slice(0, 1)).keys;
  const strangers = Array.from({ length: 500 }, () => headOf(newKey()));
  const lookUp = (all: Keys): number => {
    const beginMs = performance.now();
    for (const head of strangers) {
      try {
        all.holderOf(head, 'events');
        t.fail('a stranger is let in');
      } catch {
        // as it should be
      }
    }
    return performance.now() - beginMs;
  };
  // the least of several rounds: other programs take time from some
  const least = [Infinity, Infinity];
  for (let round = 0; round < 5; round++)
    for (const [index, all] of [keys, few].entries()) least[index] = Math.min(least[index] ?? 0, lookUp(all));
  const [many = 0, one = 0] = least;
  t.ok(many < 3 * one + 5, `${many} ms and ${one} ms`);

  for (let run = 0; run < 3; run++)
    await change(made.map(({ line }, index) => line.replace(`"k${index}"`, `"r${run}-${index}"`)).join(''));
  t.ok(keys.holders.size <= 2 * KEYS_MAX, 'the names of removed keys are not kept without bound');
  t.equal(keys.holders.get('r2-0') instanceof KeyHolder, true);

  const path = join(tempDir(t), 'keys.jsonl');
  writeFileSync(path, lines.join('') + madeKey('more').line);
  t.throws(() => new Keys(path), {
    code: 'SETTING_INVALID',
    message: /has 10001 keys, and at most 10000 are taken/,
  });
});
