import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { retainedName } from '../../lib/logs/file/retained/retained-name.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { LOG_TOOL } from '../../tools/log/tool.js';
import { leftName } from '../helpers/left-files.js';
import { eventText, startForebay, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { runHere, runProcess } from '../helpers/tool-run.js';
import type { Ran } from '../helpers/tool-run.js';

const HOUR_MS = 3_600_000;
const tool = (dir: string, ...args: string[]): Promise<Ran> =>
  runHere(LOG_TOOL, ['replay', '--log-dir', dir, ...args]);

/** A front door that keeps what it is sent, and answers as it is told. */
async function door(
  t: Test,
  answer: (ids: readonly string[], headers: Readonly<Record<string, unknown>>) => number | object,
): Promise<{ url: string; ids: string[] }> {
  const ids: string[] = [];
  const server = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (text: string) => (body += text));
    req.on('end', () => {
      const sent = body
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { id: string }).id);
      const said = answer(sent, req.headers);
      const status = typeof said === 'number' ? said : 202;
      if (status === 202) ids.push(...sent);
      res
        .writeHead(status, { 'retry-after': '0' })
        .end(typeof said === 'number' ? '{}' : JSON.stringify(said));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`, ids };
}

/** A log directory with retained files: of each second of 2025 an array of events. */
function retained(t: Test, files: readonly (readonly string[])[]): string {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'retained'));
  for (const [second, texts] of files.entries()) writeRetained(dir, second, texts);
  return dir;
}

function nameOf(second: number): string {
  return leftName(second + 1).replace('000000', String(second).padStart(6, '0'));
}

function writeRetained(dir: string, second: number, texts: readonly string[]): void {
  const file = retainedName(nameOf(second), Date.UTC(2025, 0, 2), 1);
  writeFileSync(join(dir, 'retained', file), texts.map((text) => markedLine(text)).join(''));
}

const texts = (...ids: string[]): string[] => ids.map((id) => eventText(id));
const at = (second: number): string => `2025-01-01T00:00:0${second}Z`;

void t.test('a window is counted, and sent oldest first with its header', async (t) => {
  const dir = retained(t, [texts('a', 'b'), texts('c'), texts('d', 'e'), texts('f')]);
  const heads: unknown[] = [];
  const { url, ids } = await door(t, (_ids, { 'forebay-replay': replay, 'forebay-id-window': pass }) => {
    heads.push([replay, pass]);
    return 202;
  });
  const window = ['--from', at(1), '--to', at(3), '--url', url];
  t.match(await tool(dir, ...window), {
    code: 78,
    err: /replay sends events again: say --yes, or --dry-run/,
  });
  const counted = await tool(dir, ...window, '--dry-run');
  t.match(counted, {
    code: 0,
    out: /^3 events in 2 retained files that came from 2025-01-01T00:00:01.000Z to 2025-01-01T00:00:03.000Z: the first of 2025-01-01T00:00:01.000Z, the last of 2025-01-01T00:00:02.000Z\nNothing was sent/,
  });
  t.same(readdirSync(dir), ['retained'], 'a dry run leaves nothing');
  const sent = await tool(dir, ...window, '--yes', '--id-window', 'pass');
  t.match(sent, { code: 0, err: '', out: /^3 events in 2 retained files .*\n3 events sent again to http/ });
  t.same(ids, ['c', 'd', 'e']);
  t.same(heads, [['true', 'pass']]);
  t.same(readdirSync(dir).toSorted(), ['operations.jsonl', 'retained'], 'no progress is left');
  const [begun, ended] = readFileSync(join(dir, 'operations.jsonl'), 'utf8').trim().split('\n');
  t.match(JSON.parse(begun ?? ''), {
    what: 'replay',
    state: 'begun',
    events: 3,
    files: 2,
    selection: { from: at(1), to: at(3) },
  });
  t.match(JSON.parse(ended ?? ''), { state: 'ended', outcome: 'done', events: 3 });
  t.match(await tool(dir, '--from', '1h', '--yes', '--url', url), {
    code: 1,
    out: /^0 events in 0/,
    err: /nothing was sent/,
  });
});

void t.test('ls says what a replay can send', async (t) => {
  const dir = retained(t, [texts('a', 'b'), texts('c'), texts('d')]);
  const { code, out } = await runHere(LOG_TOOL, ['ls', '--log-dir', dir]);
  t.equal(code, 0);
  const files = readdirSync(join(dir, 'retained')).map((name) => join(dir, 'retained', name));
  const bytes = files.reduce((sum, path) => sum + statSync(path).size, 0);
  t.match(
    out,
    new RegExp(
      `^No batch files .*\nretained/: 3 delivered batch files, ${bytes} bytes, 2025-01-01T00:00:00.000Z to 2025-01-01T00:00:02.000Z\n`,
    ),
  );
  const json = await runHere(LOG_TOOL, ['ls', '--json', '--log-dir', dir]);
  const [line = ''] = json.out.split('\n').filter((each) => each.includes('"retained"'));
  t.match(JSON.parse(line), {
    kind: 'retained',
    files: 3,
    bytes,
    first: /^2025-01-01T00:00:00/,
    last: /:02/,
  });
  for (const path of files) rmSync(path);
  t.notMatch((await runHere(LOG_TOOL, ['ls', '--log-dir', dir])).out, /retained/);
  rmSync(join(dir, 'retained'), { recursive: true });
  writeFileSync(join(dir, 'retained'), '');
  t.match(await runHere(LOG_TOOL, ['ls', '--log-dir', dir]), { code: 0, err: '' });
});

void t.test('types and sources select events; of what nobody knows it is said', async (t) => {
  const cloud = '{"id":"c1","type":"t","data":1,"source":"/shop","timestamp":1}';
  const dir = retained(t, [[...texts('a', 'b'), cloud, '{"id":"x","type":"other","data":1,"timestamp":1}']]);
  const counted = async (...args: string[]): Promise<string> =>
    (await tool(dir, '--from', '2025-01-01', '--dry-run', ...args)).out.replace(/ that came[^\n]*/, '');
  t.match(await counted('--type', 'other'), /^1 event in 1/);
  t.match(await counted('--type', 'other', '--type', 't'), /^4 events in 1/);
  t.match(await counted('--source', '/shop'), /^1 event in 1[^]*not counted: 3 events left out by --source/);
  t.match(await counted('--source', '/none'), /^0 events in 0/);
  const other = tempDir(t);
  const idRules = ['events', 'github'].map((source) => ({
    source,
    windowMs: HOUR_MS,
    conflict: 'accept' as const,
  }));
  const running = await startForebay(t, { logDir: other, retainMs: HOUR_MS, batchWaitMs: 5, idRules });
  await running.forebay.write(eventText('a'));
  await until(() => running.forebay.counts().delivered === 1, 'it is delivered');
  const known = async (source: string): Promise<string> =>
    (await tool(other, '--from', '1h', '--dry-run', '--source', source)).out;
  t.match(await known('events'), /^1 event in 1/, 'its line has the number of its source');
  t.match(
    await known('github'),
    /^0 events in 0[^\n]*\n[^\n]* retained\/: 1 delivered batch file, [^\n]*\nNothing/,
  );
});

void t.test('a replay that ends in the middle goes on with the same command', async (t) => {
  const ids = Array.from({ length: 1200 }, (_, n) => `e${n}`);
  const dir = retained(t, [
    texts(...ids.slice(0, 300)),
    texts(...ids.slice(300, 900)),
    texts(...ids.slice(900)),
  ]);
  let answers = 0;
  const target = await door(t, () => (++answers === 2 ? 500 : 202));
  const args = ['--from', '2025-01-01', '--to', '2025-01-02', '--yes', '--url', target.url];
  const first = await tool(dir, ...args);
  t.match(first, { code: 1, out: /500 events sent again/, err: /answered 500[^]*the same command goes on/ });
  const lines = readFileSync(join(dir, 'replay.jsonl'), 'utf8').trim().split('\n');
  t.match(JSON.parse(lines.at(-1) ?? ''), { dir: '', index: 200, sent: 500 });
  // a kill may have left a part of a line
  writeFileSync(join(dir, 'replay.jsonl'), `${lines.join('\n')}\n{"dir":"","fi`);
  t.match(await tool(dir, ...args, '--type', 't'), {
    code: 78,
    err: /A replay with --from 2025-01-01 .* has sent 500 events and is not finished: the same command goes on, --start-over/,
  });
  const second = await tool(dir, ...args);
  t.match(second, { code: 0, out: /^Goes on with the replay of .*: 500 events are sent\n700 events in 2/ });
  t.same(target.ids, ids, 'each once, in order');
  t.notOk(existsSync(join(dir, 'replay.jsonl')));

  const other = ['--from', '2025-01-01', '--yes', '--url', target.url];
  answers = 0;
  t.match(await tool(dir, ...args), { code: 1, out: /500 events sent again/ });
  t.match(await tool(dir, ...other), { code: 78, err: /--start-over forgets it/ });
  t.match(await tool(dir, ...other, '--start-over'), { code: 0, out: /^1200 events/ });
  answers = 1;
  t.match(await tool(dir, ...args), { code: 1, out: /\n0 events sent again/ });
  t.match(
    await tool(dir, ...other),
    { code: 0, out: /^1200 events/ },
    'nothing was sent, so nothing goes on',
  );
});

void t.test('a server that wants a key is a hint at the flag that has one', async (t) => {
  const dir = retained(t, [texts('a')]);
  const target = await door(t, () => 401);
  t.match(await tool(dir, '--from', '2025-01-01', '--yes', '--url', target.url), {
    code: 1,
    err: /answered 401: {} \(--key-file\)\n/,
  });
});

void t.test('if there is nothing to send, it says what is retained, and where', async (t) => {
  const dir = retained(t, [texts('a'), texts('b')]);
  const ran = await tool(dir, '--from', '2025-01-02', '--dry-run');
  t.ok(ran.out.includes(`\n${dir}: retained/: 2 delivered batch files, `), ran.out);
  const none = tempDir(t);
  t.match(await tool(none, '--from', '1h', '--dry-run'), {
    code: 0,
    out: `\n${none}: nothing is retained\nNothing was sent (--dry-run)\n`,
  });
});

void t.test('after Ctrl-C it says what is sent, and the same command goes on', async (t) => {
  const ids = Array.from({ length: 1200 }, (_, n) => `e${n}`);
  const dir = retained(t, [texts(...ids)]);
  let [mayBeFull, refused] = [true, 0];
  const target = await door(t, () => (mayBeFull && target.ids.length === 500 ? (++refused, 429) : 202));
  const args = ['--from', '2025-01-01', '--to', '2025-01-02', '--yes', '--url', target.url];
  const child = spawn(process.execPath, ['bin/log.js', 'replay', '--log-dir', dir, ...args]);
  t.teardown(() => child.kill('SIGKILL'));
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  await until(() => refused > 1, 'it waits for a full server');
  child.kill('SIGINT');
  t.same(await once(child, 'close'), [130, null]);
  const said = err.split('\n').filter((line) => !/waits \d+ s/.test(line));
  t.same(said, [
    `forebay-log: interrupted: 500 of 1200 events sent again to ${target.url}; the same command goes on where this one has ended; of what it has sent, at most one request comes twice`,
    '',
  ]);
  const [, ended] = readFileSync(join(dir, 'operations.jsonl'), 'utf8').trim().split('\n');
  t.match(JSON.parse(ended ?? ''), { state: 'ended', outcome: 'interrupted', failures: 0, events: 500 });
  mayBeFull = false;
  const signal = AbortSignal.abort();
  t.match(
    await runHere(LOG_TOOL, ['replay', '--log-dir', dir, ...args], { signal }),
    { code: 130, err: /^forebay-log: interrupted: 500 events are sent; the same command goes on/ },
    'while it counts',
  );
  t.match(await tool(dir, ...args), { code: 0, out: /: 500 events are sent\n700 events in 1/ });
  t.same(target.ids, ids, 'each once, in order');
  for (const flag of ['--yes', '--dry-run']) {
    const early = await runHere(
      LOG_TOOL,
      ['replay', '--log-dir', dir, '--from', '2025-01-01', '--url', target.url, flag],
      { signal },
    );
    t.match(early, { code: 130, out: '', err: /^forebay-log: interrupted: nothing was sent/ }, flag);
  }
  t.notOk(existsSync(join(dir, 'replay.jsonl')), 'nothing to go on with');
});

void t.test(
  'what the door refuses is named, a full door is asked again, and duplicates are said',
  async (t) => {
    const dir = retained(t, [texts('a', 'bad', 'c')]);
    let isFull = true;
    const target = await door(t, (ids) => {
      if (isFull) {
        isFull = false;
        return 429;
      }
      if (ids.includes('bad')) return 400;
      return { status: 'accepted', count: ids.length, duplicates: ids.includes('c') ? 1 : 0 };
    });
    const ran = await tool(dir, '--from', '2025-01-01', '--yes', '--url', target.url);
    t.match(ran, { code: 1, out: /1 event sent again/ });
    t.match(ran.err, /waits 0 s: .* answered 429/);
    t.match(ran.err, /retained\/batch_20250101_000000_1\.settled_\S+, event 2: .* answered 400/);
    t.match(ran.err, /1 event was not stored, as an id window knows the ids: --id-window pass stores them/);
    t.same(target.ids, ['a', 'c']);
  },
);

void t.test('dead letters are left out, and events that were sent again before', async (t) => {
  const dir = tempDir(t);
  const running = await startForebay(t, {
    logDir: dir,
    retainMs: HOUR_MS,
    batchSize: 3,
    batchWaitMs: 60_000,
  });
  const { forebay, sink } = running;
  sink.deliver = async ({ bytes }) => {
    const lines = bytes.toString().split('\n');
    const index = lines.findIndex((line) => line.includes('"bad"'));
    if (index >= 0)
      throw new SinkError('never', { status: 400, refused: [{ index, reason: 'never', status: 400 }] });
    return Promise.resolve();
  };
  await Promise.all([
    forebay.write(eventText('a')),
    forebay.write(eventText('bad')),
    forebay.write(eventText('again'), { isReplay: true }),
  ]);
  await until(() => forebay.counts().delivered === 2, 'all is settled');
  const { out } = await tool(dir, '--from', '1h', '--dry-run');
  t.match(out, /^1 event in 1 retained file/);
  t.match(out, /not counted: 1 event among the dead letters: bin\/dead-letters.js redrive sends them\n/);
  t.match(out, /not counted: 1 event sent again before\n/);
});

void t.test('damage is left out; what cannot be read or is gone is said, and the rest is sent', async (t) => {
  const dir = retained(t, [texts('a', 'b'), texts('c'), texts('d')]);
  const [first = '', second = ''] = readdirSync(join(dir, 'retained')).toSorted();
  const bytes = readFileSync(join(dir, 'retained', first));
  bytes[8] = (bytes[8] ?? 0) ^ 1;
  writeFileSync(join(dir, 'retained', first), bytes);
  writeFileSync(join(dir, 'retained', `${second}.gz`), 'no gzip');
  writeFileSync(join(dir, 'retained', second.replace('.jsonl', '_2.jsonl.gz')), 'no gzip');
  const target = await door(t, () => 202);
  const ran = await tool(dir, '--from', '2025-01-01', '--yes', '--url', target.url);
  t.same(target.ids, ['b', 'c', 'd']);
  t.equal(ran.code, 0, 'the damage was set aside, with an error, when the batch was delivered');
});

void t.test('wrong requests are refused in a line', async (t) => {
  const dir = retained(t, []);
  for (const [args, err] of [
    [['--yes'], /replay needs --from TIME/],
    [['--yes', '--from', 'yesterday'], /--from must be a time like/],
    [['--yes', '--from', at(2), '--to', at(1)], /--to must be after --from/],
    [['--dry-run', '--from', '9000-01-01'], /--from is in the future/],
    [['--yes', '--from', '1h', '--log', 'jetstream'], /replay needs --log file/],
    [['--yes', '--from', '1h', '--sink', 'file'], /--sink file needs --sink-file/],
    [
      ['--yes', '--from', '1h', '--sink', 'simulated', '--id-window', 'pass'],
      /--id-window is for a server that runs/,
    ],
    [['--yes', '--from', '1h', '--sink-file', 'x'], /--sink-file needs --sink/],
    [['--yes', '--from', '1h', 'name'], /Unexpected argument name/],
  ] as const)
    t.match(await tool(dir, ...args), { code: 78, err }, args.join(' '));
  t.match(await runHere(LOG_TOOL, ['ls', '--log-dir', dir, '--from', '1h']), {
    code: 78,
    err: /--from goes with replay, not with ls/,
  });
  t.match(await tool(join(dir, 'none'), '--from', '1h', '--yes'), { code: 2, err: /none/ });
});

/** The programs, as an operator starts them. */
const program = (dir: string, ...args: string[]): Promise<Ran> =>
  runProcess(process.execPath, ['bin/log.js', 'replay', '--log-dir', dir, ...args]);
const EVENTS = 20_000;

function idsIn(path: string): Map<string, number> {
  const ids = new Map<string, number>();
  for (const line of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
    const { id } = JSON.parse(line) as { id: string };
    ids.set(id, (ids.get(id) ?? 0) + 1);
  }
  return ids;
}

/** Sends events to a server, and waits until its sink has them. */
async function fill(server: ServerProcess, sinkFile: string): Promise<void> {
  for (let n = 0; n < EVENTS; n += 1000) {
    const lines = Array.from({ length: 1000 }, (_, index) => eventText(`e${n + index}`, 'x'.repeat(100)));
    const headers = { 'content-type': 'application/x-ndjson' };
    const { status } = await fetch(server.url, { method: 'POST', headers, body: lines.join('\n') });
    if (status !== 202) throw new Error(`answered ${status}`);
  }
  await until(() => existsSync(sinkFile) && idsIn(sinkFile).size === EVENTS, 'all is delivered');
}

void t.test('20,000 events are replayed to a server that runs, also after kill -9 of the tool', async (t) => {
  const [dir, sinkFile] = [join(tempDir(t), 'log'), join(tempDir(t), 'sink.jsonl')];
  const flags = ['--log-dir', dir, '--sink', 'file', '--sink-file', sinkFile, '--retain', '1h'];
  const server = await ServerProcess.start(...flags);
  await fill(server, sinkFile);
  writeFileSync(sinkFile, ''); // the sink has lost all
  const args = ['--from', '1h', '--url', server.url, '--yes'];
  const child = spawn(process.execPath, ['bin/log.js', 'replay', '--log-dir', dir, ...args], {
    stdio: 'ignore',
  });
  const progress = join(dir, 'replay.jsonl');
  const isUnderWay = (): boolean =>
    existsSync(progress) && readFileSync(progress, 'utf8').split('\n').length > 6;
  await until(isUnderWay, 'it is under way');
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.ok(existsSync(progress), 'it was killed in the middle');
  const ran = await program(dir, ...args);
  t.match(ran, { code: 0, err: '', out: /^Goes on with the replay of/ });
  await until(() => idsIn(sinkFile).size === EVENTS, 'all is there again');
  const twice = [...idsIn(sinkFile).values()].filter((times) => times > 1).length;
  t.ok(twice <= 500, `at most one request came twice: ${twice} events`);
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('20,000 events are delivered to the sink of a server that does not run', async (t) => {
  const [dir, sinkFile] = [join(tempDir(t), 'log'), join(tempDir(t), 'sink.jsonl')];
  const flags = ['--log-dir', dir, '--sink', 'file', '--sink-file', sinkFile, '--retain', '1h'];
  const server = await ServerProcess.start(...flags);
  await fill(server, sinkFile);
  const args = ['--from', '1h', '--yes', '--sink', 'file', '--sink-file', sinkFile];
  const other = join(tempDir(t), 'other.jsonl');
  const locked = await program(dir, ...args.slice(0, -1), other);
  t.match(locked, {
    code: 2,
    err: /Another server uses the log directory .*: without --sink events go to a server that runs/,
  });
  t.equal(await server.stop('SIGTERM'), 0);
  writeFileSync(sinkFile, '');

  const child = spawn(process.execPath, ['bin/log.js', 'replay', '--log-dir', dir, ...args], {
    stdio: 'ignore',
  });
  const progress = join(dir, 'replay.jsonl');
  const isUnderWay = (): boolean =>
    existsSync(progress) && readFileSync(progress, 'utf8').split('\n').length > 4;
  await until(isUnderWay, 'it is under way');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const ran = await program(dir, ...args);
  t.match(ran, { code: 0, err: '', out: /sent again to the sink file\n$/ });
  const ids = idsIn(sinkFile);
  t.equal(ids.size, EVENTS);
  t.same(
    readdirSync(dir).filter((name) => name.startsWith('batch_')),
    [],
    'nothing waits',
  );
  t.notOk(existsSync(progress));
  const kept = readdirSync(join(dir, 'retained')).length;
  t.ok(kept > 0, 'what was retained is still there');
});

void t.test('after Ctrl-C what waits for the sink is left to the next start, and it is said', async (t) => {
  const dir = retained(t, [texts('a', 'b')]);
  const sink = createServer((_req, res) => res.writeHead(503).end()).listen(0, '127.0.0.1');
  await once(sink, 'listening');
  t.teardown(() => sink.close());
  const url = `http://127.0.0.1:${(sink.address() as AddressInfo).port}/`;
  const interrupt = new AbortController();
  const flags = ['--from', '2025-01-01', '--yes', '--sink', 'http', '--sink-url', url];
  const running = runHere(LOG_TOOL, ['replay', '--log-dir', dir, ...flags], { signal: interrupt.signal });
  sink.once('request', () => {
    interrupt.abort();
  });
  t.match(await running, {
    code: 130,
    out: /\n2 events sent again to the sink http\n$/,
    err: /forebay-log: interrupted: 2 events wait for the sink, and the next start of the server delivers them\n$/,
  });
  t.equal(readdirSync(dir).filter((name) => name.startsWith('batch_')).length, 1, 'they wait');
  t.notOk(existsSync(join(dir, 'replay.jsonl')));
  const [, ended] = readFileSync(join(dir, 'operations.jsonl'), 'utf8').trim().split('\n');
  t.match(JSON.parse(ended ?? ''), { outcome: 'interrupted', failures: 0, events: 2 });
});

void t.test('Ctrl-C is heard while it waits for what the server has left', async (t) => {
  const dir = retained(t, [texts('a', 'b')]);
  for (const n of [1, 2]) writeFileSync(join(dir, leftName(n)), markedLine(eventText('left')));
  const operations = join(dir, 'operations.jsonl');
  const interrupt = new AbortController();
  const sink = createServer((_req, res) => {
    interrupt.abort();
    const isEnded = (): boolean =>
      existsSync(operations) && readFileSync(operations, 'utf8').includes('"ended"');
    void until(isEnded, 'its end is recorded').then(() => res.end());
  }).listen(0, '127.0.0.1');
  await once(sink, 'listening');
  t.teardown(() => sink.close());
  const url = `http://127.0.0.1:${(sink.address() as AddressInfo).port}/`;
  const flags = ['--from', '2025-01-01', '--yes', '--sink', 'http', '--sink-url', url];
  const ran = await runHere(LOG_TOOL, ['replay', '--log-dir', dir, ...flags], { signal: interrupt.signal });
  t.match(ran, {
    code: 130,
    err: /^forebay-log: interrupted: 0 of 2 events in the log again, for the sink http; the same command goes on [^\n]*\n$/,
  });
  const [, ended] = readFileSync(operations, 'utf8').trim().split('\n');
  t.match(JSON.parse(ended ?? ''), { outcome: 'interrupted', failures: 0, events: 0 });
});

void t.test('while delivery is paused nothing is put into the log for a sink', async (t) => {
  const dir = retained(t, [texts('a', 'b')]);
  const { forebay } = await startForebay(t, { logDir: dir });
  await forebay.pause({ by: 'ann' });
  await forebay.stop();
  const flags = ['--from', '2025-01-01', '--yes', '--sink', 'file', '--sink-file', join(tempDir(t), 'sink')];
  const ran = await tool(dir, ...flags);
  t.match(ran.err, /Delivery is paused since \S+ by ann: start the server and resume delivery first/);
  t.not(ran.code, 0);
  t.same(
    readdirSync(dir).filter((name) => name.startsWith('batch_')),
    [],
  );
});
