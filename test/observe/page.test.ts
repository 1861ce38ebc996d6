import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import { newestLetters } from '../../lib/logs/file/aside/newest-letters.js';
import { EventBlock } from '../../lib/event/event-block.js';
import type { LogReplicas } from '../../lib/seams/event-log.js';
import type { Statistics } from '../../lib/statistics.js';
import type { Forebay } from '../../lib/forebay.js';
import { ERRORS } from '../../lib/base/errors.js';
import type { ErrorCode } from '../../lib/base/errors.js';
import { SECONDS } from '../../lib/base/histogram.js';
import { noDoor } from '../../lib/door/door.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import type { BatchEvent } from '../../lib/base/batch-event.js';
import { batchStates } from '../../lib/observe/page/batch-states.js';
import { History, POINTS_MAX } from '../../lib/observe/page/history.js';
import { letterReasons } from '../../lib/observe/page/letter-reasons.js';
import { LiveStream, STREAMS_MAX } from '../../lib/observe/page/live-stream.js';
import type { HistoryMessage, Point, Snapshot } from '../../lib/observe/page/messages.js';
import { Observer } from '../../lib/observe/page/observer.js';
import { pageRoutes } from '../../lib/observe/page/page-routes.js';
import { quantile, RateWindow } from '../../lib/observe/page/rates.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { batchFiles } from '../helpers/left-files.js';
import { eventText, startForebay, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

/** The build has compiled what runs in the browser. */
const BROWSER_DIR = pathToFileURL(join(process.cwd(), 'dist/lib/observe/page/browser/'));
const BATCH = (n: number): string => `batch_20261126_010203_${n}.jsonl`;
const NO_POINT: Point = {
  atSeconds: 0,
  in: 0,
  out: 0,
  refused: 0,
  p50Ms: null,
  p99Ms: null,
  backlogBytes: 0,
  drainSeconds: 0,
  deadLettered: 0,
};

async function serverWithPage(t: Test, forebay: Forebay): Promise<IngestionServer> {
  const server = new IngestionServer({ forebay, port: 0 });
  server.addRoutes(pageRoutes({ forebay, door: server, browserDir: BROWSER_DIR }));
  await server.start();
  t.teardown(async () => server.stop(0));
  return server;
}

/** A stream, as text. */
class Listener {
  text = '';
  isClosed = false;
  readonly socket: Socket;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.write('GET /page/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => (this.isClosed = true));
    this.socket.on('data', (text: Buffer) => {
      this.text += text.toString();
    });
  }

  get snapshots(): Snapshot[] {
    return [...this.text.matchAll(/event: snapshot\ndata: (.*)\n\n/g)].map(
      ([, json = '']) => JSON.parse(json) as Snapshot,
    );
  }

  get histories(): HistoryMessage[] {
    return [...this.text.matchAll(/event: history\ndata: (.*)\n\n/g)].map(
      ([, json = '']) => JSON.parse(json) as HistoryMessage,
    );
  }
}

void t.test('the page is whole, may load nothing from elsewhere, and takes only GET', async (t) => {
  const { forebay } = await startForebay(t);
  const server = await serverWithPage(t, forebay);
  const base = `http://127.0.0.1:${server.port}/`;
  const paths = ['/'];
  for (const path of paths) {
    const url = new URL(path, base);
    const { statusCode, headers, body } = await request(url);
    const text = await body.text();
    t.equal(statusCode, 200, path);
    const policy = String(headers['content-security-policy']);
    t.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';/);
    t.notMatch(policy, /unsafe|https?:|\*|nonce/);
    t.match(headers, { 'x-content-type-options': 'nosniff', etag: /^"[\w-]+"$/ });
    const tag = String(headers['etag']);
    const again = await request(url, { headers: { 'if-none-match': tag } });
    await again.body.dump();
    t.equal(again.statusCode, 304);
    for (const method of ['POST', 'PUT', 'DELETE'] as const) {
      const refused = await request(url, { method });
      await refused.body.dump();
      t.equal(refused.statusCode, 405, `${method} ${path}`);
    }
    if (path === '/') t.notMatch(text, /<script(?![^>]*src=)|<style| style=| on\w+=/i, 'nothing inline');
    if (/page\/(?!uplot).*\.js$/.test(path))
      t.notMatch(text, /innerHTML|outerHTML|insertAdjacent|document\.write/);
    const found =
      path === '/' ? text.matchAll(/(?:href|src)="([^"]+)"/g) : text.matchAll(/from '(\.[^']+)'/g);
    for (const [, link = ''] of found) {
      const target = new URL(link, url);
      t.equal(target.origin, url.origin);
      if (!paths.includes(target.pathname)) paths.push(target.pathname);
    }
  }
  t.ok(paths.length > 10, paths.join());
  t.ok(paths.includes('/page/uplot.js'));
});

void t.test('an open page is told the history, and then how everything does', async (t) => {
  const { forebay, sink } = await startForebay(t, {}, new CollectingSink());
  const server = await serverWithPage(t, forebay);
  const early = new Listener(server.port);
  await until(() => early.snapshots.length > 0, 'a first snapshot');
  t.match(early.snapshots[0], { isHealthy: true, refusal: null, events: { accepted: 0 } });
  for (let n = 0; n < 5; n++) await forebay.write(eventText(`e${n}`));
  await until(() => sink.lines.length === 5, 'delivery');
  await until(() => (early.snapshots.at(-1)?.sink.outPerSecond ?? 0) > 0, 'what was delivered');
  const last = early.snapshots.at(-1);
  t.match(last, { events: { accepted: 5, delivered: 5, pending: 0 }, batches: [{ stage: 'delivered' }] });
  t.ok((last?.door.inPerSecond ?? 0) > 0);
  t.ok((last?.door.p50Ms ?? 0) > 0);
  await until(() => early.snapshots.at(-1)?.deadLetters.files === 0, 'what the disk says');
  const late = new Listener(server.port);
  await until(() => late.snapshots.length > 0, 'the same for who comes later');
  const [history] = late.histories;
  t.ok(
    history?.in.some((value) => value !== null && value > 0),
    'what was before',
  );
  t.equal(early.text.match(/event: history/g)?.length, 1, 'once for each');
});

void t.test('a server that stops ends the streams', async (t) => {
  const { forebay } = await startForebay(t);
  const server = await serverWithPage(t, forebay);
  const listeners = [new Listener(server.port), new Listener(server.port)];
  await until(() => listeners.every(({ text }) => text.includes('200 OK')), 'two streams');
  listeners[1]?.socket.pause(); // does not see the end either
  await server.stop(2 ** 30);
  await until(() => listeners[0]?.isClosed === true, 'its end');
});

void t.test('a bound on open pages; a page that is closed makes room', async (t) => {
  const { forebay } = await startForebay(t);
  const server = await serverWithPage(t, forebay);
  const listeners = Array.from({ length: STREAMS_MAX }, () => new Listener(server.port));
  await until(() => listeners.every(({ text }) => text.includes('200 OK')), 'all streams');
  const refused = new Listener(server.port);
  await until(() => refused.text.includes('\r\n\r\n'), 'an answer');
  t.match(refused.text, /^HTTP\/1.1 503 .*Retry-After: 5/s);
  listeners[0]?.socket.destroy();
  const isOpen = async (): Promise<boolean> => {
    const next = new Listener(server.port);
    await until(() => next.text.includes('\r\n\r\n'), 'an answer');
    return next.text.startsWith('HTTP/1.1 200');
  };
  await until(isOpen, 'the place of the one that has gone is free');
});

void t.test('requests that are pipelined take no places', async (t) => {
  const { forebay } = await startForebay(t);
  const server = await serverWithPage(t, forebay);
  const pipelined = new Listener(server.port);
  const one = 'GET /page/live HTTP/1.1\r\nHost: localhost\r\n\r\n';
  pipelined.socket.write(`GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n${one.repeat(STREAMS_MAX)}`);
  await until(() => pipelined.snapshots.length > 0, 'the first is a stream');
  await sleep(50);
  const next = new Listener(server.port);
  await until(() => next.text.includes('\r\n\r\n'), 'an answer');
  t.match(next.text, /^HTTP\/1.1 200/);
  const behind = connect(server.port, '127.0.0.1').on('error', () => undefined);
  let text = '';
  behind.on('data', (bytes: Buffer) => (text += bytes.toString()));
  behind.write(`GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n${one}`);
  await until(() => text.includes('pipelined'), 'the second answer');
  t.match(text, /^HTTP\/1.1 200 .*HTTP\/1.1 400 /s);
  behind.destroy();
});

void t.test('a page that does not read is told no more, and holds up no stop', (t) => {
  const told: string[] = [];
  const page = (name: string, writableLength: number): ServerResponse => {
    const add = (what: string): void => void told.push(`${name} ${what}`);
    return {
      writableLength,
      removeHeader: () => undefined,
      writeHead: () => undefined,
      on: () => undefined,
      once: () => undefined,
      write: (text: string | Buffer) => {
        add(text.toString());
      },
      end: () => {
        add('end');
      },
      destroy: () => {
        add('destroy');
      },
    } as unknown as ServerResponse;
  };
  const stream = new LiveStream();
  stream.open(page('fast', 0), 'begin');
  stream.open(page('slow', 65_537), 'begin');
  stream.open(page('slower', 65_537), 'begin');
  for (let n = 0; n < 60; n++) stream.send('next');
  t.same(
    told.splice(3),
    Array.from({ length: 60 }, () => 'fast next'),
  );
  stream.send('next');
  t.same(told.splice(3), ['fast next', 'slow destroy', 'slower destroy'], 'after a minute it is closed');
  stream.close();
  t.same(told, ['fast begin', 'slow begin', 'slower begin', 'fast end', 'slow destroy', 'slower destroy']);
  t.notOk(stream.hasRoom, 'none is opened any more');
  t.end();
});

void t.test('while nobody looks, the disk is not asked', async (t) => {
  const { forebay } = await startForebay(t);
  const server = new IngestionServer({ forebay, port: 0 });
  let asked = 0;
  const watched = Object.create(forebay, {
    statistics: { value: () => forebay.statistics() },
    healthy: { value: true },
    settings: { value: forebay.settings },
    unready: { value: () => null },
    recentBatches: { value: () => forebay.recentBatches() },
    idUsage: { value: () => forebay.idUsage() },
    diskUsage: {
      value: async () => {
        asked++;
        return forebay.diskUsage();
      },
    },
  }) as Forebay;
  const listening = server.start();
  t.teardown(async () => server.stop(0));
  await listening;
  const observer = new Observer({ forebay: watched, door: server });
  t.equal(observer.snapshot(), null);
  for (let tick = 0; tick < 10; tick++) observer.tick();
  await sleep(20);
  t.equal(asked, 0);
  t.ok(observer.snapshot());
  await until(() => asked === 1, 'a look at the disk');
});

void t.test('what a sink has of a file goes out, before it has all of it', async (t) => {
  const { forebay, sink, dir } = await startForebay(t, { batchSize: 10 });
  sink.on('delivered', () => (sink.held = sink.batches.length === 3));
  const observer = new Observer({ forebay, door: noDoor(forebay) });
  observer.tick();
  const block = EventBlock.of(...Array.from({ length: 50 }, (_each, n) => eventText(`e${n}`)));
  forebay.take(block, (error) => void t.equal(error, null));
  await until(() => sink.attempts.length === 4, 'the sink hangs at the fourth batch');
  t.equal(batchFiles(dir).length, 1);
  observer.tick();
  t.ok((observer.snapshot()?.sink.outPerSecond ?? 0) > 0);
  t.match(observer.snapshot()?.events, { delivered: 0, pending: 50 });
});

void t.test('the commands of the page are for the log that there is, also in another program', async (t) => {
  const { forebay } = await startForebay(t);
  const replicas = { stream: 's-events', replicas: 1, servers: [], handedOut: 0, redelivered: 0 };
  const flagsOf = (of: LogReplicas | null, logFlags: readonly string[] | null): unknown => {
    const statistics = (): Statistics | null => {
      const own = forebay.statistics();
      return own && { ...own, replicas: of };
    };
    const { settings, sink, healthy } = forebay;
    const observer = new Observer({
      forebay: {
        settings,
        sink,
        healthy,
        statistics,
        diskUsage: async () => forebay.diskUsage(),
        recentBatches: () => forebay.recentBatches(),
        idUsage: () => forebay.idUsage(),
      },
      door: noDoor(forebay),
      logFlags,
    });
    observer.tick();
    return observer.snapshot()?.logFlags;
  };
  t.equal(flagsOf(null, null), null);
  t.same(flagsOf(replicas, null), ['--log', 'jetstream']);
  t.same(flagsOf(replicas, ['--log', 'jetstream', '--log-name', 's']), [
    '--log',
    'jetstream',
    '--log-name',
    's',
  ]);
});

void t.test('whatever gets 429 is in the rate of refusals', async (t) => {
  const { forebay } = await startForebay(t);
  const door = noDoor(forebay);
  const observer = new Observer({ forebay, door });
  let nowMs = Math.floor(performance.now()); // a fraction more is not exactly as much more
  t.intercept(performance, 'now', { value: () => nowMs });
  observer.tick();
  const codes = Object.entries(ERRORS).filter(([, { status }]) => status === 429);
  t.ok(codes.length >= 5);
  for (const [code] of codes) door.counts.refuse(code as ErrorCode, 2, 'events');
  door.counts.refuse('EVENT_FIELD', 100, 'events');
  nowMs += 1000;
  observer.tick();
  t.equal(observer.snapshot()?.door.refusedPerSecond, 2 * codes.length);
});

void t.test('--page off closes it; the rest stays', async (t) => {
  const flags = ['--log-dir', tempDir(t), '--page', 'off'];
  const server = await ServerProcess.start(...flags);
  t.teardown(async () => server.stop('SIGKILL'));
  const status = async (path: string): Promise<number> => {
    const { statusCode, body } = await request(new URL(path, server.url));
    await body.dump();
    return statusCode;
  };
  for (const path of ['/', '/page/page.js', '/page/live']) t.equal(await status(path), 404, path);
  t.equal(await status('/health'), 200);
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('the history is a quarter of an hour, however long the run', (t) => {
  const history = new History();
  t.equal(history.oldest('in'), null);
  t.same(history.message().in, []);
  for (let n = 0; n < POINTS_MAX + 50; n++)
    history.add({ ...NO_POINT, atSeconds: n, p99Ms: n % 2 === 0 ? null : n });
  const { atSeconds, p99Ms } = history.message();
  t.equal(atSeconds.length, POINTS_MAX);
  t.same([atSeconds[0], atSeconds.at(-1)], [50, POINTS_MAX + 49]);
  t.same(p99Ms.slice(0, 2), [null, 51]);
  t.equal(history.oldest('atSeconds'), 50);
  t.equal(history.growth('atSeconds', 30), 1);
  t.equal(new History().growth('atSeconds', 30), null);
  t.end();
});

void t.test('rates and latencies are those of the last seconds', (t) => {
  t.equal(quantile({ bounds: [1, 2], counts: [0, 0, 0] }, 0.5), null);
  t.equal(quantile({ bounds: [1, 2], counts: [10, 0, 0] }, 0.5), 0.5);
  t.equal(quantile({ bounds: [1, 2], counts: [10, 10, 0] }, 0.75), 1.5);
  t.equal(quantile({ bounds: [1, 2], counts: [0, 0, 5] }, 0.99), 2, 'beyond the last bound');
  const window = new RateWindow(SECONDS);
  const ack = SECONDS.map(() => 0).concat(0);
  const at = (second: number, taken: number): ReturnType<RateWindow['add']> => {
    ack[0] = second === 0 ? 1000 : 1000 + taken;
    const total = {
      in: taken,
      out: taken / 2,
      refused: 0,
      backlogFull: 0,
      connectionsFull: 0,
      failed: 0,
      ack: [...ack],
    };
    return window.add({ atMs: second * 1000, ...total });
  };
  t.match(at(0, 0), { in: 0, p50Ms: null });
  t.match(at(1, 100), { in: 100, out: 50, p50Ms: 0.25 });
  for (let second = 2; second <= 6; second++) at(second, 100);
  t.match(at(7, 100), { in: 0, out: 0, p50Ms: null }, 'what was before is forgotten');
  t.end();
});

void t.test('how a batch does follows from what happened to it last', (t) => {
  const written = (n: number): BatchEvent => {
    return { what: 'sealed', batches: 1, batch: BATCH(n), events: 100 };
  };
  const sealed = (n: number) => {
    return {
      name: BATCH(n),
      events: 7,
      logBytes: 1,
      isAcknowledged: false,
      bornMs: 0,
      leftover: false,
      past: null,
    };
  };
  const failed = new Error('<b>away</b>');
  const why = { why: '', error: failed };
  const happened: BatchEvent[] = [
    { what: 'not appended', batch: '', events: 100, place: '', code: 'LOG_FAILED', error: failed },
    { what: 'deleted', batch: BATCH(1), events: 100, leftover: false, removal: 'deleted' },
    {
      what: 'failed',
      batch: `${BATCH(2)}#1-50`,
      events: 50,
      step: 'deliver',
      code: 'DELIVERY_FAILED',
      ...why,
    },
    written(3),
    { what: 'sent', batch: BATCH(3), events: 99 },
    { what: 'dead letters', batch: BATCH(3), events: 1, of: 100, path: '', reason: '' },
    written(4),
    { what: 'sealed', batches: 3, batch: BATCH(5), events: 300 },
    { what: 'sent', batch: `${BATCH(5)}#1-100`, events: 98 },
    { what: 'dead letters', batch: `${BATCH(5)}#1-100`, events: 2, of: 100, path: '', reason: '' },
    { what: 'sent', batch: `${BATCH(5)}#101-200`, events: 97 },
    { what: 'dead letters', batch: `${BATCH(5)}#101-200`, events: 3, of: 100, path: '', reason: '' },
    written(10),
  ];
  const of = (isHeldBack: boolean, active: readonly number[]): string[] =>
    batchStates(happened, active.map(sealed), isHeldBack).map(({ name, events, stage, refused, error }) =>
      `${/(\d+)\.jsonl/.exec(name)?.[1]} ${events} ${stage} ${refused} ${error}`.trim(),
    );
  t.same(of(false, [4, 9]), [
    '10 100 waiting 0',
    '9 7 at the sink 0',
    '5 300 at the sink 5',
    '4 100 at the sink 0',
    '3 100 confirmed 1',
    '2 null trying again 0 <b>away</b>',
    '1 100 delivered 0',
  ]);
  t.match(of(true, [4]), ['10 100 held back 0', '5 300 at the sink 5', '4 100 held back 0']);
  const many = Array.from({ length: 60 }, (_each, n) => written(100 + n));
  const states = batchStates(many, [sealed(1)], false);
  t.equal(states.length, 12);
  t.same([states[0]?.name, states.at(-1)?.name], [BATCH(159), BATCH(1)], 'also one that is old');
  t.end();
});

void t.test('of dead letters the newest are looked at, and never much', async (t) => {
  const dir = tempDir(t);
  t.same(await newestLetters(nodeFileSystem, dir), [], 'no folder');
  mkdirSync(join(dir, 'dead-letters'));
  const letter = (n: number, reason: string, event: string): string =>
    `{"batch":"${BATCH(n)}","index":${n},"reason":"${reason}","status":422,"attempts":1,"time":"2026-11-26T01:02:03.000Z","event":${event}}\n`;
  const put = (n: number, text: string): void => {
    writeFileSync(join(dir, 'dead-letters', BATCH(n)), text);
  };
  put(1, letter(1, 'old', '{}'));
  put(2, letter(2, 'old', '{}'));
  put(8, `${letter(8, 'first', '{"id":"a"}')}${letter(8, 'first', '{"id":"b"}')}nothing of ours\n`);
  put(9, letter(9, 'long', `"${'x'.repeat(200_000)}"`));
  put(10, `${letter(10, 'z', '1')}${letter(10, 'cut', '1').slice(0, 40)}`);
  put(11, letter(11, 'first', `"${'é'.repeat(600)}"`));
  put(12, '');
  const found = await newestLetters(nodeFileSystem, dir);
  t.same(
    found.map(({ reason, event, isCut }) => [reason, event.length, isCut]),
    [
      ['first', 500, true],
      ['z', 1, false],
      ['long', 500, true],
      ['first', 10, false],
      ['first', 10, false],
    ],
  );
  const reasons = letterReasons(found);
  t.match(reasons, [
    { reason: 'first', letters: 3, batch: BATCH(11), status: 422 },
    { reason: 'z', letters: 1, event: '1' },
    { reason: 'long', letters: 1 },
  ]);
  const other = found.map((each, n) => ({ ...each, reason: `${n % 50}${'r'.repeat(1000)}` }));
  const much = letterReasons(Array.from({ length: 20 }, () => other).flat());
  t.ok(JSON.stringify(much).length < 10_000);
});

void t.test('what runs in the browser knows the messages of the server, and nothing else of it', (t) => {
  const page = readFileSync('lib/observe/page/browser/page.ts', 'utf8');
  t.match(page, /from '.\/verdict.js'/);
  for (const name of [
    'batches',
    'charts',
    'dom',
    'format',
    'letters',
    'live',
    'page',
    'pipeline',
    'sink',
    'sources',
    'verdict',
  ]) {
    const text = readFileSync(`lib/observe/page/browser/${name}.ts`, 'utf8');
    const outside = [...text.matchAll(/^(.*) from '(\.\.[^']*|[^.'][^']*)';/gm)];
    for (const [, what = '', from] of outside) {
      t.equal(from, '../messages.js', name);
      t.match(what, /^import type /);
    }
  }
  t.end();
});
