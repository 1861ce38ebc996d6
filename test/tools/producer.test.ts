import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { tasksOf } from '../../tools/producer/producer.js';
import { checkRelations, PRODUCER_SETTINGS } from '../../tools/producer/producer-settings.js';
import type { Statistics } from '../../tools/producer/statistics.js';
import { readOptions } from '../../lib/settings/option-table.js';
import { VERSION } from '../../lib/base/version.js';
import {
  answer,
  endOf,
  idOf,
  listen,
  NEEDS_FULL,
  run,
  runJson,
  serve,
  start,
} from '../helpers/producer-run.js';
import type { Handler } from '../helpers/producer-run.js';
import { until } from '../helpers/wait-for.js';

t.jobs = 3; // each test has a server of its own, and mostly waits

void t.test('events are sent, answered and counted: exit code 0 and the block of statistics', async (t) => {
  const bodies: Buffer[] = [];
  const url = await listen(t, ({ res, body }) => {
    bodies.push(body);
    answer(res, 202);
  });
  const { code, stdout, stderr } = await run(['--url', url, '--rate', '1000', '--burst', '20']);
  t.equal(code, 0);
  t.equal(stderr, '', 'no progress bar where there is no terminal');
  t.equal(bodies.length, 20);
  const rule = '='.repeat(40);
  const block = [
    rule,
    'Producer Statistics',
    rule,
    'Total sent: 20',
    'Accepted (202): 20',
    'Backpressure (429): 0',
    'Errors: 0',
    String.raw`Duration: \d+ ms`,
    String.raw`Throughput: \d+ events/sec`,
    rule,
    String.raw`Latency .*: p50 [\d.]+, p90 [\d.]+, p99 [\d.]+, p99.9 [\d.]+, max [\d.]+`,
    String.raw`Left more than 10 ms late: \d+ events; the greatest delay: [\d.]+ ms`,
    '$',
  ];
  const pattern = block.map((line) => line.replace(/[()]/g, String.raw`\$&`)).join('\n');
  t.match(stdout, new RegExp(`^${pattern}`));
});

void t.test(
  'events have the documented shape, and ids that repeat neither over workers nor over runs',
  async (t) => {
    const bodies: string[] = [];
    const url = await listen(t, ({ req, res, body }) => {
      t.equal(req.method, 'POST');
      t.equal(req.headers['content-type'], 'application/json');
      bodies.push(body.toString());
      answer(res, 202);
    });
    const before = Date.now();
    const args = ['--url', url, '--rate', '1000', '--burst', '8', '--workers', '2'];
    await Promise.all([run(args), run(args)]);
    t.equal(bodies.length, 16);
    const shape =
      /^\{"id":"evt-[0-9a-z]+-([01])-(\d+)","type":"test","data":\{"message":"Test event","worker_id":\1,"sequence":\2\},"timestamp":(\d+)\}$/;
    for (const body of bodies) {
      const timestamp = Number(shape.exec(body)?.[3]);
      t.ok(timestamp >= before && timestamp <= Date.now(), body);
    }
    t.equal(new Set(bodies.map(idOf)).size, 16);
  },
);

void t.test('--id-prefix is what ids begin with', async (t) => {
  const ids: string[] = [];
  const url = await listen(t, ({ res, body }) => {
    ids.push(idOf(body));
    answer(res, 202);
  });
  await run(['--url', url, '--rate', '1000', '--burst', '3', '--id-prefix', 'again']);
  t.same(ids.toSorted(), ['again-0-0', 'again-0-1', 'again-0-2']);
});

void t.test('the workers share the events as evenly as they can', async (t) => {
  const seen = [0, 0, 0];
  const url = await listen(t, ({ res, body }) => {
    const worker = Number(idOf(body).split('-')[2]);
    seen[worker] = (seen[worker] ?? 0) + 1;
    answer(res, 202);
  });
  const args = ['--url', url, '--rate', '1000', '--workers', '3', '--burst'];
  const statistics = await runJson([...args, '11']);
  t.same(seen, [4, 4, 3]);
  t.equal(statistics.accepted, 11);
  const few = tasksOf(readOptions(PRODUCER_SETTINGS, [...args, '2']), 0);
  t.same(
    few.map(({ load }) => load.events),
    [1, 1],
    'one without events does not start',
  );
});

void t.test('an event leaves no sooner than it is due', async (t) => {
  const url = await listen(t, ({ res }) => answer(res, 202));
  // the last of 50 events is due at 49 / 100 s, with two workers the last of 25 at 24 / 100 s
  const one = await runJson(['--url', url, '--rate', '100', '--burst', '50']);
  t.ok(one.durationMs >= 490, `${one.durationMs} ms`);
  const two = await runJson(['--url', url, '--rate', '100', '--burst', '50', '--workers', '2']);
  t.ok(two.durationMs >= 240, `${two.durationMs} ms`);
});

void t.test('an event leaves when it is due, whether or not earlier ones were answered', async (t) => {
  const waiting: ServerResponse[] = [];
  const url = await listen(t, ({ res }) => {
    waiting.push(res);
    if (waiting.length === 40) for (const each of waiting) answer(each, 202);
  });
  const statistics = await runJson(['--url', url, '--rate', '500', '--burst', '40', '--timeout', '60000']);
  t.equal(statistics.accepted, 40);
});

void t.test(
  'a slow server makes events late: that is reported, and latency counts from when they were due',
  async (t) => {
    const url = await listen(t, ({ res }) => setTimeout(() => answer(res, 202), 40));
    const args = ['--url', url, '--rate', '1000', '--burst', '10', '--max-in-flight', '1'];
    const { accepted, late, latencyMs } = await runJson(args);
    t.equal(accepted, 10);
    // the event n is due after n ms and leaves after n × 40 ms
    t.ok(late.events >= 9, `${late.events} late`);
    t.ok(late.delayMsMax >= 9 * 38, `${late.delayMsMax} ms`);
    t.ok((latencyMs?.max ?? 0) >= 10 * 38, `${latencyMs?.max} ms`);
    t.ok((latencyMs?.p50 ?? 0) >= 4 * 38, `${latencyMs?.p50} ms`);
  },
);

void t.test('429 is backpressure, not an error', async (t) => {
  let requests = 0;
  const url = await listen(t, ({ res }) => {
    requests += 1;
    answer(res, requests % 2 === 0 ? 202 : 429, { 'Retry-After': '1' });
  });
  const { code, stdout } = await run(['--url', url, '--rate', '1000', '--burst', '10']);
  t.equal(code, 0);
  t.equal(requests, 10, 'without --retry no event is sent twice');
  t.match(stdout, 'Total sent: 10\nAccepted (202): 5\nBackpressure (429): 5\nErrors: 0\n');
});

void t.test('--retry sends refused events again after Retry-After until they are accepted', async (t) => {
  const refused = new Map<string, number>();
  const url = await listen(t, ({ res, body }) => {
    const id = idOf(body);
    const refusedMs = refused.get(id);
    if (refusedMs !== undefined) {
      t.ok(performance.now() - refusedMs >= 990, 'not before Retry-After');
      return answer(res, 202);
    }
    refused.set(id, performance.now());
    return answer(res, 429, { 'Retry-After': '1' });
  });
  const statistics = await runJson(['--url', url, '--rate', '1000', '--burst', '10', '--retry']);
  const { totalSent, accepted, backpressure, errors, sentAgainByKind } = statistics;
  t.same(
    { totalSent, accepted, backpressure, errors },
    { totalSent: 10, accepted: 10, backpressure: 0, errors: 0 },
  );
  t.same(sentAgainByKind, { 429: 10 });
});

void t.test('what a server says before its answer, unasked, is taken', async (t) => {
  let requests = 0;
  const { url } = await serve(t, ({ res }) => {
    const { socket } = res;
    const text = 'HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n';
    const cut = requests++ % text.length;
    socket?.setNoDelay();
    socket?.write(text.slice(0, cut));
    // in two pieces, the second with the answer or before it
    setTimeout(() => {
      socket?.write(text.slice(cut));
      if (cut % 2 === 0) answer(res, 202);
      else setTimeout(() => answer(res, 202), 5);
    }, 5);
  });
  const flags = ['--rate', '1000', '--burst', '80', '--max-in-flight', '4', '--connections', '4'];
  const { code, stdout } = await run(['--url', url, ...flags]);
  t.equal(code, 0);
  t.match(stdout, 'Total sent: 80\nAccepted (202): 80\nBackpressure (429): 0\nErrors: 0\n');
});

void t.test('--retry waits until the date that the server names, by its own clock', async (t) => {
  const times: number[] = [];
  const ofServer = (aheadMs: number): string => new Date(aheadMs).toUTCString(); // in 1970
  const url = await listen(t, ({ res }) => {
    times.push(performance.now());
    if (times.length > 1) answer(res, 202);
    else answer(res, 503, { 'Retry-After': ofServer(12_000), Date: ofServer(10_000) });
  });
  t.equal((await run(['--url', url, '--burst', '1', '--retry'])).code, 0);
  t.ok((times[1] ?? 0) - (times[0] ?? 0) >= 1990);
});

void t.test(
  '--retry waits about a second after a 503 without Retry-After, and leaves other errors alone',
  async (t) => {
    const times: number[] = [];
    const url = await listen(t, ({ res }) => {
      times.push(performance.now());
      answer(res, times.length === 1 ? 503 : 400);
    });
    const { code, stdout } = await run(['--url', url, '--burst', '1', '--retry']);
    t.equal(code, 1);
    t.equal(times.length, 2);
    t.ok((times[1] ?? 0) - (times[0] ?? 0) >= 490);
    t.match(stdout, /Errors: 1\n[^]*Sent again after status 503: 1\nError status 400: 1\n$/);
  },
);

void t.test(
  '--retry outlives a server that dies and comes back: resets, refusals and timeouts alike',
  async (t) => {
    const accepted = new Set<string>();
    const hanging = new Set<string>();
    let requests = 0;
    const { url, server } = await serve(t, ({ res, body }) => {
      requests += 1;
      if (requests === 5) {
        const { port } = server.address() as AddressInfo;
        server.close(() => server.listen(port, '127.0.0.1'));
        server.closeAllConnections();
      } else if (requests > 20 && hanging.size === 0) hanging.add(idOf(body));
      else {
        accepted.add(idOf(body));
        answer(res, 202);
      }
    });
    const args = ['--url', url, '--rate', '500', '--burst', '50', '--timeout', '4000', '--retry'];
    const statistics = await runJson(args);
    t.equal(statistics.accepted, 50);
    t.equal(accepted.size, 50);
    t.equal(statistics.errors, 0);
    t.ok((statistics.sentAgainByKind['timeout'] ?? 0) >= 1);
    t.ok(Object.keys(statistics.sentAgainByKind).length >= 2, JSON.stringify(statistics.sentAgainByKind));
  },
);

void t.test('whatever is no 202 or 429 is an error, counted by its kind: exit code 1', async (t) => {
  const kinds: [kind: RegExp, handler: Handler][] = [
    [/^(ECONNRESET|connection closed)$/, ({ req }) => void req.socket.resetAndDestroy()],
    [/^timeout$/, () => {}],
    [/^status 500$/, ({ res }) => answer(res, 500)],
    [/^status 200$/, ({ res }) => answer(res, 200)],
  ];
  const url = await listen(t, (request) => {
    const sequence = Number(idOf(request.body).split('-')[3]);
    kinds[sequence % kinds.length]?.[1](request);
  });
  const { code, stdout } = await run([
    '--url',
    url,
    '--rate',
    '1000',
    '--burst',
    '24',
    '--timeout',
    '8000',
    '--json',
  ]);
  const statistics = JSON.parse(stdout) as Statistics;
  t.equal(code, 1);
  t.equal(statistics.totalSent, 24);
  t.equal(statistics.errors, 24);
  t.equal(statistics.latencyMs, null);
  const counted = Object.entries(statistics.errorsByKind);
  t.equal(counted.length, kinds.length);
  for (const [pattern] of kinds)
    t.equal(counted.find(([kind]) => pattern.test(kind))?.[1], 6, String(pattern));
});

void t.test('a server that is not there is an error of each event', async (t) => {
  const { url, server } = await serve(t, () => {});
  await new Promise((resolve) => server.close(resolve));
  const { code, stdout } = await run(['--url', url, '--rate', '1000', '--burst', '4']);
  t.equal(code, 1);
  t.match(stdout, /Total sent: 4\n[^]*Errors: 4\n[^]*\nError ECONNREFUSED: 4\n$/);
});

void t.test('--json prints one object with the same numbers, and nothing else', async (t) => {
  const url = await listen(t, ({ res }) => answer(res, 202));
  const { stdout } = await run(['--url', url, '--rate', '1000', '--burst', '5', '--json']);
  t.match(stdout, /^\{[^\n]*\}\n$/);
  const number = Number;
  t.match(JSON.parse(stdout), {
    totalSent: 5,
    accepted: 5,
    backpressure: 0,
    errors: 0,
    durationMs: number,
    throughput: number,
    latencyMs: { p50: number, p90: number, p99: number, 'p99.9': number, max: number },
    late: { events: number, thresholdMs: 10, delayMsMax: number },
    errorsByKind: {},
    sentAgainByKind: {},
  });
});

void t.test('--accepted holds the ids of the accepted events and no others', async (t) => {
  const accepted: string[] = [];
  const url = await listen(t, ({ res, body }) => {
    const status = [202, 429, 500][Number(idOf(body).split('-')[3]) % 3] ?? 202;
    if (status === 202) accepted.push(idOf(body));
    answer(res, status);
  });
  const file = join(t.testdir({ ids: 'left from an earlier run\n' }), 'ids');
  await run(['--url', url, '--rate', '1000', '--burst', '30', '--workers', '2', '--accepted', file]);
  t.equal(accepted.length, 10);
  const written = await readFile(file, 'utf8');
  t.ok(written.endsWith('\n'));
  t.same(written.trimEnd().split('\n').toSorted(), accepted.toSorted());
});

void t.test('an --accepted file that can no longer be written ends the run', NEEDS_FULL, async (t) => {
  const url = await listen(t, ({ res }) => answer(res, 202));
  const { code, stdout, stderr } = await run(['--url', url, '--burst', '100000', '--accepted', '/dev/full']);
  t.equal(code, 1);
  t.match(stdout, /^Errors: \d+$/m);
  t.notMatch(stdout, /^Error (?!no answer before the stop: )/m);
  t.match(stderr, /^forebay-producer: --accepted \/dev\/full [^\n]*ENOSPC[^\n]*\n$/);
});

void t.test('SIGINT stops the sending; the statistics tell what was done', async (t) => {
  let requests = 0;
  const url = await listen(t, ({ res }) => {
    requests += 1;
    if (requests <= 5) answer(res, 202);
    else if (requests === 6) child.kill('SIGINT'); // a second one would end it at once
  });
  const child = start(['--url', url, '--rate', '50', '--burst', '100000', '--workers', '2', '--json']);
  const { code, stdout } = await endOf(child);
  t.equal(code, 130);
  const { totalSent, accepted, errors, errorsByKind } = JSON.parse(stdout) as Statistics;
  t.equal(accepted, 5);
  await until(() => requests === totalSent, 'all that was sent has come');
  t.same(errorsByKind, { 'no answer before the stop': errors });
});

void t.test('SIGINT ends the wait for standard input, for a next event and for a place', async (t) => {
  for (const flags of [
    ['--file', '-'],
    ['--rate', '0.001'],
    ['--rate', '1000', '--max-in-flight', '1'],
  ]) {
    const url = await listen(t, ({ res }) => {
      if (!flags.includes('--max-in-flight')) answer(res, 202);
      child.kill('SIGINT');
    });
    const child = start(['--url', url, ...flags]);
    child.stdin.write('{"id":"a"}\n'); // and does not end it
    const { code, stdout } = await endOf(child);
    t.equal(code, 130);
    t.match(stdout, 'Total sent: 1\n');
  }
});

void t.test('a wrong flag is named in one line: exit code 78', async (t) => {
  const dir = t.testdir({ 'events.jsonl': '{"id":"a"}\n' });
  const file = join(dir, 'events.jsonl');
  const wrong: [string[], RegExp][] = [
    [['--rat', '5'], /--rat\b/],
    [['--rate', '0'], /--rate\b/],
    [['--rate', 'many'], /--rate\b/],
    [['--burst', '0'], /--burst\b/],
    [['--burst', '1.5'], /--burst\b/],
    [['--workers', '0'], /--workers\b/],
    [['--max-in-flight', '0'], /--max-in-flight\b/],
    [['--timeout', 'soon'], /--timeout\b/],
    [['--url', 'ftp://localhost/events'], /--url\b/],
    [['--url', 'localhost:8081'], /--url\b/],
    [['--id-prefix', ''], /--id-prefix\b/],
    [['--file', file, '--burst', '5'], /--burst does not go with --file/],
    [['--file', file, '--workers', '2'], /--workers does not go with --file/],
    [['--file', file, '--id-prefix', 'x'], /--id-prefix does not go with --file/],
    [['--file', file, '--accepted', file], /--accepted does not go with --file/],
    [['events.jsonl'], /events\.jsonl/],
  ];
  for (const [args, message] of wrong) {
    t.throws(() => checkRelations(readOptions(PRODUCER_SETTINGS, args)), {
      code: 'SETTING_INVALID',
      message,
    });
  }
  const atStart: [string[], RegExp][] = [
    [['--rat', '5'], /--rat\b/],
    [['--', '--rate', '5'], /Unexpected argument --rate/],
    [['--file', join(dir, 'absent')], /--file\b.*ENOENT/],
    [['--file', dir], /--file\b.*directory/],
    [['--accepted', join(dir, 'absent', 'ids')], /--accepted\b.*ENOENT/],
    [['--file', file, '--accepted', file], /--accepted does not go with --file/],
  ];
  for (const [args, pattern] of atStart) {
    const { code, stdout, stderr } = await run(args);
    t.equal(code, 78, args.join(' '));
    t.equal(stdout, '');
    t.match(stderr, /^forebay-producer: [^\n]+\n$/);
    t.match(stderr, pattern);
  }
  t.equal(await readFile(file, 'utf8'), '{"id":"a"}\n', 'a refused start changes no file');
});

void t.test('-v prints the version, -h and --help every flag', async (t) => {
  t.match(await run(['-v']), { code: 0, stdout: `${VERSION}\n`, stderr: '' });
  const help = await run(['--help']);
  t.same(await run(['-h']), help);
  const { code, stdout } = help;
  t.equal(code, 0);
  for (const { flag } of Object.values(PRODUCER_SETTINGS)) t.match(stdout, `  --${flag} `);
});
