import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { madeUpEvents } from '../../tools/producer/outgoing-events.js';
import { checkRelations, PRODUCER_SETTINGS } from '../../tools/producer/producer-settings.js';
import { tasksOf } from '../../tools/producer/producer.js';
import { Sender } from '../../tools/producer/sender.js';
import { statisticsOf, statisticsText } from '../../tools/producer/statistics.js';
import type { Statistics } from '../../tools/producer/statistics.js';
import { newTally, recordAccepted, recordMs } from '../../tools/producer/tally.js';
import type { Column } from '../../tools/producer/timeline.js';
import { readOptions } from '../../lib/settings/option-table.js';
import { answer, endOf, idOf, listen, NEEDS_FULL, run, runJson, start } from '../helpers/producer-run.js';
import { ServerProcess } from '../helpers/server-process.js';
import { until } from '../helpers/wait-for.js';
import { tempDir } from '../helpers/temp-dir.js';
import { NO_TERMINAL } from '../helpers/terminal.js';

/** The lines of an NDJSON body, which ends with a line break. */
function linesIn(body: Buffer): string[] {
  const lines = body.toString().split('\n');
  if (lines.pop() !== '') throw new Error('no line break at the end');
  return lines;
}

void t.test('--bulk sends NDJSON requests of so many events, and each event counts', async (t) => {
  const requests: string[][] = [];
  const url = await listen(t, ({ req, res, body }) => {
    t.equal(req.headers['content-type'], 'application/x-ndjson');
    requests.push(linesIn(body).map(idOf));
    res.writeHead(202).end(`{"status":"accepted","count":${linesIn(body).length}}`);
  });
  const ids = join(t.testdir(), 'ids');
  const statistics = await runJson([
    '--url',
    url,
    '--rate',
    '1000',
    '--burst',
    '25',
    '--bulk',
    '10',
    '--accepted',
    ids,
  ]);
  t.same(
    requests.map((each) => each.length).toSorted((a, b) => b - a),
    [10, 10, 5],
  );
  t.match(statistics, { totalSent: 25, accepted: 25, backpressure: 0, errors: 0 });
  const sent = requests.flat().toSorted();
  t.equal(new Set(sent).size, 25);
  t.same((await readFile(ids, 'utf8')).trimEnd().split('\n').toSorted(), sent);
});

void t.test('a bulk is accepted as far as its answer says so', async (t) => {
  const answers: [number, string][] = [
    [202, '{"status":"accepted","count":7}'],
    [202, '{"status":"accepted","count":12}'],
    [202, '{"status":"accepted"}'],
    [202, '{"count":-1}'],
    [202, 'null'],
    [202, 'no JSON'],
    [429, ''],
    [400, '{"count":10}'],
  ];
  const left = [...answers];
  let whole: string[] = [];
  const url = await listen(t, ({ res, body: sent }) => {
    const [status, body] = left.shift() ?? [500, ''];
    if (body.includes('12')) whole = linesIn(sent).map(idOf);
    res.writeHead(status).end(body);
  });
  const ids = join(t.testdir(), 'ids');
  const flags = ['--rate', '1000', '--burst', `${10 * answers.length}`, '--bulk', '10', '--accepted', ids];
  const { code, stdout } = await run(['--url', url, ...flags, '--json']);
  t.equal(code, 1);
  t.match(JSON.parse(stdout), { totalSent: 80, accepted: 7 + 10, backpressure: 10, errors: 3 + 40 + 10 });
  t.same((JSON.parse(stdout) as Statistics).errorsByKind, {
    '202 with a lower count': 3,
    '202 without a count': 40,
    'status 400': 10,
  });
  t.equal(
    await readFile(ids, 'utf8'),
    `${whole.join('\n')}\n`,
    'ids only where all of a request are accepted',
  );
});

void t.test('a refused bulk is sent again whole with --retry', async (t) => {
  let refused: string | null = null;
  const url = await listen(t, ({ res, body }) => {
    if (refused === null) {
      refused = body.toString();
      return answer(res, 429, { 'Retry-After': '0' });
    }
    t.equal(body.toString(), refused, 'the same bytes');
    res.writeHead(202).end('{"count":5}');
  });
  const statistics = await runJson([
    '--url',
    url,
    '--rate',
    '1000',
    '--burst',
    '5',
    '--bulk',
    '5',
    '--retry',
  ]);
  t.match(statistics, { accepted: 5, totalSent: 5, sentAgainByKind: { 429: 5 } });
});

void t.test(
  '--file goes with --bulk: the lines byte for byte, in their order, empty ones left out',
  async (t) => {
    const bodies: string[] = [];
    const url = await listen(t, ({ res, body }) => {
      bodies.push(body.toString('latin1'));
      res.writeHead(202).end(`{"count":${linesIn(body).length}}`);
    });
    const file = join(t.testdir(), 'events.jsonl');
    await writeFile(
      file,
      Buffer.from('{"id":"a"}\n\n{"id":"b\xff"}\r\n  {"id":"c"}\n{"id":"d"}\n{"id":"e"}', 'latin1'),
    );
    const args = ['--url', url, '--file', file, '--bulk', '2', '--rate', '1000', '--max-in-flight', '1'];
    const statistics = await runJson(args);
    t.same(bodies, ['{"id":"a"}\n{"id":"b\xff"}\n', '  {"id":"c"}\n{"id":"d"}\n', '{"id":"e"}\n']);
    t.equal(statistics.accepted, 5);
  },
);

void t.test('--bulk and a real server agree on what was accepted', async (t) => {
  const dir = t.testdir();
  const server = await ServerProcess.start('--log-dir', join(dir, 'log'));
  t.teardown(() => server.stop('SIGKILL'));
  const statistics = await runJson([
    '--url',
    server.url,
    '--rate',
    '5000',
    '--burst',
    '505',
    '--bulk',
    '50',
    '--workers',
    '2',
  ]);
  t.match(statistics, { totalSent: 505, accepted: 505 });
  const health = (await (await fetch(server.url.replace('/events', '/health'))).json()) as {
    events: { accepted: number };
  };
  t.equal(health.events.accepted, 505);
});

void t.test('--size is the length of each event, whatever its number', async (t) => {
  for (const [size, prefix] of [
    [150, 'short'],
    [1000, 'für "uns"'],
  ] as const) {
    const bodies: Buffer[] = [];
    const url = await listen(t, ({ res, body }) => {
      bodies.push(body);
      answer(res, 202);
    });
    await runJson([
      '--url',
      url,
      '--rate',
      '2000',
      '--burst',
      '120',
      '--size',
      `${size}`,
      '--id-prefix',
      prefix,
    ]);
    t.equal(bodies.length, 120);
    t.same(new Set(bodies.map((body) => body.length)), new Set([size]));
    t.ok(
      bodies.some((body) => idOf(body) === `${prefix}-0-100`),
      'each is JSON still',
    );
  }
});

void t.test('steps, a ramp and a duration say how many events there are', async (t) => {
  for (const [flags, expected] of [
    [['--rate', '100:100ms,1000:50ms'], 60],
    [['--ramp', '200:200:100ms', '--duration', '200ms', '--bulk', '3', '--workers', '2'], 80],
  ] as const) {
    const url = await listen(t, ({ res }) => res.writeHead(202).end('{"count":3}'));
    const { stdout } = await run(['--url', url, ...flags, '--json']);
    const { totalSent, neverSent } = JSON.parse(stdout) as Statistics;
    t.equal(totalSent + neverSent, expected, flags.join(' '));
  }
});

void t.test('a run that ends by time ends, and says what was due and never left', async (t) => {
  let waiting: (() => void)[] = [];
  const url = await listen(t, ({ res }) => {
    // each answer comes when the time of the run is over, or after it
    waiting.push(() => answer(res, 202));
    setTimeout(() => {
      for (const each of waiting) each();
      waiting = [];
    }, 1400);
  });
  const flags = ['--url', url, '--rate', '100', '--duration', '200ms', '--max-in-flight', '2'];
  const { code, stdout } = await run(flags);
  t.equal(code, 0);
  const [, sent, neverSent] = /Total sent: (\d+)\n[^]*Due and never sent: (\d+) events\n/.exec(stdout) ?? [];
  t.equal(Number(sent) + Number(neverSent), 20);
  t.ok(Number(neverSent) >= 10, `${neverSent}`);
});

void t.test('each percentile is the one that it is called, and the throughput is per second', (t) => {
  const tally = newTally();
  for (let ms = 1; ms <= 1000; ms += 1) recordAccepted(tally, ms, 1);
  for (let ms = 1; ms <= 1000; ms += 1) recordMs(tally.ownDelayUs, ms, 1);
  tally.sent = 1000;
  const { latencyMs, ownDelayMs, throughput, durationMs } = statisticsOf(tally, 2000, 0);
  const near = (found: object | null, expected: Record<string, number>): void => {
    t.same(Object.keys(found ?? {}), Object.keys(expected));
    for (const [name, ms] of Object.entries(found ?? {}) as [string, number][])
      t.ok(Math.abs(ms - (expected[name] ?? 0)) <= 0.01 * ms, `${name} ${ms}`);
  };
  near(latencyMs, { p50: 500, p90: 900, p99: 990, 'p99.9': 999, max: 1000 });
  near(ownDelayMs, { p50: 500, p90: 900, p99: 990, max: 1000 });
  t.same([throughput, durationMs], [500, 2000]);
  t.end();
});

void t.test('nor is what waits for a connection sent after the end, or sent again', async (t) => {
  const slow = await listen(t, ({ res }) => void setTimeout(() => answer(res, 202), 200));
  const flags = ['--rate', '200', '--duration', '500ms'];
  const waiting = await runJson(['--url', slow, ...flags, '--connections', '1']);
  t.equal(waiting.totalSent + waiting.neverSent, 100);
  t.ok(waiting.busy > 0 && waiting.busy < 0.9, `a slow server leaves time: ${waiting.busy}`);
  t.ok(waiting.totalSent <= 9, `${waiting.totalSent} sent one after another in 1.5 s`);
  const full = await listen(t, ({ res }) => answer(res, 429, { 'retry-after': '1' }));
  const again = await runJson(['--url', full, ...flags, '--retry']);
  t.match(again, { totalSent: 100, backpressure: 100, neverSent: 0 });
  t.ok(again.durationMs < 4000, `${again.durationMs} ms`);
  const atOnce = await listen(
    t,
    ({ res }) => void setTimeout(() => answer(res, 429, { 'retry-after': '0' }), 20),
  );
  for (const more of [[], ['--connections', '1']]) {
    const ended = await runJson(['--url', atOnce, ...flags, '--retry', ...more]);
    t.equal(ended.totalSent + ended.neverSent, 100);
    t.equal(ended.totalSent, ended.backpressure, 'what was refused last is refused');
    t.ok(ended.durationMs < 4000, `${ended.durationMs} ms, though it need not wait`);
  }
});

void t.test('--duration ends a run from standard input though nothing comes', async (t) => {
  const url = await listen(t, ({ res }) => answer(res, 202));
  const child = start(['--url', url, '--file', '-', '--duration', '1500ms', '--json']);
  child.stdin.write('{"id":"a","type":"t","data":1}\n');
  const { code, stdout } = await endOf(child);
  t.equal(code, 0);
  const { totalSent, neverSent, durationMs } = JSON.parse(stdout) as Statistics;
  t.same([totalSent, neverSent], [1, 0]);
  t.ok(durationMs >= 1490, `${durationMs} ms`);
  const slow = await listen(t, ({ res }) => void setTimeout(() => answer(res, 202), 100));
  const more = ['--rate', '200', '--duration', '300ms', '--max-in-flight', '1'];
  const busy = start(['--url', slow, '--file', '-', ...more, '--json']);
  busy.stdin.write('{"id":"a","type":"t","data":1}\n'.repeat(60));
  const late = JSON.parse((await endOf(busy)).stdout) as Statistics;
  t.ok(late.totalSent >= 7, `${late.totalSent} sent: what was due may leave for a second`);
});

void t.test('a stop in a hang tells what was due in it', async (t) => {
  const times: number[] = [];
  const url = await listen(t, () => {
    if (times.push(performance.now()) !== 2) return;
    setTimeout(() => {
      times.push(performance.now());
      child.kill('SIGINT');
    }, 2000);
  });
  const child = start(['--url', url, '--rate', '200', '--burst', '100000', '--max-in-flight', '2', '--json']);
  child.stdin.end();
  const { code, stdout } = await endOf(child);
  t.equal(code, 130);
  const { totalSent, neverSent, durationMs } = JSON.parse(stdout) as Statistics;
  t.equal(totalSent, 2);
  // it began before the first request came, and ended after the signal
  const [firstMs = 0, , signalMs = 0] = times;
  const least = ((signalMs - firstMs) / 1000) * 200 - totalSent;
  const most = (durationMs / 1000) * 200 - totalSent;
  t.ok(neverSent >= least - 1 && neverSent <= most + 1, `${neverSent}, from ${least} to ${most}`);
});

void t.test('a file has no more to send than its lines', async (t) => {
  const url = await listen(t, ({ res }) => void setTimeout(() => answer(res, 202), 1600));
  const file = join(tempDir(t), 'events.jsonl');
  await writeFile(file, '{"id":"a","type":"t","data":1}\n'.repeat(300));
  const flags = ['--rate', '1000', '--duration', '500ms', '--max-in-flight', '1', '--bulk', '7'];
  const { stdout } = await run(['--url', url, '--file', file, ...flags, '--json']);
  const { totalSent, neverSent } = JSON.parse(stdout) as Statistics;
  t.equal(totalSent + neverSent, 300);
  t.ok(neverSent > 200, `${neverSent}`);
});

void t.test("where no place is free, the delay is not the producer's own", async (t) => {
  const held: ServerResponse[] = [];
  const url = await listen(t, ({ res }) => void held.push(res));
  const sender = new Sender({
    url,
    isBulk: false,
    maxInFlight: 1,
    connections: 1,
    timeoutMs: 60_000,
    retry: false,
    countFromMs: -Infinity,
    signal: new AbortController().signal,
    isOver: () => false,
    onAccepted: () => {},
    onHopeless: () => {},
    onOutcome: () => {},
  });
  const [event] = madeUpEvents('x', 0, 1);
  if (event === undefined) throw new Error('no event');
  const { ownDelayUs } = sender.tally;
  await sender.take([event], performance.now() - 1_000_000);
  t.ok(ownDelayUs.max > 900_000_000, 'a place was free and the event was due long ago');
  ownDelayUs.reset();
  await sender.take([event], performance.now() - 1_000_000);
  t.same([ownDelayUs.count, ownDelayUs.max], [1, 1], 'there was no place');
  await until(() => held.length > 0, 'a request has come');
  for (const res of held.splice(0)) answer(res, 202);
  await until(() => held.length > 0, 'a request has come');
  for (const res of held.splice(0)) answer(res, 202);
  await until(() => sender.tally.accepted === 2, 'both are accepted');
  await sender.take([event], performance.now() - 1_000_000);
  t.ok(ownDelayUs.max < 900_000_000, 'it counts from when the place was free');
  await until(() => held.length > 0, 'a request has come');
  for (const res of held.splice(0)) answer(res, 202);
  await sender.finish();
  t.ok(sender.tally.latencyUs.min > 900_000_000, 'latency counts from when it was due, all the same');
});

void t.test('no more connections are opened than --connections, and all are in use', async (t) => {
  const sockets = new Set<unknown>();
  const held: (() => void)[] = [];
  const url = await listen(t, ({ req, res }) => {
    sockets.add(req.socket);
    held.push(() => answer(res, 202));
    if (held.length % 3 === 0) for (const each of held.slice(-3)) each();
  });
  const flags = ['--rate', '1000', '--burst', '21', '--connections', '3', '--max-in-flight', '10'];
  const statistics = await runJson(['--url', url, ...flags]);
  t.equal(statistics.accepted, 21);
  t.equal(sockets.size, 3);
});

void t.test('--hdr holds the latencies of all accepted events', async (t) => {
  const url = await listen(t, ({ res, body }) => answer(res, idOf(body).endsWith('7') ? 500 : 202));
  const file = join(t.testdir(), 'latency.hgrm');
  await run(['--url', url, '--rate', '1000', '--burst', '30', '--hdr', file]);
  const text = await readFile(file, 'utf8');
  t.match(
    text,
    /^ {7}Value {5}Percentile TotalCount 1\/\(1-Percentile\)\n\n( *\d+\.\d{3} [01]\.\d{12} +\d+( +\d+\.\d\d)?\n)+#\[/,
  );
  t.match(text, / 1\.000000000000 {9}27\n#\[Mean /);
});

void t.test(
  'a file that cannot be written ends with exit code 1, after the statistics',
  NEEDS_FULL,
  async (t) => {
    const url = await listen(t, ({ res }) => answer(res, 202));
    const { code, stdout, stderr } = await run([
      '--url',
      url,
      '--rate',
      '1000',
      '--burst',
      '3',
      '--hdr',
      '/dev/full',
    ]);
    t.equal(code, 1);
    t.match(stdout, 'Accepted (202): 3\n');
    return t.match(stderr, /^forebay-producer: --hdr \/dev\/full cannot be written: ENOSPC[^\n]*\n$/);
  },
);

void t.test('--plot draws after the statistics; --json has the numbers', async (t) => {
  const url = await listen(t, ({ res }) => answer(res, 202));
  const flags = ['--url', url, '--rate', '100', '--burst', '30'];
  const { stdout } = await run([...flags, '--plot']);
  t.match(
    stdout,
    /greatest delay: [\d.]+ ms\n(.*\n)*Latency in ms \(o p50, \* p99\)\n( .*\|.*\n){8} .*\+-+\n/,
  );
  t.match(stdout, /\nEvents a second \(# 202, : 429, ! errors\)\n( .*\|[# ]*\n)+ +\+-+\n +0 s.* s\n$/);
  const { overTime } = (await runJson(flags)) as Statistics & { overTime: Column[] };
  t.ok(overTime.length >= 2);
  const accepted = overTime.reduce((sum, each) => sum + (each.accepted * each.lengthMs) / 1000, 0);
  t.ok(Math.abs(accepted - 30) < 2, `${accepted} of 30`);
});

void t.test('whether the producer was the bottleneck is said, and only then', (t) => {
  const text = (ownDelayMs: number, durationMs: number, sent = 100): string => {
    const tally = newTally();
    tally.sent = sent;
    for (let n = 0; n < 80; n += 1) tally.ownDelayUs.record(1);
    for (let n = 0; n < 20; n += 1) tally.ownDelayUs.record(ownDelayMs * 1000);
    return statisticsText(statisticsOf(tally, durationMs, 0));
  };
  t.match(text(70, 5000), /\nThe producer itself was the bottleneck: .*\(p90 70\.\d ms, max 70\.\d ms\)/);
  t.notMatch(text(9, 5000), 'bottleneck');
  t.notMatch(text(70, 900), 'bottleneck', 'a short run may only have begun slowly');
  t.notMatch(text(70, 5000, 99), 'bottleneck', 'so have a few events');
  t.notMatch(statisticsText(statisticsOf(newTally(), 5000, 0)), 'bottleneck', 'nothing was sent');
  const busyText = (late: number, busy: number): string =>
    statisticsText(statisticsOf({ ...newTally(), sent: 100, late }, 5000, 0, busy));
  t.match(
    busyText(20, 0.97),
    /\nThe producer itself was the bottleneck: its thread was busy for 97 % of the time\. /,
  );
  t.notMatch(busyText(5, 0.97), 'bottleneck', 'it could follow');
  t.notMatch(busyText(20, 0.8), 'bottleneck', 'the server was slow');
  t.end();
});

void t.test('an answer that comes a byte at a time is over at --timeout, too', async (t) => {
  const timers: NodeJS.Timeout[] = [];
  t.teardown(() => timers.forEach((timer) => clearInterval(timer)));
  const url = await listen(t, ({ res }) => {
    res.writeHead(202);
    timers.push(setInterval(() => res.write('x'), 50));
  });
  const flags = ['--url', url, '--burst', '1', '--timeout', '500', '--json'];
  const [{ code, stdout }, bulk] = await Promise.all([run(flags), run([...flags, '--bulk', '1'])]);
  t.match(JSON.parse(bulk.stdout), { errorsByKind: { timeout: 1 } });
  t.equal(code, 1);
  const { errorsByKind, durationMs } = JSON.parse(stdout) as Statistics;
  t.same(errorsByKind, { timeout: 1 });
  t.ok(durationMs >= 500 && durationMs < 5000, `${durationMs} ms`);
});

void t.test('a reader that goes ends the producer without a word, a full disk with one', async (t) => {
  const url = await listen(t, ({ res }) => answer(res, 202));
  const shell = async (rest: string): Promise<{ code: number; err: string }> => {
    const command = `node bin/producer.js --url ${url} --rate 1000 --burst 20 ${rest}`;
    const child = spawn('bash', ['-c', `set -o pipefail; ${command}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'close') as Promise<[number]>]);
    return { code, err };
  };
  t.same(await shell('| true'), { code: 1, err: '' });
  await t.test('a full disk is named', NEEDS_FULL, async (t) => {
    t.match(await shell('> /dev/full'), { code: 1, err: /^forebay-producer: [^\n]*ENOSPC[^\n]*\n$/ });
  });
});

void t.test('--hdr is in milliseconds', async (t) => {
  const url = await listen(t, ({ res }) => void setTimeout(() => answer(res, 202), 50));
  const file = join(tempDir(t), 'latency.hgrm');
  await writeFile(file, 'a longer file than the run before, '.repeat(1000));
  const { latencyMs } = await runJson(['--url', url, '--rate', '100', '--burst', '20', '--hdr', file]);
  t.notMatch(await readFile(file, 'utf8'), 'the run before');
  const max = Number(/#\[Max +=\s+([\d.]+)/.exec(await readFile(file, 'utf8'))?.[1]);
  t.ok(max >= 50 && Math.abs(max - (latencyMs?.max ?? 0)) < 1, `${max} ms`);
});

void t.test('workers are each given their share and their turn', (t) => {
  const settings = readOptions(PRODUCER_SETTINGS, ['--workers', '4', '--burst', '10']);
  t.same(
    tasksOf(settings, 0).map(({ phase, load }) => [phase, load.events]),
    [
      [0, 3],
      [0.25, 3],
      [0.5, 2],
      [0.75, 2],
    ],
  );
  t.end();
});

/** What a run of the producer shows on a terminal of so many columns. */
async function onTerminal(columns: number, flags: string): Promise<string> {
  const command = `stty cols ${columns}; ${process.execPath} bin/producer.js ${flags}`;
  const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['ignore', 'pipe', 'ignore'] });
  return (await text(child.stdout)).replaceAll('\u001b', 'ESC');
}

void t.test(
  'on a terminal there is a bar while it goes on, and a plot after it',
  { skip: NO_TERMINAL },
  async (t) => {
    const url = await listen(t, ({ res }) => answer(res, 202));
    const shown = await onTerminal(80, `--url ${url} --rate 100 --burst 100`);
    t.match(
      shown,
      /\r\[#+-+\] \d+% {2}[\d,]+\/s {2}accepted \d+ {2}refused 0 {2}errors 0 {2}0:0\d leftESC\[K/,
    );
    t.match(shown, /\rESC\[K=+\r\nProducer Statistics/, 'which gives way to the statistics');
    t.match(shown, /Latency in ms \(o p50, \* p99\)\r\n/);
  },
);

void t.test(
  'on a narrow terminal no number and no word is cut, and what is sent again shows',
  { skip: NO_TERMINAL },
  async (t) => {
    const url = await listen(t, ({ res }) => answer(res, 429, { 'Retry-After': '1' }));
    const shown = await onTerminal(40, `--url ${url} --rate 20 --duration 1500ms --retry`);
    t.match(shown, /\r\d+% 0\/s 202 0 429 0 err 0 again [1-9]\d*(?: \d:\d\d)?ESC\[K/);
    const [, statistics = ''] = shown.split('Producer Statistics');
    t.match(statistics, /Latency of accepted events,\r\n {2}from when each was due \(ms\): none\r\n/);
    for (const line of statistics.split('\r\n')) t.ok(line.length <= 40, line);
  },
);

void t.test('wrong flags, and flags that do not go together, are named', (t) => {
  const file = 'events.jsonl';
  const find = ['--find-max', '--p99', '50ms'];
  const wrong: [string[], RegExp][] = [
    [['--rate', '100:5'], /--rate must be/],
    [['--ramp', '100:200'], /--ramp must be/],
    [['--duration', '30'], /--duration must be a time with its unit/],
    [['--bulk', '0'], /--bulk\b/],
    [['--size', '20'], /--size must be at least 1\d\d/],
    [['--size', '1GiB'], /--size must be a number of bytes from 1 to 16777216, like/],
    [['--size', '2MiB', '--bulk', '1000'], /--size does not go with --bulk 1000: a request would be larger/],
    [['--connections', '0'], /--connections\b/],
    [['--connections', '300'], /--connections must not be more than --max-in-flight/],
    [['--hdr', 'x', '--accepted', 'x'], /--hdr does not go with --accepted/],
    [['--hdr', file, '--file', file], /--hdr does not go with --file/],
    [['--size', '500', '--file', file], /--size does not go with --file/],
    [['--ramp', '1:2:3s', '--rate', '5'], /--rate does not go with --ramp/],
    [['--plot', '--json'], /--plot does not go with --json/],
    [['--find-max'], /--find-max needs --p99/],
    [['--p99', '50ms'], /--p99 does not go with a run without --find-max/],
    [['--step', '5s'], /--step does not go with a run without --find-max/],
    [[...find, '--burst', '5'], /--burst does not go with --find-max/],
    [[...find, '--duration', '5s'], /--duration does not go with --find-max/],
    [[...find, '--ramp', '1:2:3s'], /--ramp does not go with --find-max/],
    [[...find, '--rate', '1:2s,3'], /--rate in steps does not go with --find-max/],
    [[...find, '--file', file], /--file does not go with --find-max/],
    [[...find, '--retry'], /--retry does not go with --find-max/],
    [[...find, '--accepted', 'ids'], /--accepted does not go with --find-max/],
    [[...find, '--step', '400ms'], /--p99 must be a tenth of --step or less/],
  ];
  for (const [args, message] of wrong) {
    t.throws(() => checkRelations(readOptions(PRODUCER_SETTINGS, args)), {
      code: 'SETTING_INVALID',
      message,
    });
  }
  const right = ['--find-max', '--p99', '50ms', '--rate', '10', '--hdr', 'x', '--bulk', '5', '--json'];
  t.doesNotThrow(() => checkRelations(readOptions(PRODUCER_SETTINGS, right)));
  t.end();
});

void t.test(
  'a --hdr file that cannot be opened stops the start, and a start that is refused changes no file',
  async (t) => {
    const dir = t.testdir({ 'events.jsonl': '{"id":"a"}\n' });
    const file = join(dir, 'events.jsonl');
    const other = await run(['--file', join(dir, 'absent'), '--hdr', file]);
    t.match(other, {
      code: 78,
      stdout: '',
      stderr: /^forebay-producer: --file cannot be read: ENOENT[^\n]*\n$/,
    });
    const absent = await run(['--hdr', join(dir, 'absent', 'file')]);
    t.match(absent, {
      code: 78,
      stdout: '',
      stderr: /^forebay-producer: --hdr cannot be written: ENOENT[^\n]*\n$/,
    });
    const same = await run(['--file', file, '--hdr', file]);
    t.match(same, {
      code: 78,
      stdout: '',
      stderr: /^forebay-producer: --hdr does not go with --file[^\n]*\n$/,
    });
    t.equal(await readFile(file, 'utf8'), '{"id":"a"}\n');
  },
);

void t.test('every flag stands in docs/producer.md with its default, and no other', (t) => {
  const rows = readFileSync('docs/producer.md', 'utf8').matchAll(/^\| `--([a-z0-9-]+)` +\| ([^|]*)\|/gm);
  const explained = Object.fromEntries([...rows].map(([, flag, initial]) => [flag, initial?.trim()]));
  const expected = Object.values(PRODUCER_SETTINGS).map(({ flag, initial }) => [
    flag,
    initial === null || initial === false ? '' : `\`${initial}\``,
  ]);
  t.same(explained, Object.fromEntries(expected));
  t.end();
});
