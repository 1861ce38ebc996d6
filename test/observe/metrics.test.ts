import { statfs } from 'node:fs/promises';
import { writeFileSync } from 'node:fs';
import type { Dir, OpenDirOptions } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { markedLine } from '../../lib/logs/file/checksum.js';
import type { ForebayOptions } from '../../lib/forebay.js';
import type { IngestionServer } from '../../lib/door/ingestion-server.js';
import { metricsRoute } from '../../lib/observe/metrics/metrics-route.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { VERSION } from '../../lib/base/version.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { heldDisk } from '../helpers/held-disk.js';
import type { HeldDisk } from '../helpers/held-disk.js';
import { openHttpServer } from '../helpers/http-door.js';
import { leftName } from '../helpers/left-files.js';
import { noPromtool, promtool } from '../helpers/promtool.js';
import { RawClient } from '../helpers/raw-client.js';
import { CHUNKED, chunk, post, whole } from '../helpers/raw-door.js';
import { buildForebay, eventText, until } from '../helpers/running-forebay.js';
import type { RunningForebay } from '../helpers/running-forebay.js';
import { scrape } from '../helpers/scrape.js';
import type { Scrape } from '../helpers/scrape.js';
import { tempDir } from '../helpers/temp-dir.js';

interface Watched extends RunningForebay {
  readonly disk: HeldDisk;
  readonly server: IngestionServer;
  readonly look: () => Promise<Scrape>;
  readonly client: () => Promise<RawClient>;
  /** The status of a request to `/events`. */
  readonly send: (body: string, headers?: Readonly<Record<string, string>>) => Promise<number>;
}

/** Forebay behind HTTP in this process, with `GET /metrics`. In each scrape the events add up. */
async function watched(
  t: Test,
  options: Partial<Omit<ForebayOptions, 'sink'>> = {},
  sink?: CollectingSink,
): Promise<Watched> {
  const disk = heldDisk();
  const running = buildForebay(t, { fs: disk.fs, ...options }, sink);
  const { forebay } = running;
  const started = forebay.start();
  t.teardown(() => {
    disk.release();
  });
  await started;
  const server = await openHttpServer(t, forebay);
  server.addRoutes([['/metrics', metricsRoute({ forebay, door: server, sharedMs: 0 })]]);
  const { port } = server;
  const look = async (): Promise<Scrape> => {
    const seen = await scrape(port);
    t.equal(seen.value('forebay_unaccounted_events'), 0, 'no event is unaccounted for');
    return seen;
  };
  const client = async (): Promise<RawClient> => {
    const raw = await RawClient.connect(port);
    t.teardown(() => raw.socket.destroy());
    return raw;
  };
  const send: Watched['send'] = async (body, headers = { 'content-type': 'application/json' }) => {
    const answer = await request(`http://127.0.0.1:${port}/events`, { method: 'POST', body, headers });
    await answer.body.dump();
    return answer.statusCode;
  };
  return { ...running, disk, server, look, client, send };
}

type Listing = (goOn: () => void, fail: (error: Error) => void) => void;

/** `node:fs`, where someone else decides when a directory is listed. */
function listedBy(list: Listing): FileSystem {
  const opendir = (
    path: string,
    options: OpenDirOptions,
    done: (error: Error | null, dir: Dir) => void,
  ): void => {
    list(
      () => {
        (nodeFileSystem.opendir as typeof opendir)(path, options, done);
      },
      (error) => setImmediate(done as (failure: Error) => void, error),
    );
  };
  return Object.create(nodeFileSystem, { opendir: { value: opendir } }) as FileSystem;
}

const NDJSON = { 'content-type': 'application/x-ndjson' };

/** Requests by `path status`, but for the scrapes. */
function requests(seen: Scrape): Record<string, number> {
  const samples = seen.samples('forebay_http_requests_total');
  const others = samples.filter(({ labels, value }) => labels['path'] !== '/metrics' && value > 0);
  return Object.fromEntries(
    others.map(({ labels, value }) => [`${labels['path']} ${labels['status']}`, value]),
  );
}

void t.test('events: accepted, delivered, dead lettered, pending', async (t) => {
  const { look, send, sink, forebay } = await watched(t, { batchSize: 1 });
  const idle = await look();
  for (const what of ['accepted', 'delivered', 'dead_lettered', 'quarantined', 'failed'])
    t.equal(idle.value(`forebay_events_${what}_total`), 0, what);
  t.equal(idle.value('forebay_pending_events'), 0);
  t.equal(idle.value('forebay_pending_bytes'), 0);
  t.equal(idle.value('forebay_drain_seconds'), 0);

  t.equal(await send(eventText('a')), 202);
  t.equal(await send(`${eventText('b')}\n${eventText('c')}`, NDJSON), 202);
  await until(() => forebay.counts().delivered === 3, 'three are delivered');
  sink.error = new SinkError('not this one', { status: 422, refused: 'all' });
  t.equal(await send(eventText('d')), 202);
  await until(() => forebay.counts().deadLettered === 1, 'one is a dead letter');
  sink.error = null;
  sink.held = true;
  t.equal(await send(eventText('e')), 202);
  await until(() => sink.attempts.length === 5, 'one is on its way');

  const seen = await look();
  t.equal(seen.value('forebay_events_accepted_total'), 5);
  t.equal(seen.value('forebay_events_delivered_total'), 3);
  t.equal(seen.value('forebay_events_dead_lettered_total'), 1);
  t.equal(seen.value('forebay_pending_events'), 1);
  t.equal(seen.value('forebay_pending_bytes'), 4096, 'a block for the file of one event');
  t.equal(seen.value('forebay_pending_bytes_max'), forebay.settings.backlogBytesMax);
  t.ok(seen.value('forebay_drain_seconds') > 0);
  t.same(seen.by('outcome', 'forebay_sink_attempts_total'), { taken: 3, refused: 1 });
  t.equal(seen.value('forebay_sink_attempts_running'), 1);
  t.equal(seen.value('forebay_delivery_failures_total'), 0, 'a refusal is no failure');
});

void t.test('what lies in dead-letters/ and quarantine/ is seen', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, leftName(1)), `damaged\n${markedLine(eventText('a'))}`);
  const { look, forebay } = await watched(t, { logDir: dir, replayWaitMs: 600_000 });
  t.equal(forebay.counts().quarantined, 1);
  const seen = await look();
  t.equal(seen.value('forebay_events_quarantined_total'), 1);
  t.equal(seen.value('forebay_quarantine_files'), 1);
  t.equal(seen.value('forebay_dead_letter_files'), 0);
  t.equal(seen.value('forebay_events_accepted_total'), 2, 'what an earlier run accepted counts, too');
  t.equal(seen.value('forebay_events_delivered_total'), 1);
  t.ok(seen.value('forebay_disk_free_bytes') > 0);
  t.ok(seen.value('forebay_disk_size_bytes') >= seen.value('forebay_disk_free_bytes'));
  const { files, ffree } = await statfs(dir);
  t.equal(
    seen.samples('forebay_disk_free_inodes').length,
    files === 0 ? 0 : 1,
    'some file systems have no bound',
  );
  if (files > 0) {
    t.equal(seen.value('forebay_disk_inodes'), files);
    t.ok(Math.abs(seen.value('forebay_disk_free_inodes') - ffree) < files / 10);
  }

  const other = await watched(t, { batchSize: 1 });
  other.sink.error = new SinkError('no', { status: 400, refused: 'all' });
  t.equal(await other.send(eventText('x')), 202);
  await until(() => other.forebay.counts().deadLettered === 1, 'a dead letter');
  const letters = await other.look();
  t.equal(letters.value('forebay_dead_letter_files'), 1);
  t.ok(letters.value('forebay_dead_letter_bytes') > 0);
  t.equal(letters.value('forebay_dead_letter_bytes_max'), other.forebay.settings.deadLettersBytesMax);
});

void t.test('the age of the oldest event counts from when its batch was made', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, leftName(1)), markedLine(eventText('a')));
  const sink = new CollectingSink();
  sink.held = true;
  const { look, forebay } = await watched(t, { logDir: dir, replayWaitMs: 0 }, sink);
  await until(() => sink.attempts.length === 1, 'it is on its way');
  const bornMs = Date.UTC(2025, 0, 1);
  const fromMs = Date.now() - 1000; // its clock and that of ages are two
  const age = (await look()).value('forebay_oldest_pending_seconds');
  t.ok(age >= (fromMs - bornMs) / 1000 && age <= (Date.now() + 1000 - bornMs) / 1000, `${age}`);
  sink.release();
  await until(() => forebay.counts().pending === 0, 'all is delivered');
  t.equal((await look()).value('forebay_oldest_pending_seconds'), 0);
});

void t.test('a file whose name has the time of a wrong clock is as old as this run', async (t) => {
  for (const name of ['batch_20990101_000000_1.jsonl', 'batch_19700101_000010_1.jsonl']) {
    const logDir = tempDir(t);
    writeFileSync(join(logDir, name), markedLine(eventText('a')));
    const sink = new CollectingSink();
    sink.held = true;
    const { forebay } = await watched(t, { logDir, replayWaitMs: 0 }, sink);
    await until(() => sink.attempts.length === 1, 'it is on its way');
    await sleep(20);
    const age = forebay.statistics()?.oldestPendingSeconds ?? NaN;
    t.ok(age > 0.01 && age < 60, `${name}: ${age}`);
    sink.release();
    await until(() => forebay.counts().pending === 0, 'delivered');
    t.ok((forebay.statistics()?.deliverySeconds.sum ?? NaN) < 60);
  }
});

void t.test('a clock that is set right while batches wait makes them no older', async (t) => {
  const sink = new CollectingSink();
  sink.held = true;
  const realNow = Date.now;
  t.teardown(() => {
    Date.now = realNow;
  });
  Date.now = () => 1000;
  const { forebay } = await watched(t, { batchSize: 1 }, sink);
  await forebay.write(eventText('a'));
  await until(() => sink.attempts.length === 1, 'it is on its way');
  Date.now = realNow;
  const age = forebay.statistics()?.oldestPendingSeconds ?? NaN;
  t.ok(age >= 0 && age < 60, `${age}`);
  sink.release();
  await until(() => forebay.counts().pending === 0, 'delivered');
  t.ok((forebay.statistics()?.deliverySeconds.sum ?? NaN) < 60);
});

void t.test('refused events by code', async (t) => {
  const { look, send, disk, sink, forebay } = await watched(t, { queueSize: 3 });
  t.equal(await send('{'), 400);
  t.equal(await send('{"id":"","type":"t","data":1}'), 400);
  t.equal(await send(`${eventText('a')}\n${eventText('b')}\n[]`, NDJSON), 400, 'all or none: three');
  const lenient = { ...NDJSON, prefer: 'handling=lenient' };
  t.equal(await send(`${eventText('c')}\nnull\n{}\n`, lenient), 202, 'one taken, two refused');
  t.equal(await send('x', { 'content-type': 'text/plain' }), 415);
  t.equal(await send(`${eventText('1')}\n`.repeat(4), NDJSON), 413, 'more than the queue can hold');
  await sink.received(1);
  disk.hold();
  const waiting = [send(eventText('d')), send(`${eventText('e')}\n${eventText('f')}`, NDJSON)];
  await until(() => disk.flushes > 0, 'the disk has one');
  await until(() => forebay.statistics()?.queuedEvents === 3, 'the queue is full');
  t.equal(await send(eventText('g')), 429);
  t.equal(await send(`${eventText('h')}\n${eventText('i')}`, NDJSON), 429, 'refused unread: one');
  const seen = await look();
  t.equal(seen.value('forebay_queue_events'), 3);
  t.equal(seen.value('forebay_queue_events_max'), 3);
  t.equal(seen.value('forebay_clients'), 1);
  t.match(seen.by('of', 'forebay_client_share_largest'), { queue: 1 });
  t.same(onlyOnes(seen), ['QUEUE_FULL']);
  t.ok(seen.value('forebay_queue_bytes') > 0);
  t.equal(seen.value('forebay_queue_bytes_max'), forebay.settings.queueBytes);
  disk.release();
  t.same(await Promise.all(waiting), [202, 202]);
  t.equal((await look()).value('forebay_source_events_accepted_total', { source: 'events' }), 4);
  t.equal((await look()).value('forebay_events_refused_total', { source: 'events', code: 'EVENT_FIELD' }), 2);
  t.same((await look()).by('code', 'forebay_events_refused_total'), {
    EVENT_NOT_JSON: 1,
    EVENT_FIELD: 2,
    EVENT_NOT_OBJECT: 4,
    UNSUPPORTED_MEDIA_TYPE: 1,
    BODY_TOO_LARGE: 4,
    QUEUE_FULL: 2,
  });
  t.same(requests(await look()), {
    '/events 202': 3,
    '/events 400': 3,
    '/events 413': 1,
    '/events 415': 1,
    '/events 429': 2,
  });
});

function onlyOnes(seen: Scrape): string[] {
  const codes = Object.entries(seen.by('code', 'forebay_refusing'));
  return codes.filter(([, value]) => value !== 0).map(([code]) => code);
}

void t.test('what a POST would be refused with now, also if its end is in doubt', async (t) => {
  const { look, send, disk, forebay } = await watched(t);
  t.same(onlyOnes(await look()), []);
  disk.fail('write', 'EIO');
  t.equal(await send(eventText('a')), 503);
  t.same(onlyOnes(await look()), ['LOG_FAILED']);
  disk.fail('ftruncate', 'EIO');
  t.equal(await send(eventText('b')), 503);
  t.same(onlyOnes(await look()), [forebay.unready()?.code]);
  t.match(forebay.unready()?.code, /^IN_DOUBT$|^LOG_FAILED$/);
  disk.fail('write', null);
  disk.fail('ftruncate', null);
  await until(() => forebay.unready() === null, 'the disk takes events again');
  t.same(onlyOnes(await look()), []);
});

void t.test('requests by path and status, whoever reads them', async (t) => {
  const { look, client, server, disk, forebay } = await watched(t);
  const fast = await client();
  await fast.send(whole(eventText('a')));
  t.equal((await fast.answer()).status, 202);
  await fast.send(whole('no'));
  t.equal((await fast.answer()).status, 400);
  t.equal(server.handedOverConnections, 0, 'both on the fast path');
  t.same(
    [...(server.counts.answered.get('/events') ?? [])].filter(([, count]) => count > 0),
    [
      [202, 1],
      [400, 1],
    ],
  );

  const slow = await client();
  await slow.send(post(CHUNKED, `${chunk(eventText('b'))}0\r\n\r\n`));
  t.equal((await slow.answer()).status, 202);
  t.equal(server.handedOverConnections, 1, 'on that of node:http');
  for (const [line, status] of [
    ['GET /nothing', 404],
    ['GET /somewhere/else', 404],
    ['GET /events', 405],
    ['GET /health', 200],
    ['HEAD /ready', 200],
  ] as const) {
    const each = await client();
    await each.send(`${line} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await until(() => each.unread.includes(`HTTP/1.1 ${status}`), line);
  }
  const broken = await client();
  await broken.send('nonsense\r\n\r\n');
  t.equal((await broken.answer()).status, 400);

  disk.hold();
  const [left, alsoLeft] = [await client(), await client()];
  await left.send(whole(eventText('c')));
  await alsoLeft.send(post(CHUNKED, `${chunk(eventText('d'))}0\r\n\r\n`));
  await until(() => forebay.statistics()?.queuedEvents === 2, 'both wait for the disk');
  t.ok((await look()).value('forebay_http_connections') >= 10);
  const open = server.connections;
  left.abort();
  alsoLeft.abort();
  await until(() => server.connections <= open - 2, 'both connections are closed');
  disk.release();
  await until(() => server.counts.answered.get('/events')?.get(0) === 2, 'both are counted');
  const seen = await look();
  t.same(requests(seen), {
    '/events 202': 2,
    '/events 400': 1,
    '/events 405': 1,
    '/events aborted': 2,
    '/health 200': 1,
    '/ready 200': 1,
    'other 400': 1,
    'other 404': 2,
  });
  t.ok(seen.value('forebay_http_connections_handed_over_total') >= 7);
  t.equal(seen.value('forebay_http_connections_dropped_total'), 0);
  t.ok(seen.value('forebay_http_requests_total', { path: '/metrics', status: '200' }) > 0);
});

void t.test('what matters is there before it happens, so that its first time shows', async (t) => {
  const { look } = await watched(t);
  const seen = await look();
  for (const status of ['202', '429', '500', '503'])
    t.equal(seen.value('forebay_http_requests_total', { path: '/events', status }), 0, status);
  for (const code of [
    'QUEUE_FULL',
    'BACKLOG_FULL',
    'CLIENT_SHARE',
    'CLIENT_RATE',
    'LOG_FAILED',
    'IN_DOUBT',
    'INTERNAL',
  ])
    t.equal(seen.value('forebay_events_refused_total', { source: 'events', code }), 0, code);
});

void t.test('batches by what ended them', async (t) => {
  const { look, send, disk, forebay } = await watched(t, { batchSize: 2, batchBytes: 200 });
  const sealed = async (): Promise<Record<string, number>> =>
    (await look()).by('reason', 'forebay_batches_sealed_total');
  t.same(await sealed(), {});
  t.equal(await send(`${eventText('a')}\n${eventText('b')}`, NDJSON), 202);
  await until(() => forebay.counts().delivered === 2, 'by size');
  t.same(await sealed(), { size: 1 });
  t.equal(await send(eventText('c')), 202);
  await until(() => forebay.counts().delivered === 3, 'by time');
  t.same(await sealed(), { size: 1, time: 1 });
  const [large, other] = [eventText('d', 'x'.repeat(150)), eventText('e', 'x'.repeat(150))];
  t.equal(await send(`${large}\n${other}`, NDJSON), 202);
  await until(() => forebay.counts().delivered === 5, 'by bytes');
  t.same(await sealed(), { size: 1, time: 2, bytes: 1 }, 'the second did not fit');

  const slow = await watched(t, { batchWaitMs: 600_000 });
  t.equal(await slow.send(eventText('e')), 202);
  slow.disk.fail('write', 'EIO');
  t.equal(await slow.send(eventText('f')), 503);
  slow.disk.fail('write', null);
  t.equal(await slow.send(eventText('g')), 202);
  await slow.forebay.stop();
  const seen = await slow.look();
  t.same(seen.by('reason', 'forebay_batches_sealed_total'), { failure: 1, stop: 1 });
  t.equal(seen.value('forebay_events_failed_total'), 1);
  t.same(seen.by('code', 'forebay_events_refused_total'), { LOG_FAILED: 1 });
  disk.release();
});

void t.test('the breaker is in one state', async (t) => {
  const { look, send, sink, forebay } = await watched(t);
  const state = async (): Promise<Record<string, number>> =>
    (await look()).by('state', 'forebay_sink_breaker');
  t.same(await state(), { closed: 1 });
  sink.error = new SinkError('later', { retryAfterMs: 20 });
  // the second attempt is the probe
  sink.on('attempt', () => {
    if (sink.attempts.length === 2) sink.held = true;
  });
  t.equal(await send(eventText('a')), 202);
  await until(() => sink.attempts.length === 2, 'the probe');
  t.same(await state(), { 'half-open': 1 });
  sink.error = new SinkError('much later', { retryAfterMs: 3_600_000 });
  sink.release();
  await until(() => forebay.sinkState()?.breaker === 'open', 'it is open again');
  const seen = await look();
  t.same(seen.by('state', 'forebay_sink_breaker'), { open: 1 });
  t.equal(seen.samples('forebay_sink_breaker').length, 3);
  t.equal(seen.value('forebay_sink_breaker_openings_total'), 1);
  t.equal(seen.value('forebay_sink_failures_in_a_row'), 2);
  t.same(seen.by('outcome', 'forebay_sink_attempts_total'), { failed: 2 });
  t.equal(seen.value('forebay_delivery_failures_total'), 2);
  t.equal(seen.value('forebay_sink_concurrency'), 1);
});

void t.test('histograms: buckets add up to the count, and the sum is that of the values', async (t) => {
  const { look, send, forebay } = await watched(t, { batchSize: 50 });
  for (let n = 0; n < 30; n++) t.equal(await send(eventText(`a${n}`)), 202);
  t.equal(await send(`${eventText('b')}\n`.repeat(40), NDJSON), 202);
  await until(() => forebay.counts().delivered === 70, 'all are delivered');
  const seen = await look();
  let looked = 0;
  for (const [name, { type, samples }] of seen.families) {
    if (type !== 'histogram') continue;
    looked++;
    const buckets = samples.filter((each) => each.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => (labels['le'] === '+Inf' ? Infinity : Number(labels['le'])));
    t.same(
      bounds,
      [...bounds].toSorted((a, b) => a - b),
      `${name}: the bounds ascend`,
    );
    t.equal(bounds.at(-1), Infinity);
    for (const [index, { value }] of buckets.entries())
      if (value < (buckets[index - 1]?.value ?? 0)) t.fail(`${name} is not cumulative`);
    t.equal(buckets.at(-1)?.value, seen.value(`${name}_count`), `${name}: all are in the last bucket`);
    t.equal(samples.length, buckets.length + 2);
  }
  t.equal(looked, 5);
  t.equal(seen.value('forebay_ack_seconds_count'), 31, 'once for each request');
  t.equal(seen.value('forebay_delivery_seconds_count'), 70, 'once for each event');
  t.equal(seen.value('forebay_group_commit_events_sum'), 70);
  t.equal(
    seen.value('forebay_group_commit_events_count'),
    seen.value('forebay_group_commit_seconds_count'),
    'both once for each group',
  );
  const [atMost1, atMost20] = ['1', '20'].map((le) =>
    seen.value('forebay_group_commit_events_bucket', { le }),
  );
  t.equal(atMost1, 30, 'groups of one event');
  t.equal(atMost20, 30, 'and one of forty');
  const { ackSeconds, groupSeconds, deliverySeconds } = forebay.statistics() ?? {};
  t.ok(ackSeconds && ackSeconds.sum > 0);
  t.equal(seen.value('forebay_ack_seconds_sum'), ackSeconds?.sum);
  t.equal(seen.value('forebay_group_commit_seconds_sum'), groupSeconds?.sum);
  t.equal(seen.value('forebay_delivery_seconds_sum'), deliverySeconds?.sum);
});

void t.test('all numbers are of one moment, however long the disk takes to say how full it is', async (t) => {
  const waiting: (() => void)[] = [];
  let holds = false;
  const fs = listedBy((goOn) => {
    if (holds) waiting.push(goOn);
    else goOn();
  });
  const { look, send } = await watched(t, { fs });
  holds = true;
  const looking = look();
  await until(() => waiting.length === 2, 'the disk is asked');
  for (let n = 0; n < 3; n++) t.equal(await send(eventText(`${n}`)), 202);
  holds = false;
  for (const goOn of waiting) goOn();
  const seen = await looking;
  t.equal(seen.value('forebay_events_accepted_total'), 3);
  t.equal(seen.value('forebay_group_commit_events_sum'), 3);
  t.equal(seen.value('forebay_http_requests_total', { path: '/events', status: '202' }), 3);
});

void t.test('the process', async (t) => {
  const { look } = await watched(t);
  const seen = await look();
  t.equal(seen.value('forebay_build_info', { version: VERSION, node: process.version }), 1);
  t.ok(seen.value('process_cpu_seconds_total') > 0);
  t.ok(seen.value('process_resident_memory_bytes') > seen.value('nodejs_heap_used_bytes'));
  const startedMs = seen.value('process_start_time_seconds') * 1000;
  t.ok(startedMs > Date.now() - process.uptime() * 1000 - 5000 && startedMs < Date.now());
  t.equal((await look()).value('process_start_time_seconds') * 1000, startedMs, 'it was started once');
});

void t.test('every family has a type, a help that says something, and a name of its own', async (t) => {
  const { look } = await watched(t);
  const { families } = await look(); // throws at a name that comes twice, or without HELP
  t.ok(families.size > 40);
  for (const [name, { help, type }] of families) {
    t.match(help, /\w+ \w+|Their bytes/, name);
    t.match(help, /\.$/, name);
    t.match(name, /^(forebay|process|nodejs)_[a-z_]+$/);
    t.equal(name.endsWith('_total'), type === 'counter', `${name} is a ${type}`);
  }
});

void t.test('who asks for OpenMetrics gets it', async (t) => {
  const { send, server, look } = await watched(t);
  t.equal(await send(eventText('a')), 202);
  const accept = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5';
  const { text, contentType } = await scrape(server.port, { accept });
  t.match(contentType, /^application\/openmetrics-text; version=1\.0\.0/);
  t.ok(text.endsWith('\n# EOF\n'));
  t.notMatch(text, /\n\n/, 'no empty lines');
  t.match(text, /^# TYPE forebay_events_accepted counter\nforebay_events_accepted_total 1$/m);
  t.match(text, /^# HELP process_cpu_seconds /m);
  const plain = await look();
  t.match(plain.contentType, /^text\/plain; version=0\.0\.4/);
  t.notMatch(plain.text, /# EOF/);
  const samples = (each: string): number => each.split('\n').filter((line) => /^[a-z]/.test(line)).length;
  // a scrape is counted when it is answered
  t.equal(samples(text) + 1, samples(plain.text), 'the same numbers');
});

void t.test('HEAD is GET without the body, and other methods are told so', async (t) => {
  const { server } = await watched(t);
  const url = `http://127.0.0.1:${server.port}/metrics`;
  const head = await request(url, { method: 'HEAD' });
  t.equal(await head.body.text(), '');
  t.equal(head.statusCode, 200);
  t.match(head.headers['content-type'], /^text\/plain; version=0\.0\.4/);
  t.ok(Number(head.headers['content-length']) > 1000);
  const posted = await request(url, { method: 'POST', body: 'x' });
  await posted.body.dump();
  t.equal(posted.statusCode, 405);
  t.equal(posted.headers['allow'], 'GET, HEAD');
});

void t.test('what the disk does not say is left out, and nothing else', async (t) => {
  let fails = false;
  const fs = listedBy((goOn, fail) => {
    if (fails) fail(new Error('EIO: a test'));
    else goOn();
  });
  const { look } = await watched(t, { fs });
  fails = true;
  const seen = await look();
  t.same(seen.samples('forebay_dead_letter_files'), []);
  t.same(seen.samples('forebay_quarantine_files'), []);
  t.equal(seen.value('forebay_events_accepted_total'), 0);
  t.ok(seen.value('forebay_disk_free_bytes') > 0);
});

void t.test('promtool has nothing against them', { skip: noPromtool() }, async (t) => {
  const { look, send, sink, forebay, disk } = await watched(t);
  const check = (when: string, { text }: Scrape): void => {
    const { status, said } = promtool(['check', 'metrics'], text);
    t.equal(said, '', when);
    t.equal(status, 0, when);
  };
  check('idle', await look());
  for (let n = 0; n < 20; n++) t.equal(await send(eventText(`a${n}`)), 202);
  t.equal(await send('no'), 400);
  sink.error = new SinkError('later', { retryAfterMs: 3_600_000 });
  t.equal(await send(eventText('b')), 202);
  await until(() => forebay.sinkState()?.breaker === 'open', 'the sink is down');
  disk.fail('write', 'ENOSPC');
  t.equal(await send(eventText('c')), 503);
  check('busy', await look());
  t.equal(promtool(['check', 'metrics'], '# TYPE a counter\na 1\n').status, 3, 'it would find something');
});
