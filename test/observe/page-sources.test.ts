import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { ERRORS } from '../../lib/base/errors.js';
import type { ErrorCode } from '../../lib/base/errors.js';
import { silentLogger } from '../../lib/base/reporter.js';
import { noDoor } from '../../lib/door/door.js';
import type { Door } from '../../lib/door/door.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import { NewestEvents } from '../../lib/door/newest-events.js';
import { RequestCounts } from '../../lib/door/request-counts.js';
import { EventBlock } from '../../lib/event/event-block.js';
import type { Forebay } from '../../lib/forebay.js';
import { readHead } from '../../lib/observe/page/event-head.js';
import type { SourceState, SourceStates } from '../../lib/observe/page/messages.js';
import { Observer } from '../../lib/observe/page/observer.js';
import { pageRoutes } from '../../lib/observe/page/page-routes.js';
import { SourceWatch } from '../../lib/observe/page/source-states.js';
import { openSources } from '../../lib/sources/registry.js';
import { RawClient } from '../helpers/raw-client.js';
import { eventText, startForebay } from '../helpers/running-forebay.js';
import { SEED } from '../helpers/seed.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const BROWSER_DIR = pathToFileURL(join(process.cwd(), 'dist/lib/observe/page/browser/'));
/** Six bytes of JSON each, in an id, a type and data. */
const HOSTILE = '\u0001'.repeat(3000);

const NO_WINDOWS = { idUsage: () => [] };

/** A door of which only counts and sources are looked at. */
function doorWith(...names: readonly string[]): Pick<Door, 'counts' | 'sources'> {
  const sources = names.map((name) => ({ name, path: `/in/${name}`, newest: new NewestEvents() }));
  return { counts: new RequestCounts(sources), sources };
}

function take({ counts, sources }: Pick<Door, 'counts' | 'sources'>, name: string, ...lines: string[]): void {
  counts.accept(name, lines.length);
  sources.find((each) => each.name === name)?.newest.note({ block: EventBlock.of(...lines) });
}

function named({ shown }: SourceStates, name: string): SourceState {
  const state = shown.find((each) => each.name === name);
  if (state === undefined) throw new Error(`${name} is not shown`);
  return state;
}

void t.test(
  'of each source the page knows what came, what was refused and why, and the newest events',
  (t) => {
    const door = doorWith('shop', 'bank', 'silent');
    const watch = new SourceWatch(door, NO_WINDOWS, false);
    watch.tick(0);
    t.match(watch.states(), { more: 0, stray: [], codes: {} });
    take(door, 'shop', eventText('a'), eventText('b', 'x'.repeat(100)));
    door.counts.refuse('EVENT_FIELD', 3, 'bank');
    door.counts.refuse('QUEUE_FULL', 1, 'bank');
    door.counts.refuse('CONNECTIONS_MAX', 2);
    door.counts.stray('NOT_FOUND');
    watch.tick(1000);
    watch.tick(4000);
    const states = watch.states();
    t.same(
      states.shown.map(({ name }) => name),
      ['bank', 'shop', 'silent'],
      'what refuses something comes first',
    );
    const shop = named(states, 'shop');
    t.match(shop, { path: '/in/shop', accepted: 2, acceptedAgoSeconds: 3, inPerSecond: 0.5, refused: 0 });
    t.match(shop.newest, [
      { id: 'b', type: 't', bytes: eventText('b', 'x'.repeat(100)).length, data: '' },
      { id: 'a', type: 't', bytes: eventText('a').length, data: '' },
    ]);
    t.same(named(states, 'bank'), {
      name: 'bank',
      path: '/in/bank',
      inPerSecond: 0,
      accepted: 0,
      acceptedAgoSeconds: null,
      refused: 4,
      isRefusing: true,
      refusals: [
        { code: 'EVENT_FIELD', number: 3, agoSeconds: 3 },
        { code: 'QUEUE_FULL', number: 1, agoSeconds: 3 },
      ],
      window: null,
      newest: [],
    });
    t.match(named(states, 'silent'), {
      accepted: 0,
      refused: 0,
      isRefusing: false,
      refusals: [],
      newest: [],
    });
    t.same(states.stray, [
      { code: 'CONNECTIONS_MAX', number: 2, agoSeconds: 3 },
      { code: 'NOT_FOUND', number: 1, agoSeconds: 3 },
    ]);
    t.same(Object.keys(states.codes).toSorted(), [
      'CONNECTIONS_MAX',
      'EVENT_FIELD',
      'NOT_FOUND',
      'QUEUE_FULL',
    ]);
    const { message, retry } = ERRORS.EVENT_FIELD;
    t.same(states.codes['EVENT_FIELD'], { text: message, retry });
    t.notMatch(states.codes['CONNECTIONS_MAX']?.text, 'Queue full', 'an operator wants to know better');

    for (let second = 5; second <= 64; second++) watch.tick(second * 1000);
    const later = watch.states();
    t.equal(later.shown[0]?.name, 'shop', 'a minute later they are in the order of their declaration');
    t.match(named(later, 'bank'), { isRefusing: false, refused: 4 });
    t.match(named(later, 'shop'), { inPerSecond: 0, accepted: 2 });
    door.counts.refuse('QUEUE_FULL', 1, 'bank');
    watch.tick(65_000);
    t.equal(named(watch.states(), 'bank').refusals[0]?.code, 'QUEUE_FULL', 'what is refused now comes first');
    t.end();
  },
);

void t.test('the message is bounded, whatever clients send to however many sources', (t) => {
  const names = Array.from({ length: 80 }, (_each, n) => `source-${n}`);
  const hostile = JSON.stringify({ id: HOSTILE, type: HOSTILE, data: HOSTILE });
  const bytesOf = (count: number, line: string, showsData: boolean): [number, SourceStates] => {
    const door = doorWith(...names.slice(0, count));
    const watch = new SourceWatch(door, NO_WINDOWS, showsData);
    for (const { name } of door.sources) {
      for (let n = 0; n < 10; n++) take(door, name, line);
      for (const code of Object.keys(ERRORS) as ErrorCode[]) door.counts.refuse(code, 1, name);
    }
    watch.tick(0);
    const states = watch.states();
    return [Buffer.byteLength(JSON.stringify(states)), states];
  };
  const [thirty, states] = bytesOf(30, hostile, true);
  t.ok(thirty < 50_000, `${thirty} bytes with 30 sources`);
  t.equal(states.shown.length, 30);
  t.ok(
    states.shown.every(({ refusals }) => refusals.length === 6),
    'the most frequent reasons of each',
  );
  t.ok((states.shown[0]?.newest.length ?? 0) >= 1);
  const [many, rest] = bytesOf(80, hostile, true);
  t.ok(many < 60_000, `${many} bytes with 80 sources`);
  t.match(rest, { more: 30 });
  t.equal(rest.shown.length, 50);
  const [, usual] = bytesOf(30, eventText('an-event-of-the-usual-kind'), false);
  t.ok(
    usual.shown.every(({ newest }) => newest.length >= 2),
    'each has its newest events, also with 30 sources',
  );
  const [, one] = bytesOf(1, eventText('a'), false);
  t.equal(one.shown[0]?.newest.length, 5);
  t.end();
});

void t.test('of an event only id and type are shown, and the start of its data if that is asked for', (t) => {
  const line = `{"id":"i-1","type":"push","source":"github","data":{"user":"ann"},"headers":{"authorization":"Bearer SECRET"},"timestamp":1}`;
  const shown = (showsData: boolean, text: string): string => {
    const door = doorWith('github');
    take(door, 'github', text);
    const watch = new SourceWatch(door, NO_WINDOWS, showsData);
    watch.tick(0);
    return JSON.stringify(watch.states());
  };
  t.match(shown(false, line), '"id":"i-1","type":"push"');
  t.notMatch(shown(false, line), /ann|SECRET/);
  t.match(shown(true, line), String.raw`{\"user\":\"ann\"}`);
  t.notMatch(shown(true, line), /SECRET|authorization/);
  const long = JSON.stringify({ id: 'i'.repeat(500), type: 't', data: 'd'.repeat(5000) });
  const [event] = (JSON.parse(shown(true, long)) as SourceStates).shown[0]?.newest ?? [];
  t.match(event, { id: `${'i'.repeat(79)}…`, bytes: long.length, data: `"${'d'.repeat(198)}…` });
  t.end();
});

void t.test('the start of an event is read wherever it is cut off', (t) => {
  const read = (text: string): object => readHead(Buffer.from(text));
  t.same(read('{"id" : "a\\u00e9\\n",\t"type":"t/é","data" : [1,{"]":"}\\""}] ,"more":true}'), {
    id: 'aé\n',
    type: 't/é',
    data: '[1,{"]":"}\\""}]',
  });
  t.same(read('{"more":{"id":"no"},"data":-1.5e3,"\\u0069d":"yes"'), { id: 'yes', type: '', data: '-1.5e3' });
  t.same(read('{"id":"a\\u00'), { id: 'a', type: '', data: '' });
  t.same(readHead(Buffer.from('{"id":"é').subarray(0, -1)), { id: '', type: '', data: '' });
  for (const text of ['', '{', '[', 'null', '{"', '{"id"', '{"id":', '}{', '{,,,', '{"id":7,"id":"b"}'])
    t.doesNotThrow(() => read(text), text);
  const member = fc.string({ unit: 'binary', maxLength: 8 });
  const events = fc.tuple(member, member, fc.json({ maxDepth: 3 }), fc.json({ maxDepth: 2 }), fc.nat(5));
  fc.assert(
    fc.property(events, fc.nat(200), ([id, type, data, other, turn], length) => {
      const members = [
        `"id":${JSON.stringify(id)}`,
        `"type": ${JSON.stringify(type)}`,
        `"data" :${data}`,
        `"other":${other}`,
      ];
      const text = `{${[...members.slice(turn % 4), ...members.slice(0, turn % 4)].join(' ,')}}`;
      const whole = readHead(Buffer.from(text));
      const wanted = JSON.parse(Buffer.from(text).toString()) as { id: string; type: string };
      if (whole.id !== wanted.id || whole.type !== wanted.type || whole.data !== data) return false;
      const cut = readHead(Buffer.from(text).subarray(0, length));
      return id.startsWith(cut.id) && type.startsWith(cut.type) && data.startsWith(cut.data);
    }),
    { seed: SEED, numRuns: 500 },
  );
  t.end();
});

/** A server with the sources `events` and `shop`, and what its page says of them. */
async function watched(
  t: Test,
): Promise<{ server: IngestionServer; forebay: Forebay; look: () => SourceStates }> {
  const { forebay } = await startForebay(t);
  const sources = openSources([{ name: 'shop', given: { format: 'events' } }], { logger: silentLogger });
  const server = new IngestionServer({ forebay, sources, port: 0 });
  server.addRoutes(pageRoutes({ forebay, door: server, browserDir: BROWSER_DIR }));
  await server.start();
  t.teardown(async () => server.stop(0));
  const observer = new Observer({ forebay, door: server });
  const look = (): SourceStates => {
    observer.tick();
    const snapshot = observer.snapshot();
    if (snapshot === null) throw new Error('nothing was seen');
    return snapshot.sources;
  };
  look();
  return { server, forebay, look };
}

void t.test('events of each source are seen, on the fast path and without it', async (t) => {
  const { server, look } = await watched(t);
  const post = async (path: string, body: string, headers: Record<string, string> = {}): Promise<number> => {
    const answer = await request(`http://127.0.0.1:${server.port}${path}`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', ...headers },
    });
    await answer.body.dump();
    return answer.statusCode;
  };
  t.equal(await post('/in/shop', eventText('plain')), 202);
  t.equal(await post('/in/shop', eventText('slow'), { 'user-agent': 'é' }), 202);
  t.equal(await post('/in/shop', '{"id":1}'), 400);
  t.equal(await post('/in/shop', '{"id":1}', { 'user-agent': 'é' }), 400);
  t.equal(await post('/events', `[${eventText('a')},${eventText('b')}]`), 202);
  const states = look();
  t.same(
    states.shown.map(({ name, accepted, refused }) => [name, accepted, refused]),
    [
      ['shop', 2, 2],
      ['events', 2, 0],
    ],
  );
  t.same(
    states.shown.map(({ newest }) => newest.map(({ id }) => id)),
    [
      ['slow', 'plain'],
      ['b', 'a'],
    ],
  );
  t.ok(server.handedOverConnections > 0);
});

void t.test('requests that come to no source are no events, and are seen by reason', async (t) => {
  const { server, look } = await watched(t);
  const ask = async (head: string): Promise<void> => {
    const client = await RawClient.connect(server.port);
    t.teardown(() => client.socket.destroy());
    client.socket.write(`${head}\r\n\r\n`);
    await client.answer();
  };
  await ask('POST /in/nobody HTTP/1.1\r\nHost: localhost');
  await ask('GET /in/shop HTTP/1.1\r\nHost: localhost');
  await ask('POST /in/shop HTTP/1.1\r\nHost: elsewhere.example');
  await ask('POST /in/shop HTTP/1.1\r\nHost: localhost\r\nExpect: more');
  await ask('nonsense');
  const { stray, shown, codes } = look();
  t.same(
    new Set(stray.map(({ code, number }) => `${number} ${code}`)),
    new Set([
      '1 NOT_FOUND',
      '1 METHOD_NOT_ALLOWED',
      '1 HOST_NOT_SERVED',
      '1 EXPECTATION_FAILED',
      '1 BAD_REQUEST',
    ]),
  );
  t.equal(Object.keys(codes).length, 5);
  t.ok(shown.every(({ refused }) => refused === 0));
});

void t.test('a program that sends its events in process has no source', async (t) => {
  const { forebay } = await startForebay(t);
  const observer = new Observer({ forebay, door: noDoor(forebay) });
  observer.tick();
  t.same(observer.snapshot()?.sources.shown, []);
});

void t.test('--page data shows the start of what accepted events hold, --page on does not', async (t) => {
  for (const [mode, data] of [
    ['data', '"held"'],
    ['on', ''],
  ] as const) {
    const logDir = join(tempDir(t), 'log');
    const flags = ['--log-dir', logDir, '--page', mode, '--source', 'shop=/in/shop,format=events'];
    const server = await ServerProcess.start(...flags);
    t.teardown(async () => server.stop('SIGKILL'));
    const { statusCode, body } = await request(new URL('/in/shop', server.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: eventText('a', 'held'),
    });
    await body.dump();
    t.equal(statusCode, 202);
    const live = await request(new URL('/page/live', server.url));
    let text = '';
    let json = '';
    for await (const piece of live.body) {
      text += String(piece);
      json = /^data: .*"sources":(.*"accepted":1,.*?),"point":.*$/m.exec(text)?.[1] ?? '';
      if (json !== '') break;
    }
    t.match(named(JSON.parse(json) as SourceStates, 'shop').newest, [{ id: 'a', type: 't', data }], mode);
    t.equal(await server.stop('SIGTERM'), 0);
  }
});
