import { once } from 'node:events';
import { connect as connectTls, TLSSocket } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import tap from 'tap';
import type { Test } from 'tap';
import { Authority, noOpenssl, PairFiles } from '../helpers/certificates.js';
import { RawClient } from '../helpers/raw-client.js';
import { chunk, CHUNKED, event, GET_HEALTH, hasTaken, openRaw, post, whole } from '../helpers/raw-door.js';
import type { Door } from '../helpers/raw-door.js';
import type { Scope } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

/** A log line. */
interface Said {
  readonly level: string;
  readonly code: unknown;
  readonly text: string;
}

interface TlsDoor extends Door {
  readonly files: PairFiles;
  readonly said: readonly Said[];
  /** Bytes as they are, without TLS. */
  readonly plain: () => Promise<RawClient>;
  /** Failed handshakes by reason, without those that are 0. */
  readonly failed: () => Record<string, number>;
}

const scope: Scope = tap;
const authority = noOpenssl === false ? new Authority(scope) : null;
/** Whom a client of these tests trusts. */
const TRUST: ConnectionOptions = authority === null ? {} : { ca: authority.cert };

/** No handshake ends by time. */
const PATIENT = { headersTimeoutMs: 600_000, requestTimeoutMs: 600_000 };

type Options = Parameters<typeof openRaw>[1];

async function open(t: Test, options: Options = {}): Promise<TlsDoor> {
  const files = new PairFiles(t, issue('first'));
  const said: Said[] = [];
  const say =
    (level: string) =>
    (fields: object, text: string): void => {
      said.push({ level, text, code: 'code' in fields ? fields.code : undefined });
    };
  const logger = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
  const door = await openRaw(t, { ...files.settings, logger, ...options });
  const connect: Door['connect'] = async (how) => door.connect({ tls: TRUST, ...how });
  const plain = async (): Promise<RawClient> => door.connect({ tls: undefined });
  const failed = (): Record<string, number> =>
    Object.fromEntries([...door.server.failedHandshakes].filter(([, count]) => count > 0));
  return { ...door, connect, plain, failed, files, said };
}

function issue(name: string, days?: number): { cert: string; key: string } {
  if (authority === null) throw new Error('no openssl');
  return authority.issue(name, days);
}

/** The name in the certificate that the server showed. */
function shown({ socket }: RawClient): string {
  if (!(socket instanceof TLSSocket)) throw new Error('no TLS');
  return String(socket.getPeerCertificate().subject.CN);
}

/** How a handshake ends: the protocol, or the code of its error. */
async function handshake(door: Door, options: ConnectionOptions): Promise<string> {
  const socket = connectTls({
    port: door.server.port,
    host: '127.0.0.1',
    servername: 'localhost',
    ...TRUST,
    ...options,
  });
  return new Promise((resolve) => {
    socket.once('secureConnect', () => {
      resolve(`${socket.getProtocol()} ${socket.alpnProtocol || ''}`.trim());
      socket.end();
    });
    socket.once('error', (error) => {
      resolve(String((error as { code?: string }).code));
    });
  });
}

const test = (name: string, run: (t: Test) => Promise<void>): void => {
  void tap.test(name, { skip: noOpenssl }, run);
};

tap.jobs = 4;

test('plain requests take the fast path, one after the other on a connection', async (t) => {
  const door = await open(t);
  const client = await door.connect();
  for (const id of ['a', 'b', 'c']) {
    await client.send(whole(event(id)));
    t.equal((await client.answer()).status, 202);
  }
  await client.send(whole('{'));
  t.equal((await client.answer()).status, 400);
  const body = event('d');
  await client.send(post({ 'Content-Length': body.length }));
  await client.send(body);
  t.equal((await client.answer()).status, 202, 'the head before the body');
  t.equal(door.server.handedOverConnections, 0);
  await hasTaken(t, door, ['a', 'b', 'c', 'd']);
});

test('requests that wait behind each other are answered in order, and the last one after a half close', async (t) => {
  const door = await open(t);
  door.disk.hold();
  const client = await door.connect({ allowHalfOpen: true });
  await client.send(whole(event('a')));
  await until(() => door.disk.flushes === 1, 'the event waits for the disk');
  await client.send(whole(event('b')));
  await client.send(whole(event('c')) + whole('{') + whole(event('d')));
  client.halfClose();
  door.disk.release();
  const statuses = [];
  for (let n = 0; n < 5; n++) statuses.push((await client.answer()).status);
  t.same(statuses, [202, 202, 202, 400, 202]);
  await client.closed;
  t.equal(client.error, null);
  await hasTaken(t, door, ['a', 'b', 'c', 'd']);
});

test('what is not plain is read by node:http, large bodies too', async (t) => {
  const door = await open(t);
  const client = await door.connect();
  await client.send(GET_HEALTH);
  t.equal((await client.answer()).status, 200);
  await client.send(post(CHUNKED, `${chunk(event('a'))}0\r\n\r\n`));
  t.equal((await client.answer()).status, 202);
  await client.send(whole(event('b', 'x'.repeat(200_000))));
  t.equal((await client.answer()).status, 202);
  await client.send(post({ 'Content-Length': 2 ** 21 }, 'x'.repeat(100_000)));
  const answer = await client.answer();
  t.equal(answer.status, 413);
  t.equal(answer.headers['connection'], 'close');
  await client.closed;
  t.equal(client.error, null, 'no reset');
  t.equal(door.server.handedOverConnections, 1);
  await hasTaken(t, door, ['a', 'b']);
});

test('timeouts are answered, in both ways of reading', async (t) => {
  const door = await open(t, { headersTimeoutMs: 2000, requestTimeoutMs: 2000 });
  const ends = ['', 'POST /ev', post({ 'Content-Length': 10 }, '{')].map(async (bytes) => {
    const client = await door.connect();
    await client.send(bytes);
    t.equal((await client.answer()).status, 408, JSON.stringify(bytes));
    await client.closed;
  });
  await Promise.all(ends);
});

test('TLS 1.2 and 1.3, HTTP/1.1 and nothing else', async (t) => {
  const door = await open(t);
  const ciphers = 'DEFAULT@SECLEVEL=0'; // otherwise the client itself refuses the old ones
  t.equal(await handshake(door, { ALPNProtocols: ['h2', 'http/1.1'] }), 'TLSv1.3 http/1.1');
  t.equal(await handshake(door, { maxVersion: 'TLSv1.2' }), 'TLSv1.2');
  t.match(
    await handshake(door, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers }),
    /PROTOCOL_VERSION/,
  );
  t.match(await handshake(door, { ALPNProtocols: ['h2'] }), /NO_APPLICATION_PROTOCOL/);
  t.same(door.failed(), { protocol: 2 });

  const client = await door.connect({ tls: { ...TRUST, maxVersion: 'TLSv1.2' } });
  if (!(client.socket instanceof TLSSocket)) throw new Error('no TLS');
  const socket = client.socket;
  const error = await new Promise<Error | null>((resolve) => {
    socket.renegotiate({}, (refused) => {
      resolve(refused);
    });
    socket.once('error', resolve);
  });
  t.match(error, { code: 'ERR_SSL_NO_RENEGOTIATION' }, 'a handshake is not begun again');
});

test('plain HTTP is told what to do, and counted', async (t) => {
  const door = await open(t);
  const client = await door.plain();
  await client.send(whole(event('a')));
  const { status, headers, body } = await client.answer();
  t.equal(status, 400);
  t.equal(headers['connection'], 'close');
  t.match(JSON.parse(body), { code: 'TLS_REQUIRED', error: /https:/ });
  await client.closed;
  t.same(door.failed(), { plain_http: 1 });
  t.equal(door.server.counts.answered.get('other')?.get(400), 1);
  await until(() => door.server.connections === 0, 'it is closed');
  await hasTaken(t, door, []);
});

test('garbage, half handshakes and silence end, are counted, and fill no log', async (t) => {
  // what clients end themselves has the time that a busy machine takes
  const [door, impatient] = [await open(t, PATIENT), await open(t, { headersTimeoutMs: 1000 })];
  const hello = Buffer.from([0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3]);
  const garbage = '\0\x01garbage\xff'.repeat(10);
  const ways: readonly [TlsDoor, (client: RawClient) => Promise<void>][] = [
    [door, async (client) => client.send(garbage)],
    [
      door,
      async (client) => {
        await client.send(hello);
        client.halfClose();
      },
    ],
    [
      door,
      async (client) => {
        await client.send(hello);
        client.abort();
      },
    ],
    [impatient, async (client) => client.send(hello)],
    [impatient, async () => undefined],
  ];
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      ways.map(async ([{ plain }, way]) => {
        const client = await plain();
        await way(client);
        await client.closed;
      }),
    );
  }
  for (const { server } of [door, impatient]) await until(() => server.connections === 0, 'all are closed');
  t.same(door.failed(), { protocol: 3, closed: 6 });
  t.same(impatient.failed(), { timeout: 6 });
  t.equal(impatient.server.counts.answered.get('other'), undefined, 'none of them is a request');
  const lines = (): readonly Said[] => door.said.filter(({ text }) => text.includes('handshake'));
  await until(() => lines().length > 0, 'the log has a line');
  t.equal(lines().length, 1);
  t.match(lines()[0], {
    level: 'info',
    text: /TLS handshakes? failed: .*; the first was with 127\.0\.0\.1$/,
  });
  await hasTaken(t, door, []);
});

test('a handshake that comes byte by byte takes no longer', async (t) => {
  const door = await open(t, { headersTimeoutMs: 1000 });
  const client = await door.plain();
  const beginMs = performance.now();
  const timer = setInterval(() => client.socket.write('\x16'), 50);
  await client.send('\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03');
  await client.closed;
  clearInterval(timer);
  t.ok(performance.now() - beginMs > 900);
  t.same(door.failed(), { timeout: 1 });
});

test('a client that leaves in its handshake makes room at once', async (t) => {
  const door = await open(t, { ...PATIENT });
  const client = await door.plain();
  await until(() => door.server.connections === 1, 'it counts before its handshake');
  client.halfClose();
  await until(() => door.server.connections === 0, 'it is closed');
  t.same(door.failed(), { closed: 1 });
});

test('what is broken after the handshake is closed', async (t) => {
  const door = await open(t);
  const plain = await door.plain();
  const socket = connectTls({ socket: plain.socket, servername: 'localhost', ...TRUST });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  socket.write(whole(event('a')));
  await once(socket, 'data');
  plain.socket.write('no record of TLS');
  await until(() => door.server.connections === 0, 'it is closed');
  t.same(door.failed(), {}, 'its handshake was well');
  await hasTaken(t, door, ['a']);
});

test('one connection too many gets 429 after its handshake, and probes their answers', async (t) => {
  const door = await open(t, { connectionsMax: 1 });
  const first = await door.connect();
  await first.send(whole(event('a')));
  t.equal((await first.answer()).status, 202);
  const second = await door.connect();
  await second.send(whole(event('b')));
  const { status, headers, body } = await second.answer();
  t.match({ status, headers, body }, { status: 429, headers: { 'retry-after': '1' }, body: /Queue full/ });
  await second.closed;
  const probe = await door.connect();
  await probe.send(GET_HEALTH);
  t.equal((await probe.answer()).status, 200);
  t.equal(door.server.refusedConnections, 1);
  first.socket.destroy();
  await until(() => door.server.connections === 0, 'there is room');
  await hasTaken(t, door, ['a']);
});

test('a handshake that rests makes room for others', async (t) => {
  const door = await open(t, { connectionsMax: 1, ...PATIENT });
  const silent = await door.plain();
  await until(() => door.server.connections === 1, 'it counts');
  const late = async (): Promise<number> => {
    const client = await door.connect();
    await client.send(whole(event('a')));
    return (await client.answer()).status;
  };
  t.equal(await late(), 429);
  await until(async () => (await late()) === 202, 'it is closed for another');
  await silent.closed;
  t.same(door.failed(), { closed: 1 });
});

test('one handshake more than may be at once closes the oldest, and harms no other', async (t) => {
  const door = await open(t, { ...PATIENT, handshakesMax: 2 });
  const client = await door.connect();
  await client.send(whole(event('a')));
  t.equal((await client.answer()).status, 202);
  const silent = async (open: number): Promise<RawClient> => {
    const each = await door.plain();
    await until(() => door.server.connections === open, 'it is in its handshake');
    return each;
  };
  const [first, second] = [await silent(2), await silent(3)];
  const third = await door.plain();
  await first.closed;
  t.same(door.failed(), { crowded: 1 });
  third.halfClose();
  await third.closed;
  const fourth = await silent(3);
  await client.send(whole(event('b')));
  t.equal((await client.answer()).status, 202, 'its handshake is over');
  t.same([second.ended, fourth.ended], [false, false]);
  t.same(door.failed(), { crowded: 1, closed: 1 });
  await hasTaken(t, door, ['a', 'b']);
});

test('a refused client that ends no handshake is dropped', async (t) => {
  const door = await open(t, { connectionsMax: 1, headersTimeoutMs: 3000 });
  const first = await door.connect();
  await first.send(GET_HEALTH);
  t.equal((await first.answer()).status, 200);
  const silent = await door.plain();
  await silent.closed;
  await until(() => door.server.droppedConnections === 1, 'it is counted');
  t.equal(door.server.refusedConnections, 0);
});

test('client certificates: none, a wrong one, a right one', async (t) => {
  const files = new PairFiles(t, issue('client'));
  const stranger = new Authority(t);
  const right = issue('client');
  const wrong = stranger.issue('client');
  const ours = { cert: authority?.cert ?? '', key: '' };
  const authorities = new PairFiles(t, ours);
  const door = await open(t, { ...files.settings, tlsClientCa: authorities.settings.tlsCert });
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const before = door.failed()['client_certificate'] ?? 0;
    const ask = async (tls: ConnectionOptions): Promise<number | string> => {
      try {
        const client = await door.connect({ tls: { ...TRUST, maxVersion, ...tls } });
        await client.send(whole(event('x')));
        return (await client.answer()).status;
      } catch {
        return 'closed';
      }
    };
    t.equal(await ask({}), 'closed', `${maxVersion}, none`);
    t.equal(await ask(wrong), 'closed', `${maxVersion}, of another authority`);
    t.equal(await ask(right), 202, `${maxVersion}, of the right one`);
    t.equal(door.failed()['client_certificate'], before + 2);
    const session = await sessionOf(door, { maxVersion, ...right });
    t.ok(await isResumed(door, { maxVersion, ...right, session }), 'a session can be resumed');
    const later = await sessionOf(door, { maxVersion, ...right });
    authorities.write({ cert: stranger.cert });
    await door.server.reload();
    t.equal(await ask({ ...right, session: later }), 'closed', 'but not once its authority is removed');
    authorities.write(ours);
    await door.server.reload();
  }
  await hasTaken(t, { ...door, connect: async () => door.connect({ tls: { ...TRUST, ...right } }) }, [
    'x',
    'x',
  ]);
});

function connectTo(door: Door, options: ConnectionOptions): TLSSocket {
  const { port } = door.server;
  return connectTls({ port, host: '127.0.0.1', servername: 'localhost', ...TRUST, ...options });
}

/** A session that a client can resume. */
async function sessionOf(door: Door, options: ConnectionOptions): Promise<Buffer> {
  const socket = connectTo(door, options);
  const [session] = (await once(socket, 'session')) as [Buffer];
  socket.destroy();
  return session;
}

async function isResumed(door: Door, options: ConnectionOptions): Promise<boolean> {
  const socket = connectTo(door, options);
  await once(socket, 'secureConnect');
  const isReused = socket.isSessionReused();
  socket.destroy();
  return isReused;
}

test('a certificate that is renewed under load costs no request', async (t) => {
  const door = await open(t);
  const counts = { requests: 0, connections: 0, isOver: false };
  const names = new Set<string>();
  const load = async (worker: number): Promise<void> => {
    for (let n = 0; !counts.isOver; n++) {
      const client = await door.connect();
      counts.connections++;
      names.add(shown(client));
      // some stay for a while, others send one event
      let sent = 0;
      do {
        await client.send(whole(event(`${worker}-${n}-${sent}`)));
        const { status } = await client.answer();
        if (status !== 202) t.fail(`${status}`);
        counts.requests++;
      } while (++sent < (worker % 2 === 0 ? 1 : 50) && !counts.isOver);
      client.socket.destroy();
    }
  };
  const kept = await door.connect();
  const working = Promise.all([0, 1, 2, 3].map(load));
  for (const name of ['second', 'third', 'fourth']) {
    const { connections } = counts;
    await until(() => counts.connections > connections + 5, 'it is under load');
    const pair = issue(name);
    door.files.write({ cert: pair.cert });
    await door.server.reload(); // the key is not there yet
    door.files.write({ key: pair.key });
    await door.server.reload();
    const client = await door.connect();
    t.equal(shown(client), name, 'a new connection gets the new one');
  }
  await until(() => names.has('fourth'), 'the load has it, too');
  counts.isOver = true;
  await working;
  t.same([...names], ['first', 'second', 'third', 'fourth']);
  await kept.send(whole(event('kept')));
  t.equal((await kept.answer()).status, 202, 'an old connection stays');
  t.equal(shown(kept), 'first');
  t.same(door.failed(), {});
  t.equal(door.forebay.counts().accepted, counts.requests + 1);
});

test('files that changed are found without a word; those that do not fit are told once', async (t) => {
  const door = await open(t);
  const now = async (): Promise<string> => shown(await door.connect());
  const stale = (): readonly Said[] => door.said.filter(({ code }) => code === 'TLS_STALE');
  t.equal(await now(), 'first');
  const [second, third] = [issue('second'), issue('third')];
  door.files.write(second);
  await until(async () => (await now()) === 'second', 'it is looked at once a second');
  t.same(stale(), []);

  door.files.write({ cert: third.cert });
  await until(() => stale().length > 0, 'it is told');
  t.match(stale(), [
    { level: 'warn', text: /--tls-cert and --tls-key .*: the key is not that of the first cert/ },
  ]);
  await door.server.reload();
  await door.server.reload();
  t.equal(stale().length, 1);
  t.equal(await now(), 'second', 'the last pair is used');
  door.files.write({ key: third.key });
  await door.server.reload();
  t.equal(await now(), 'third');

  door.files.write({ key: 'half of a k' });
  await door.server.reload();
  t.match(stale().slice(1), [{ text: /--tls-key\) cannot be read: it holds no private key/ }]);
  t.equal(await now(), 'third');
  door.files.write(second);
  await door.server.reload();
  t.equal(await now(), 'second');
  t.equal(stale().length, 2);
});

test('when the certificate expires is a number, and a warning if that is soon', async (t) => {
  const door = await open(t);
  const inDays = (): number => ((door.server.certificateExpirySeconds ?? NaN) - Date.now() / 1000) / 86_400;
  t.ok(inDays() > 29 && inDays() < 31, `${inDays()}`);
  t.match(
    door.said.find(({ text }) => text.includes('expires')),
    { level: 'info' },
  );
  door.files.write(issue('short', 3));
  await door.server.reload();
  t.ok(inDays() > 2 && inDays() < 4, `${inDays()}`);
  t.match(
    door.said.find(({ code }) => code === 'TLS_EXPIRES'),
    { level: 'warn', text: /expires at 20\d\d-/ },
  );
});

test('a stop cuts no request, and no handshake holds it up', async (t) => {
  const door = await open(t, { ...PATIENT });
  door.disk.hold();
  const clients: RawClient[] = [];
  for (const id of ['a', 'b', 'c']) {
    const client = await door.connect({ allowHalfOpen: true });
    clients.push(client);
    await client.send(id === 'c' ? post(CHUNKED, `${chunk(event(id))}0\r\n\r\n`) : whole(event(id)));
  }
  await until(() => (door.forebay.statistics()?.queuedEvents ?? 0) === 3, 'all wait for the disk');
  const silent = await door.plain();
  await until(() => door.server.connections === 4, 'one is in its handshake');
  const stopped = door.server.stop(60_000);
  await silent.closed;
  door.disk.release();
  for (const client of clients) {
    const { status, headers } = await client.answer();
    t.match({ status, headers }, { status: 202, headers: { connection: 'close' } });
    await client.end();
    t.equal(client.error, null);
  }
  await stopped;
  t.equal(door.forebay.counts().accepted, 3);
});

test('settings that cannot be say what is wrong', async (t) => {
  const { cert, key } = issue('localhost');
  const { settings } = new PairFiles(t, { cert, key });
  const { tlsCert, tlsKey } = settings;
  const other = new PairFiles(t, issue('other')).settings;
  const empty = new PairFiles(t, { cert: 'no', key: 'no' }).settings;
  const half = new PairFiles(t, { cert: cert.replace(/\n[^]{40}/, '\n'), key }).settings;
  const cases: [Partial<Record<'tlsCert' | 'tlsKey' | 'tlsClientCa', string>>, RegExp][] = [
    [{ tlsCert }, /^--tls-cert needs --tls-key$/],
    [{ tlsKey }, /^--tls-key needs --tls-cert$/],
    [{ tlsClientCa: tlsCert }, /^--tls-client-ca needs --tls-cert/],
    [{ tlsCert: '/no/such', tlsKey }, /^The file \/no\/such \(--tls-cert\) cannot be read: ENOENT/],
    [{ tlsCert: empty.tlsCert, tlsKey }, /\(--tls-cert\) cannot be read: it holds no certificate as PEM$/],
    [
      { tlsCert: half.tlsCert, tlsKey },
      /\(--tls-cert\) cannot be read: it holds a certificate that is damaged$/,
    ],
    [
      { tlsCert, tlsKey: empty.tlsKey },
      /\(--tls-key\) cannot be read: it holds no private key as PEM without/,
    ],
    [{ tlsCert, tlsKey: tlsCert }, /\(--tls-key\) cannot be read: it holds no private key/],
    [{ tlsCert, tlsKey, tlsClientCa: empty.tlsCert }, /\(--tls-client-ca\) cannot be read: it holds no cert/],
    [{ tlsCert, tlsKey: other.tlsKey }, /the key is not that of the first certificate$/],
  ];
  for (const [given, message] of cases)
    await t.rejects(openRaw(t, given), { code: 'SETTING_INVALID', message }, JSON.stringify(given));
});
