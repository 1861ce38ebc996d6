import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { silentLogger } from '../../lib/base/reporter.js';
import { idRulesOf } from '../../lib/cli/id-rules.js';
import { SERVER_SETTINGS } from '../../lib/cli/server-settings.js';
import { fromObject } from '../../lib/settings/option-table.js';
import { openSources } from '../../lib/sources/registry.js';
import { checkedText } from '../../lib/logs/file/checksum.js';
import { batchFiles } from '../helpers/left-files.js';
import { madeKey, openKeys } from '../helpers/keys-file.js';
import { ids, openRaw, whole } from '../helpers/raw-door.js';
import type { Door } from '../helpers/raw-door.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';
import { SECRET } from '../helpers/webhook-senders.js';

type Headers = Readonly<Record<string, string>>;

/** Headers that send a request through the fast path, and through `node:http`. */
const WAYS: Readonly<Record<string, Headers>> = {
  'fast path': {},
  'node:http': { Prefer: 'respond-async' },
};
const NDJSON = { 'Content-Type': 'application/x-ndjson' };
const LENIENT = { Prefer: 'handling=lenient' };
const DUPLICATE = [202, { status: 'accepted', duplicate: true }];
const ACCEPTED = [202, { status: 'accepted' }];

const text = (id: string, data = 1): string => JSON.stringify({ id, type: 't', data });
const lines = (...texts: string[]): string => texts.map((each) => `${each}\n`).join('');
const array = (...texts: string[]): string => `[${texts.join(',')}]`;

/** Status and JSON of what the server answers. */
async function answerTo(
  { connect }: Door,
  body: string,
  headers: Headers = {},
  path = '/events',
): Promise<[number, unknown]> {
  const client = await connect();
  await client.send(whole(body, headers).replace('POST /events ', `POST ${path} `));
  const answer = await client.answer();
  client.socket.destroy();
  return [answer.status, JSON.parse(answer.body) as unknown];
}

async function has(t: Test, { sink, forebay }: Door, expected: readonly string[]): Promise<void> {
  await until(
    () => forebay.counts().pending === 0 && sink.lines.length >= expected.length,
    'all is delivered',
  );
  t.same(ids(sink.lines), expected);
}

for (const [way, headers] of Object.entries(WAYS)) {
  void t.test(`a known id is answered as a duplicate, ${way}`, async (t) => {
    const door = await openRaw(t, { idWindowMs: 3_600_000 });
    t.same(await answerTo(door, text('a'), headers), ACCEPTED);
    t.same(await answerTo(door, text('a'), headers), DUPLICATE);
    t.same(
      await answerTo(door, text('\\u0061').replace('\\\\', '\\'), headers),
      DUPLICATE,
      'however it is written',
    );
    t.same(await answerTo(door, ` ${text('a')}\n`, headers), DUPLICATE);
    const many = [text('a'), text('b'), text('b'), text('c')];
    t.same(await answerTo(door, array(...many), headers), [
      202,
      { status: 'accepted', count: 4, duplicates: 2 },
    ]);
    t.same(await answerTo(door, lines(...many), { ...headers, ...NDJSON }), [
      202,
      { status: 'accepted', count: 4, duplicates: 4 },
    ]);
    t.same(await answerTo(door, array(text('d')), headers), [202, { status: 'accepted', count: 1 }]);
    await has(t, door, ['a', 'b', 'c', 'd']);
    t.equal(
      door.server.counts.acceptedEvents.get('events'),
      4,
      'what is not stored does not count as accepted',
    );
  });

  void t.test(`an Idempotency-Key gets the same answer again, ${way}`, async (t) => {
    const door = await openRaw(t, { idWindowMs: 3_600_000 });
    const keyed = (key: string): Headers => ({ ...headers, 'Idempotency-Key': key });
    const body = array(text('x'), text('x', 2));
    for (const key of ['"k 1"', '"k 1"', 'k-2', '"k-2"'])
      t.same(await answerTo(door, body, keyed(key)), [202, { status: 'accepted', count: 2 }], key);
    t.match(await answerTo(door, array(text('x'), text('x', 3)), keyed('k-2')), [
      422,
      { code: 'IDEMPOTENCY_KEY_REUSED' },
    ]);
    t.match(await answerTo(door, array(text('x')), keyed('k-2')), [422, { code: 'IDEMPOTENCY_KEY_REUSED' }]);
    for (const wrong of ['', 'a b', '"', 'a"b', '"\u00e4"', 'x'.repeat(256)])
      t.match(await answerTo(door, body, keyed(wrong)), [400, { code: 'IDEMPOTENCY_KEY' }], wrong);
    await has(t, door, ['x', 'x', 'x', 'x']);
  });

  void t.test(`an event may pass the window, ${way}`, async (t) => {
    const door = await openRaw(t, { idWindowMs: 3_600_000 });
    const pass = { ...headers, 'Forebay-Id-Window': 'pass' };
    for (const expected of [ACCEPTED, ACCEPTED]) t.same(await answerTo(door, text('a'), pass), expected);
    t.same(await answerTo(door, text('a'), headers), ACCEPTED, 'it is not remembered');
    t.same(await answerTo(door, text('a'), pass), ACCEPTED);
    t.same(await answerTo(door, text('a'), headers), DUPLICATE);
    await has(t, door, ['a', 'a', 'a', 'a']);
  });
}

void t.test('a lenient request learns which events were known', async (t) => {
  const door = await openRaw(t, { idWindowMs: 3_600_000 });
  await answerTo(door, lines(text('a'), text('b')), NDJSON);
  t.match(await answerTo(door, lines(text('c'), '', text('a'), 'no', text('b')), { ...NDJSON, ...LENIENT }), [
    202,
    { count: 3, duplicates: 2, duplicateEvents: [{ line: 3 }, { line: 5 }], refused: [{ line: 4 }] },
  ]);
  t.match(await answerTo(door, array('1', text('b'), text('d')), LENIENT), [
    202,
    { count: 2, duplicates: 1, duplicateEvents: [{ index: 1 }], refused: [{ index: 0 }] },
  ]);
  const all = Array.from({ length: 150 }, (_, n) => text(`e${n}`));
  await answerTo(door, lines(...all), NDJSON);
  const [, { duplicates, duplicateEvents }] = (await answerTo(door, lines(...all), {
    ...NDJSON,
    ...LENIENT,
  })) as [number, { duplicates: number; duplicateEvents: unknown[] }];
  t.same([duplicates, duplicateEvents.length], [150, 100], 'the first hundred of them');
});

void t.test('other content is refused if it is to be, with its place, or alone', async (t) => {
  const door = await openRaw(t, { idWindowMs: 3_600_000, idConflict: 'reject' });
  await answerTo(door, text('a'));
  t.same(await answerTo(door, text('a')), DUPLICATE);
  t.match(await answerTo(door, text('a', 2)), [409, { code: 'ID_CONFLICT', field: 'id' }]);
  t.match(await answerTo(door, array(text('b'), text('a', 2))), [409, { code: 'ID_CONFLICT', index: 1 }]);
  t.match(await answerTo(door, lines(text('b'), text('a', 2), text('a')), { ...NDJSON, ...LENIENT }), [
    202,
    {
      count: 2,
      duplicates: 1,
      duplicateEvents: [{ line: 3 }],
      refused: [{ line: 2, code: 'ID_CONFLICT', field: 'id' }],
    },
  ]);
  await has(t, door, ['a', 'b']);
  t.equal(door.server.counts.refusedFor('ID_CONFLICT'), 4, 'all events of a refused request');
});

void t.test('holders of keys and sources have ids of their own; CloudEvents have their source', async (t) => {
  const [one, other] = [madeKey('meter'), madeKey('shop')];
  const { keys } = openKeys(t, [one.line, other.line]);
  const sources = openSources(
    [
      { name: 'events', given: {} },
      { name: 'partner', given: { format: 'events', path: '/in/partner' } },
    ],
    { logger: silentLogger },
  );
  const rule = { windowMs: 3_600_000, conflict: 'accept' } as const;
  const idRules = sources.map(({ name }) => ({ source: name, ...rule }));
  const door = await openRaw(t, { keys, sources, idRules });
  const bearer = (key: string): Headers => ({ Authorization: `Bearer ${key}` });
  const cloud = (source: string): string =>
    JSON.stringify({ specversion: '1.0', id: 'a', source, type: 't', data: 1 });
  const asCloud = { 'Content-Type': 'application/cloudevents+json' };
  const sendings: [string, Headers, string][] = [
    [text('a'), bearer(one.key), '/events'],
    [text('a'), bearer(other.key), '/events'],
    [text('a'), bearer(one.key), '/in/partner'],
    [cloud('/x'), { ...bearer(one.key), ...asCloud }, '/events'],
    [cloud('/y'), { ...bearer(one.key), ...asCloud }, '/events'],
  ];
  for (const sending of sendings) t.same(await answerTo(door, ...sending), ACCEPTED);
  for (const sending of sendings) t.same(await answerTo(door, ...sending), DUPLICATE);
  await has(t, door, ['a', 'a', 'a', 'a', 'a']);
});

void t.test('webhooks of senders that give each delivery an id have a window, others do not', async (t) => {
  const logger = silentLogger;
  const settings = fromObject(SERVER_SETTINGS, {});
  const declared = [
    { name: 'github', given: { 'secret-file': 'x' } },
    { name: 'webhook', given: {} },
    { name: 'stripe', given: { 'secret-file': 'x', 'id-window': '7d', 'id-conflict': 'reject' } },
    { name: 'slack', given: { 'secret-file': 'x', 'id-window': '0' } },
  ];

  const file = join(tempDir(t), 'secret');
  writeFileSync(file, `${SECRET}\n`);
  const withFile = declared.map(({ name, given }) => ({
    name,
    given: { ...given, ...('secret-file' in given && { 'secret-file': file }) },
  }));
  const sources = openSources(withFile, { logger });
  t.teardown(() => {
    for (const source of sources) source.close?.();
  });
  const DAY_MS = 24 * 3_600_000;
  t.same(idRulesOf(sources, settings), [
    { source: 'github', windowMs: DAY_MS, conflict: 'accept' },
    { source: 'stripe', windowMs: 7 * DAY_MS, conflict: 'reject' },
  ]);
  t.same(idRulesOf(sources.slice(0, 2), { ...settings, idWindowMs: 1000, idConflict: 'reject' }), [
    { source: 'events', windowMs: 1000, conflict: 'reject' },
    { source: 'github', windowMs: DAY_MS, conflict: 'reject' },
  ]);
  const two = { ...settings, workers: 2 };
  t.same(idRulesOf(sources.slice(0, 2), two), [], 'workers have none');
  t.throws(() => idRulesOf(sources, two), {
    code: 'SETTING_INVALID',
    message: /"id-window" of the source stripe/,
  });
  t.throws(() => idRulesOf(sources, { ...two, idWindowMs: 1000 }), {
    message: /^--id-window goes with --workers 1/,
  });
});

void t.test('each line on disk fits its checksum, which is made from that of the content', async (t) => {
  const logDir = tempDir(t);
  const door = await openRaw(t, { idWindowMs: 3_600_000, logDir });
  door.sink.held = true;
  const timed = (id: string): string => JSON.stringify({ id, type: 't', data: 1, timestamp: 1 });
  await answerTo(door, text('a'));
  await answerTo(door, timed('b'), WAYS['node:http']);
  await answerTo(door, array(text('a'), timed('c'), text('d')));
  await answerTo(door, lines(timed('e'), text('f'), text('a'), ` ${text('g')} `), NDJSON);
  const files = batchFiles(logDir).map((name) => readFileSync(join(logDir, name)));
  const all = files.flatMap((file) => {
    const found: (string | null)[] = [];
    for (let start = 0, end = file.indexOf(10); end !== -1; end = file.indexOf(10, start)) {
      found.push(checkedText(file.subarray(start, end))?.toString().trim() ?? null);
      start = end + 1;
    }
    return found;
  });
  t.same(
    all.map((line) => (JSON.parse(line ?? '{}') as { id?: string }).id),
    ['a', 'b', 'c', 'd', 'e', 'f', 'g'],
  );
});

void t.test(
  'ids with halves of surrogate pairs are told apart, also when they are read from lines',
  async (t) => {
    const logDir = tempDir(t);
    const door = await openRaw(t, { idWindowMs: 3_600_000, logDir });
    door.sink.held = true;
    const half = (hex: string): string => `{"id":"\\ud${hex}","type":"t","data":1}`;
    t.same(await answerTo(door, half('800')), ACCEPTED);
    const killed = tempDir(t);
    cpSync(logDir, killed, { recursive: true });
    for (const name of readdirSync(join(killed, 'id-window')))
      if (name.startsWith('ids_')) rmSync(join(killed, 'id-window', name));
    const next = await openRaw(t, { idWindowMs: 3_600_000, logDir: killed, replayWaitMs: 0 });
    t.same(await answerTo(next, text('\ufffd')), ACCEPTED, 'another id');
    t.same(await answerTo(next, half('801')), ACCEPTED);
    t.same(await answerTo(next, half('800')), DUPLICATE);
  },
);
