import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { Batch } from '../../lib/seams/batch.js';
import { FileSink } from '../../lib/sinks/file/file-sink.js';
import { reachedSink, SinkError } from '../../lib/seams/sink-error.js';
import { SimulatedSink } from '../../lib/sinks/simulated/simulated-sink.js';
import { backoffMs } from '../../lib/delivery/backoff.js';
import { batchOfLines } from '../helpers/batches.js';
import { openSink } from '../helpers/open-sink.js';
import { tempDir } from '../helpers/temp-dir.js';

const never = new AbortController().signal;
const batch = (...lines: string[]): Batch => batchOfLines(lines);

void t.test('the file sink appends each event on a line of its own', async (t) => {
  const path = join(tempDir(t), 'out.jsonl');
  const sink = await FileSink.open(path);
  await sink.deliver(batch('{"a":1}', '{"a":2}'), never);
  await Promise.all([sink.deliver(batch('{"a":3}'), never), sink.deliver(batch('{"a":4}'), never)]);
  t.equal(readFileSync(path, 'utf8'), '{"a":1}\n{"a":2}\n{"a":3}\n{"a":4}\n');
  await sink.close();
  const again = await FileSink.open(path);
  await again.deliver(batch('{"a":5}'), never);
  await again.close();
  t.ok(readFileSync(path, 'utf8').endsWith('{"a":4}\n{"a":5}\n'));
});

void t.test(
  'the file sink cuts away the half line of a crash, and keeps a whole line that misses its break',
  async (t) => {
    const path = join(tempDir(t), 'out.jsonl');
    const cases = [
      ['{"a":1}\n{"a":', '{"a":1}\n'],
      ['{"a":1}\n{"a":2}', '{"a":1}\n{"a":2}\n'],
      ['{"a', ''],
      [`{"a":"${'x'.repeat(200_000)}"}\n{"b":"${'y'.repeat(200_000)}`, `{"a":"${'x'.repeat(200_000)}"}\n`],
      ['', ''],
    ] as const;
    for (const [before, after] of cases) {
      writeFileSync(path, before);
      const sink = await FileSink.open(path);
      await sink.deliver(batch('{"new":1}'), never);
      await sink.close();
      t.equal(readFileSync(path, 'utf8'), `${after}{"new":1}\n`);
    }
  },
);

void t.test('what cannot be a sink file is refused at the start', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'folder'));
  await t.rejects(FileSink.open(join(dir, 'folder')), {
    code: 'SINK_UNUSABLE',
    message: /folder cannot be used/,
  });
  spawnSync('mkfifo', [join(dir, 'pipe')]);
  symlinkSync('/dev/null', join(dir, 'link'));
  for (const path of ['/dev/null', join(dir, 'pipe'), join(dir, 'link')]) {
    await t.rejects(
      FileSink.open(path),
      { code: 'SINK_UNUSABLE', message: /: it is not a regular file$/ },
      path,
    );
  }
  await t.rejects(FileSink.open(join(dir, 'no', 'such')), { code: 'SINK_UNUSABLE' });
});

void t.test('what the file sink could not flush is taken away before anything else is written', async (t) => {
  const path = join(tempDir(t), 'out.jsonl');
  const sink = await FileSink.open(path);
  await sink.deliver(batch('{"a":1}'), never);
  const handle = await open(path);
  const handles = Object.getPrototypeOf(handle) as { datasync: () => Promise<void> };
  await handle.close();
  const { datasync } = handles;
  handles.datasync = async () => {
    throw new Error('a test made this flush fail');
  };
  await t.rejects(sink.deliver(batch('{"long":"xxxxxxxxxxxxxxxxxx"}'), never), { message: /a test made/ });
  handles.datasync = datasync;
  await sink.deliver(batch('{"b":1}'), never);
  await sink.close();
  t.equal(readFileSync(path, 'utf8'), '{"a":1}\n{"b":1}\n');
});

void t.test('what another program appended between two runs stays', async (t) => {
  const path = join(tempDir(t), 'out.jsonl');
  const first = await FileSink.open(path);
  await first.deliver(batch('{"a":1}'), never);
  await first.close();
  appendFileSync(path, '{"theirs":1}\n');
  const second = await FileSink.open(path);
  await second.deliver(batch('{"a":2}'), never);
  await second.close();
  t.equal(readFileSync(path, 'utf8'), '{"a":1}\n{"theirs":1}\n{"a":2}\n');
});

void t.test('the simulated sink takes its latency, give or take a half, and fails at its rate', async (t) => {
  const started = performance.now();
  await new SimulatedSink({ latencyMs: 40, failureRate: 0, random: () => 0.5 }).deliver(batch('{}'), never);
  t.ok(performance.now() - started >= 39);
  const failing = new SimulatedSink({ latencyMs: 0, failureRate: 1 });
  await t.rejects(failing.deliver(batch('{}'), never), { message: /simulated failure/ });
  let failures = 0;
  const half = new SimulatedSink({ latencyMs: 0, failureRate: 0.5 });
  for (let n = 0; n < 400; n++) await half.deliver(batch('{}'), never).catch(() => failures++);
  t.ok(failures > 100 && failures < 300, `${failures} of 400`);
});

void t.test('the simulated sink stops waiting when it is aborted', async (t) => {
  const sink = new SimulatedSink({ latencyMs: 600_000, failureRate: 0 });
  const controller = new AbortController();
  const delivery = sink.deliver(batch('{}'), controller.signal);
  controller.abort();
  await t.rejects(delivery, { name: 'AbortError' });
});

void t.test('the settings choose the sink', async (t) => {
  const path = join(tempDir(t), 'out.jsonl');
  const file = await openSink(['--sink', 'file', '--sink-file', path]);
  t.ok(file instanceof FileSink);
  await file.close?.();
  t.ok((await openSink([])) instanceof SimulatedSink);
});

void t.test('waits between attempts grow to a bound, with full jitter', (t) => {
  t.same(
    [1, 2, 3, 4].map((failures) => backoffMs(failures, 1)),
    [200, 400, 800, 1600],
  );
  t.equal(backoffMs(2, 0.5), 200);
  t.equal(backoffMs(2, 0), 0);
  t.equal(backoffMs(10, 1), 30_000);
  t.equal(backoffMs(5000, 1), 30_000, 'also where 2 ** failures is Infinity');
  t.end();
});

void t.test('an error says whether the sink failed at the batch', (t) => {
  const withCode = (code: string): Error => Object.assign(new Error('failed'), { code });
  const unreached = [
    'ECONNREFUSED',
    'ENOTFOUND',
    'EAI_AGAIN',
    'ENOSPC',
    'CERT_HAS_EXPIRED',
    'UND_ERR_CONNECT_TIMEOUT',
  ];
  for (const code of unreached) {
    t.notOk(reachedSink(withCode(code)), code);
    t.notOk(reachedSink(new TypeError('fetch failed', { cause: withCode(code) })), `${code} as a cause`);
  }
  for (const code of [
    'ECONNRESET',
    'EPIPE',
    'UND_ERR_SOCKET',
    'UND_ERR_HEADERS_TIMEOUT',
    'ERR_INVALID_ARG_TYPE',
  ])
    t.ok(reachedSink(withCode(code)), code);
  t.ok(reachedSink(new Error('no answer within 30000 ms')));
  t.ok(reachedSink(new SinkError('it broke', { status: 500 })));
  t.notOk(reachedSink(new SinkError('not now', { status: 503, retryAfterMs: 1000 })));
  t.notOk(reachedSink(new SinkError('not now', { status: 529, reached: false })));
  t.end();
});
