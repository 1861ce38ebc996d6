import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { silentLogger } from '../../lib/base/reporter.js';
import { AdminServer } from '../../lib/door/admin-server.js';
import { LINGER_MS } from '../../lib/door/answers.js';
import { controlRoutes } from '../../lib/door/control-routes.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import { ABORTED } from '../../lib/door/request-counts.js';
import type { Forebay } from '../../lib/forebay.js';
import type { Keys } from '../../lib/keys/keys.js';
import { HTTP_SETTINGS } from '../../lib/settings/http-settings.js';
import { fromObject } from '../../lib/settings/option-table.js';
import { basic, madeKey, openKeys } from '../helpers/keys-file.js';
import { RawClient } from '../helpers/raw-client.js';
import { startForebay, until } from '../helpers/running-forebay.js';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Readonly<Record<string, unknown>>;
}

type Post = (path: string, body?: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>;

interface Opened {
  readonly forebay: Forebay;
  readonly atDoor: Post;
  readonly atOperators: Post;
  readonly operatorsPort: number;
  /** What the operators' address says went wrong. */
  readonly errors: readonly string[];
  /** How many requests were aborted. */
  readonly aborted: () => number;
}

/** The two addresses of a server. */
async function opened(t: Test, keys: Keys | null, allowedHosts: string[] = []): Promise<Opened> {
  const { forebay } = await startForebay(t, {});
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (_about: object, text: string) => void errors.push(text) };
  const door = new IngestionServer({ forebay, keys, port: 0 });
  const http = fromObject(HTTP_SETTINGS, { port: 0 });
  const routes = controlRoutes({ control: forebay, keys, isForOperators: true });
  const admin = new AdminServer({ ...http, allowedHosts, forebay, door, routes, logger });
  door.addRoutes(controlRoutes({ control: forebay, keys, isForOperators: false }));
  await Promise.all([door.start(), admin.start()]);
  t.teardown(async () => {
    admin.stop();
    await door.stop(0);
  });
  const post =
    ({ port }: { readonly port: number }): Post =>
    async (path, body = '', headers = {}) => {
      const answer = await request(`http://127.0.0.1:${port}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
      });
      const { statusCode: status } = answer;
      return { status, headers: answer.headers, body: (await answer.body.json()) as Answer['body'] };
    };
  const aborted = (): number =>
    [...door.counts.answered.values()].reduce((sum, statuses) => sum + (statuses.get(ABORTED) ?? 0), 0);
  return {
    forebay,
    atDoor: post(door),
    atOperators: post(admin),
    operatorsPort: admin.port,
    errors,
    aborted,
  };
}

void t.test('operators pause and resume from this machine, and hear what it was before', async (t) => {
  const { forebay, atOperators } = await opened(t, null);
  const body = JSON.stringify({ by: 'ann@host', reason: 'why', forSeconds: 60 });
  const paused = await atOperators('/control/pause', body);
  t.match(paused, {
    status: 200,
    body: { changed: true, delivery: { paused: true, by: 'ann@host', reason: 'why' } },
  });
  t.match(forebay.paused, { by: 'ann@host', reason: 'why' });
  t.equal((forebay.paused?.untilMs ?? 0) - (forebay.paused?.sinceMs ?? 0), 60_000);
  const again = await atOperators('/control/pause', '{}');
  t.same(again.body, { ...paused.body, changed: false });
  const { delivery: was } = paused.body;
  const resumed = await atOperators('/control/resume');
  t.same(resumed.body, { changed: true, delivery: { paused: false }, was });
  t.same((await atOperators('/control/resume')).body, { changed: false, delivery: { paused: false } });
  t.match((await atOperators('/control/pause')).body, { delivery: { by: 'someone at 127.0.0.1' } });
});

void t.test('without keys nobody does at the door of events, nor through a proxy', async (t) => {
  const { forebay, atDoor, atOperators } = await opened(t, null);
  for (const path of ['/control/pause', '/control/resume'])
    t.match(await atDoor(path), {
      status: 403,
      body: { code: 'CONTROL_CLOSED', error: /--admin-port.*SIGUSR2/ },
    });
  const ofProxies = [
    'forwarded',
    'via',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-forwarded-server',
    'x-real-ip',
  ];
  for (const header of ofProxies)
    t.match(await atOperators('/control/pause', '', { [header]: 'for=1.2.3.4' }), {
      status: 403,
      body: { code: 'CONTROL_CLOSED', error: /from this machine/ },
    });
  t.equal(forebay.paused, null);
});

void t.test('a proxy that says nothing is known by the Host it hands on, or by HTTP/1.0', async (t) => {
  const { forebay, operatorsPort } = await opened(t, null, ['events.example']);
  const answerTo = async (version: string, host: string, authority = ''): Promise<string> => {
    const client = await RawClient.connect(operatorsPort);
    const head = `POST ${authority}/control/pause HTTP/${version}\r\nHost: ${host}\r\nContent-Type: application/json`;
    await client.send(`${head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    const { status, body } = await client.answer();
    return `${status} ${body}`;
  };
  for (const [version, host] of [
    ['1.1', 'events.example'],
    ['1.1', `events.example:${operatorsPort}`],
    ['1.0', `127.0.0.1:${operatorsPort}`],
  ] as const)
    t.match(await answerTo(version, host), /^403 .*CONTROL_CLOSED/, `HTTP/${version} for ${host}`);
  t.match(await answerTo('1.1', 'localhost', 'http://events.example'), /^403 .*CONTROL_CLOSED/);
  t.equal(forebay.paused, null);
  for (const host of ['localhost', `127.0.0.1:${operatorsPort}`, '[::1]:8082'])
    t.match(await answerTo('1.1', host), /^200 /, host);
});

void t.test('with keys it takes one for control, which one for all sources is not', async (t) => {
  const ops = madeKey('ops', { sources: ['control'] });
  const all = madeKey('all');
  const meter = madeKey('meter', { sources: ['events'] });
  const gone = madeKey('gone', { sources: ['control'], expires: 1 });
  const { keys, change } = openKeys(t, [ops.line, all.line, meter.line, gone.line]);
  const { forebay, atDoor, atOperators } = await opened(t, keys);
  const bearer = ({ key }: { readonly key: string }) => ({ authorization: `Bearer ${key}` });
  for (const post of [atDoor, atOperators]) {
    const none = await post('/control/pause');
    t.match(none, { status: 401, body: { code: 'KEY_MISSING' } });
    t.match(none.headers['www-authenticate'], /^Bearer realm="forebay"/);
    for (const key of [madeKey('other'), gone, { key: 'x' }])
      t.match(await post('/control/pause', '', bearer(key)), { status: 401, body: { code: 'KEY_WRONG' } });
    for (const key of [all, meter]) {
      const { status, body } = await post('/control/pause', '', bearer(key));
      t.match(
        { status, body },
        { status: 403, body: { code: 'KEY_NOT_FOR_SOURCE', error: /pause or resume/ } },
      );
    }
    t.equal(forebay.paused, null);
    const { body } = await post('/control/pause', '{"by":"ann@host"}', bearer(ops));
    t.match(
      body,
      { changed: true, delivery: { by: 'ops (ann@host)' } },
      'the holder is known, the rest is said',
    );
    const long = await post('/control/resume', JSON.stringify({ by: 'x'.repeat(99) }), bearer(ops));
    t.match(long, { status: 200, body: { changed: true } }, 'what is said is cut beside the holder');
    await post('/control/pause', '', bearer(ops));
    t.match(await post('/control/resume', '', { authorization: basic('x', ops.key) }), { status: 200 });
    t.equal(forebay.paused, null);
  }
  await change(all.line);
  t.match(await atDoor('/control/pause', '', bearer(ops)), { status: 401 }, 'revoked');
  const event = await atDoor('/events', '{"id":"1","type":"a","data":1}', bearer(all));
  t.equal(event.status, 202);
});

void t.test('no web page can pause delivery, whatever its browser knows', async (t) => {
  const ops = madeKey('ops', { sources: ['control'] });
  for (const keys of [null, openKeys(t, [ops.line]).keys]) {
    const { forebay, atDoor, atOperators } = await opened(t, keys);
    const key = { authorization: `Bearer ${ops.key}` };
    for (const post of [atDoor, atOperators]) {
      for (const page of [
        { origin: 'https://evil.example' },
        { origin: 'null' },
        { origin: 'http://127.0.0.1:1' },
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-origin' },
      ])
        t.match(
          await post('/control/pause', '{}', { ...key, ...page }),
          { status: 403, body: { code: 'ORIGIN_NOT_ALLOWED' } },
          JSON.stringify(page),
        );
    }
    // what a form can send, if a browser should say nothing of its page
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      '',
    ]) {
      const answer = await atOperators('/control/pause', '{}', { ...key, 'content-type': type });
      t.match(answer, { status: 415, body: { code: 'UNSUPPORTED_MEDIA_TYPE' } }, type);
    }
    const answer = await atOperators('/control/pause', '{}', { ...key, host: 'evil.example' });
    t.match(answer, { status: 421 }, 'a name that leads here');
    t.equal(forebay.paused, null);
  }
});

void t.test('only POST is taken, and what is no request is refused in words', async (t) => {
  const { forebay, atOperators } = await opened(t, null);
  for (const body of [
    '{',
    '[]',
    '1',
    'null',
    '{"By":"x"}',
    '{"by":1}',
    '{"reason":{}}',
    '{"forSeconds":"1h"}',
    '{"forSeconds":0}',
  ])
    t.match(await atOperators('/control/pause', body), { status: 400, body: { code: 'BAD_REQUEST' } }, body);
  const long = await atOperators('/control/pause', JSON.stringify({ reason: 'x'.repeat(10_000) }));
  t.match(long, { status: 413, body: { code: 'BODY_TOO_LARGE' } });
  const expecting = await atOperators('/control/pause', '{"by":1}', { 'content-encoding': 'gzip' });
  t.equal(expecting.status, 415);
  t.equal(forebay.paused, null);
});

void t.test('a long body gets its answer on a connection that its client still writes to', async (t) => {
  const { forebay, operatorsPort } = await opened(t, null);
  for (const length of ['content-length: 3000000', 'transfer-encoding: chunked']) {
    let isJudged = false;
    for (let late = 0; !isJudged && late < 20; late++) {
      const startMs = performance.now();
      const socket = connect(operatorsPort, '127.0.0.1');
      t.teardown(() => socket.destroy());
      const head = `POST /control/pause HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${length}\r\n\r\n`;
      socket.write(`${head}${length.startsWith('t') ? 'ffffff\r\n' : ''}${'x'.repeat(0x4000)}`);
      let answer = '';
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => (answer += bytes.toString()));
      const isOver = (): boolean => /BODY_TOO_LARGE/.test(answer) || socket.destroyed;
      await until(isOver, 'the answer, or an end without one');
      socket.write('x'.repeat(1000)); // more of the body
      await sleep(20);
      // after that time it may be closed: on a slow machine nothing is known
      isJudged = performance.now() - startMs < LINGER_MS;
      if (!isJudged) continue;
      t.match(answer, /^HTTP\/1\.1 413 /, length);
      t.notOk(socket.destroyed, 'it is read on for a while');
    }
    t.ok(isJudged, 'the answer comes in time');
  }
  t.equal(forebay.paused, null);
});

void t.test('a client that goes in the middle of its request is no fault of the server', async (t) => {
  const { forebay, operatorsPort, errors, aborted } = await opened(t, null);
  // nothing shows that the server has read a part of a request, so the client may go before: then there is another one
  const goes = async (): Promise<boolean> => {
    const socket = connect(operatorsPort, '127.0.0.1');
    const head = 'POST /control/pause HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json';
    socket.write(`${head}\r\ncontent-length: 9\r\n\r\n{`);
    await sleep(50);
    socket.resetAndDestroy();
    await sleep(50);
    return aborted() > 0 || errors.length > 0;
  };
  await until(goes, 'the request to count as aborted');
  t.same(errors, []);
  t.equal(forebay.paused, null);
});
