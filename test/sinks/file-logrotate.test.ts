import { execFileSync, spawnSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import t from 'tap';
import type { Test } from 'tap';
import { silentLogger } from '../../lib/base/reporter.js';
import type { Batch } from '../../lib/seams/batch.js';
import { FileSink } from '../../lib/sinks/file/file-sink.js';
import { batchOfLines } from '../helpers/batches.js';
import { eventText, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { WatchedFiles } from '../helpers/watched-files.js';

/** Other programs rotate the file of the sink (docs/decisions/058-no-rotation.md): what must not be lost, and what can be. */

const never = new AbortController().signal;
/** `time()` of other programs may be behind `Date.now()` by a tick of the system, in milliseconds. */
const CLOCK_LAG_MS = 100;
setMaxListeners(0, never); // attempts that were killed listen on
const LOGROTATE = spawnSync('logrotate', ['--version']).error === undefined;
const lineOf = (n: number): string => `{"id":"e${n}"}`;
const batchOf = (n: number): Batch => batchOfLines([lineOf(n)]);

function textOf(path: string): string {
  const bytes = readFileSync(path);
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
}

/** The whole lines of all files of a folder. */
const linesIn = (dir: string): string[] =>
  readdirSync(dir).flatMap((name) => textOf(join(dir, name)).split('\n').slice(0, -1));

function folder(t: Test): string {
  const dir = join(tempDir(t), 'out');
  mkdirSync(dir);
  return dir;
}

void t.test(
  'each batch that is confirmed while the file is moved away again and again is kept',
  async (t) => {
    const dir = folder(t);
    const path = join(dir, 'out.jsonl');
    const fs = new WatchedFiles();
    const sink = await FileSink.open(path, { fs });
    let calls = 0;
    let moves = 0;
    fs.before = (call) => {
      if (call.endsWith('out.jsonl') && ++calls % 7 === 0)
        renameSync(path, join(dir, `out.${++moves}.jsonl`));
    };
    for (let n = 0; n < 100; n++) {
      await sink.deliver(batchOf(n), never);
      if (n % 10 === 0) await sink.reload();
    }
    await sink.close();
    t.ok(moves > 20, `${moves} moves`);
    t.same(
      [...new Set(linesIn(dir))].toSorted(),
      Array.from({ length: 100 }, (_each, n) => lineOf(n)).toSorted(),
    );
  },
);

void t.test('copytruncate loses what was confirmed after its copy, and nothing else', async (t) => {
  const dir = folder(t);
  const path = join(dir, 'out.jsonl');
  const fs = new WatchedFiles();
  const sink = await FileSink.open(path, { fs });
  const lost: string[] = [];
  let cuts = 0;
  let confirmedAtCopy = -1;
  let [calls, confirmed] = [0, 0];
  const isAt = (call: string, step: number): boolean => call.endsWith('out.jsonl') && calls % 11 === step;
  fs.before = (call) => {
    if (call.endsWith('out.jsonl')) calls++;
    if (isAt(call, 3)) {
      confirmedAtCopy = confirmed;
      copyFileSync(path, join(dir, `out.${cuts++}.jsonl`));
    }
    if (!isAt(call, 8) || confirmedAtCopy === -1) return;
    for (let n = confirmedAtCopy; n < confirmed; n++) lost.push(lineOf(n));
    truncateSync(path, 0);
  };
  for (; confirmed < 100; confirmed++) await sink.deliver(batchOf(confirmed), never);
  await sink.close();
  t.ok(cuts > 10 && lost.length > 10, `${cuts} cuts, ${lost.length} lines between copy and cut`);
  const kept = new Set(linesIn(dir));
  const missing = Array.from({ length: 100 }, (_each, n) => lineOf(n)).filter((line) => !kept.has(line));
  t.ok(missing.length > 0, 'nobody can know of these');
  t.same(
    missing.filter((line) => !lost.includes(line)),
    [],
  );
  t.ok(
    [...kept].every((line) => /^\{"id":"e\d+"\}$/.test(line)),
    'no NUL bytes and no half lines in the middle',
  );
});

void t.test(
  'killed at any call after the file was moved away, it has lost nothing that was confirmed',
  async (t) => {
    const run = async (dir: string, fs: WatchedFiles, confirmed: string[]): Promise<FileSink> => {
      const path = join(dir, 'out.jsonl');
      const sink = await FileSink.open(path, { fs });
      for (let n = 1; n <= 3; n++) {
        await sink.deliver(batchOf(n), never);
        confirmed.push(lineOf(n));
        renameSync(path, join(dir, `out.${n}.jsonl`));
      }
      return sink;
    };
    const whole = new WatchedFiles();
    await (await run(folder(t), whole, [])).close();
    const calls = whole.calls.length;
    t.ok(calls >= 12, `${calls} calls`);
    for (let count = 0; count < calls; count++) {
      const dir = folder(t);
      const confirmed: string[] = [];
      const first = new WatchedFiles();
      const killed = first.killAt(count);
      run(dir, first, confirmed).catch(() => undefined);
      await killed;
      await first.closeAll();
      const sink = await FileSink.open(join(dir, 'out.jsonl'));
      await sink.deliver(batchOf(9), never);
      await sink.close();
      const kept = linesIn(dir).filter((line) => confirmed.includes(line) || line === lineOf(9));
      t.same(kept.toSorted(), [...confirmed, lineOf(9)], `killed at call ${count}: each line once`);
      t.ok(linesIn(dir).every((line) => /^\{"id":"e\d"\}$/.test(line)));
    }
  },
);

void t.test('a new file has a durable name before anything in it is confirmed', async (t) => {
  const path = join(folder(t), 'out.jsonl');
  const fs = new WatchedFiles();
  const warned: string[] = [];
  const logger = { ...silentLogger, warn: (_fields: object, text: string) => void warned.push(text) };
  const sink = await FileSink.open(path, { fs, logger });
  await sink.deliver(batchOf(1), never);
  renameSync(path, `${path}.1`);
  await sink.reload();
  t.same(warned, [], 'whoever sends a SIGHUP knows of the move');
  t.notOk(readdirSync(join(path, '..')).length === 1, 'it is there at once');
  renameSync(path, `${path}.2`);
  fs.calls.length = 0;
  fs.before = (call) => {
    if (call === 'sync DIR') throw new Error('EIO: a test fails this flush');
  };
  for (let tries = 0; tries < 2; tries++)
    await t.rejects(sink.deliver(batchOf(2), never), {
      message: /^The sink file .*out\.jsonl cannot be used: EIO/,
    });
  fs.before = () => undefined;
  await sink.deliver(batchOf(2), never);
  await sink.close();
  const failed = ['make out.jsonl', 'sync DIR', 'unlink out.jsonl'];
  const done = ['make out.jsonl', 'sync DIR', 'append out.jsonl', 'datasync out.jsonl'];
  t.same(fs.calls, [...failed, ...failed, ...done]);
});

void t.test(
  'the example for logrotate in docs/sinks.md works',
  { skip: !LOGROTATE && 'no logrotate' },
  async (t) => {
    const dir = folder(t);
    const path = join(dir, 'delivered.jsonl');
    const [example = ''] =
      /(?<=```\n)\/var\/lib\/forebay\/delivered\.jsonl \{.*?\n\}\n/s.exec(
        readFileSync('docs/sinks.md', 'utf8'),
      ) ?? [];
    const settings = ['--log-dir', join(tempDir(t), 'log'), '--batch-wait', '5', '--sink', 'file'];
    const server = await ServerProcess.start(...settings, '--sink-file', path);
    const hup = /systemctl kill .*/;
    t.match(example, hup);
    const [config, state] = ['config', 'state'].map((name) => join(dir, '..', name)) as [string, string];
    writeFileSync(
      config,
      example.replace('/var/lib/forebay/delivered.jsonl', path).replace(hup, `kill -HUP ${server.pid}`),
      { mode: 0o600 },
    );
    let [sent, nextMs] = [0, 0];
    const ending = new AbortController();
    t.teardown(async () => {
      ending.abort();
      await server.stop('SIGKILL');
    });
    const load = (async () => {
      while (!ending.signal.aborted) {
        const answer = await fetch(server.url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: eventText(`e${sent}`),
        });
        t.equal(answer.status, 202);
        sent++;
      }
    })();
    const rotated = (): string[] => readdirSync(dir).filter((name) => name.endsWith('.jsonl.gz'));
    for (let round = 1; round <= 3; round++) {
      const before = sent;
      await until(() => sent > before + 20, 'there is load');
      await until(() => Date.now() >= nextMs, 'no second has two names');
      execFileSync('logrotate', ['--force', '--state', state, config]);
      await until(() => rotated().length === round, `round ${round}: it is rotated and compressed`);
      nextMs = Math.ceil((Date.now() + 1) / 1000) * 1000 + CLOCK_LAG_MS;
    }
    ending.abort();
    await load;
    // a stop leaves to the next start what the sink has not got yet
    await until(async () => {
      const health = await fetch(new URL('/health', server.url));
      return ((await health.json()) as { events: { pending: number } }).events.pending === 0;
    }, 'all is delivered');
    t.equal(await server.stop('SIGTERM'), 0);
    const ids = linesIn(dir).map((line) => (JSON.parse(line) as { id: string }).id);
    t.equal(new Set(ids).size, sent, 'every event is in one of the files');
    t.ok(server.lines.some((line) => line.includes('SIGHUP: files of the sink')));
  },
);
