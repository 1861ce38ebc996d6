import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { createForebay } from '../../lib/index.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { VERSION } from '../../lib/base/version.js';
import { DEAD_LETTERS_TOOL } from '../../tools/dead-letters/tool.js';
import { frontDoor } from '../helpers/front-door.js';
import { openHttpServer } from '../helpers/http-door.js';
import { tempDir } from '../helpers/temp-dir.js';
import { NO_TERMINAL } from '../helpers/terminal.js';
import { runHere, runProcess } from '../helpers/tool-run.js';
import type { Ran } from '../helpers/tool-run.js';
import { until } from '../helpers/wait-for.js';

const letter = (batch: string, index: number, id: string, reason: string): string =>
  `{"batch":"${batch}","index":${index},"reason":"${reason}","status":422,"attempts":1,"time":"2025-01-01T00:00:0${index}.000Z",` +
  `"event":{"id":"${id}","type":"t","data":1.0,"timestamp":1}}\n`;
const name = (n: number): string => `batch_20250101_000000_${n}.jsonl`;

/** A log directory with dead letters of two batches. */
function filled(t: Test): { dir: string; folder: string } {
  const dir = tempDir(t);
  const folder = join(dir, 'dead-letters');
  mkdirSync(folder);
  writeFileSync(
    join(folder, name(1)),
    letter(name(1), 0, 'a', 'too old') + letter(name(1), 3, 'b', 'too new'),
  );
  writeFileSync(join(folder, name(2)), letter(name(2), 1, 'c', 'too old'));
  return { dir, folder };
}

const tool = (dir: string, ...args: string[]): Promise<Ran> =>
  runHere(DEAD_LETTERS_TOOL, [...args, '--log-dir', dir]);
const program = (dir: string, ...args: string[]): Promise<Ran> =>
  runProcess(process.execPath, ['bin/dead-letters.js', ...args, '--log-dir', dir]);

function idsIn(folder: string): string[] {
  const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  return texts
    .flatMap((text) => [...text.matchAll(/"event":\{"id":"(\w+)"/g)].map((match) => match[1] ?? ''))
    .toSorted();
}

void t.test('ls counts by reason, show prints the lines as they stand', async (t) => {
  const { dir, folder } = filled(t);
  const listed = await tool(dir, 'ls');
  t.equal(listed.code, 0);
  t.match(
    listed.out,
    /^ +2 .*00:00:00.000Z to .*00:00:01.000Z  422 too old\n +1 .* 422 too new\n3 dead letters in 2 files/,
  );
  const json = (await tool(dir, 'ls', '--json')).out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  t.match(json, [
    { reason: 'too old', status: 422, letters: 2 },
    { reason: 'too new', letters: 1 },
  ]);
  t.equal((await tool(dir, 'show', name(2))).out, readFileSync(join(folder, name(2)), 'utf8'));
  t.equal((await tool(dir, 'show', '--reason', 'new')).out, letter(name(1), 3, 'b', 'too new'));
  const log = await runProcess(process.execPath, ['bin/log.js', 'ls', '--log-dir', dir]);
  t.match(log.out, /2 files of dead letters: see node bin\/dead-letters.js ls\n/);
  const installed = join(tempDir(t), 'forebay-log');
  symlinkSync(resolve('bin/log.js'), installed);
  const { out } = await runProcess(process.execPath, [installed, 'ls', '--log-dir', dir]);
  t.match(out, /2 files of dead letters: see forebay-dead-letters ls\n/, 'as it is called');
  t.match((await tool(tempDir(t), 'ls')).out, /^0 dead letters in 0 files/);
});

void t.test('the program is the tool: its arguments, output and exit code', async (t) => {
  const { dir, folder } = filled(t);
  t.match(await program(dir, '-h'), { code: 0, out: /node bin\/dead-letters\.js redrive \[FILE/, err: /^$/ });
  for (const args of [['ls', '--json'], ['show', '--reason', 'none'], ['list']]) {
    const { code, out, err } = await program(dir, ...args);
    t.same({ code, out, err }, await tool(dir, ...args), args.join(' '));
  }
  t.match(await program(dir, 'drop', name(1), '--yes'), { code: 0, out: '2 events dropped\n', err: /^$/ });
  t.same(readdirSync(folder).toSorted(), ['.lock', name(2)]);
});

void t.test('drop asks for --yes, and leaves what is not meant', async (t) => {
  const { dir, folder } = filled(t);
  t.match(await tool(dir, 'drop'), { code: 78, err: /--yes/ });
  t.same(idsIn(folder), ['a', 'b', 'c']);
  t.match(await tool(dir, 'drop', '--reason', 'too old', '--yes'), { code: 0, out: '2 events dropped\n' });
  t.same(idsIn(folder), ['b']);
  t.match(await tool(dir, 'drop', '--yes'), { code: 0, out: '1 event dropped\n' });
  t.same(readdirSync(folder), ['.lock']);
  t.match((await tool(dir, 'ls')).out, /^0 dead letters in 0 files/);
});

void t.test('where nothing matches it is said, with the reasons that there are', async (t) => {
  const { dir, folder } = filled(t);
  const text =
    /^forebay-dead-letters: No dead letter in .* matches --reason "too 0ld"; there are: too old \(2\), too new \(1\)\n$/;
  const nowhere = ['--url', 'http://127.0.0.1:1/events'];
  for (const args of [['show'], ['redrive', ...nowhere], ['drop', '--yes']])
    t.match(await tool(dir, ...args, '--reason', 'too 0ld'), { code: 1, out: /^$/, err: text });
  t.same(readdirSync(folder).toSorted(), ['.lock', name(1), name(2)]);
  const evil = String.raw`\u001b[2J`;
  writeFileSync(
    join(folder, name(3)),
    letter(name(3), 0, 'd', evil) + letter(name(3), 1, 'e', 'x'.repeat(1000)),
  );
  const { err } = await tool(dir, 'show', '--reason', 'none');
  t.match(
    err,
    /there are: too old \(2\), too new \(1\), \\u001b\[2J \(1\), 1 other reason \(ls names them\)\n$/,
  );
  const other = await tool(dir, 'drop', name(3), '--reason', 'too old', '--yes');
  t.match(other, { code: 1, out: /^$/, err: /there are: \\u001b\[2J \(1\), x{100}… \(1\)\n$/ });
  for (const args of [['show'], ['redrive', ...nowhere], ['drop', '--yes']]) {
    const empty = await tool(tempDir(t), ...args);
    t.match(empty, { code: 0 }, 'all were meant, and there are none');
    t.match(empty.out + empty.err, /No dead letters in .*: nothing to do\n$/);
    const reason = await tool(tempDir(t), ...args, '--reason', 'x');
    t.match(reason, { code: 1, out: /^$/, err: /matches --reason "x"; there are none\n$/ });
  }
  for (const file of readdirSync(folder)) rmSync(join(folder, file));
  writeFileSync(join(folder, name(1)), 'no letter\n');
  t.match(await tool(dir, 'drop', '--yes'), { code: 1, out: /^$/, err: /_1\.jsonl: line 1 cannot be read/ });
  t.notOk(existsSync(join(dir, 'operations.jsonl')), 'nothing was done');
});

void t.test('what cannot be read is neither dropped nor lost', async (t) => {
  const { dir, folder } = filled(t);
  writeFileSync(join(folder, name(1)), `${letter(name(1), 0, 'a', 'too old')}{"half`);
  writeFileSync(join(folder, name(4)), 'no letter\n'.repeat(25));
  const unread =
    /^forebay-dead-letters: .*_1\.jsonl: line 2 cannot be read, or is being written\n.*_4\.jsonl: lines 1, 2, (\d+, ){8}and 15 more cannot be read, or are being written\n/;
  t.match(await tool(dir, 'ls'), { code: 1, out: /\n2 dead letters in 3 files/, err: unread });
  t.match(await tool(dir, 'ls', '--json'), { code: 1, out: /"letters":2/, err: unread });
  t.match(await tool(dir, 'show'), { code: 1, out: /"id":"a".*\n.*"id":"c"/, err: unread });
  const { url, bodies } = await frontDoor(t, (res) => res.writeHead(202).end());
  const redriven = await tool(dir, 'redrive', '--url', url, '--reason', 'too old');
  t.match(redriven, { code: 1, out: /^2 events sent again/, err: unread }, 'all that can be read are sent');
  t.equal(bodies.length, 2);
  t.same(readdirSync(folder).toSorted(), ['.lock', `${name(1)}.taken`, name(4)]);
  t.equal(readFileSync(join(folder, `${name(1)}.taken`), 'utf8'), '{"half', 'byte for byte');
  const damage = `not\u0000\ufeff JSON\n${letter(name(3), 1, 'd', 'too old')}{"torn`;
  writeFileSync(join(folder, name(3)), letter(name(3), 0, 'e', 'too old') + damage);
  t.match(await tool(dir, 'drop', '--yes'), {
    code: 1,
    out: '2 events dropped\n',
    err: /_3\.jsonl: lines 2, 4 cannot be read/,
  });
  t.equal(readFileSync(join(folder, `${name(3)}.taken`), 'utf8'), 'not\u0000\ufeff JSON\n{"torn');
  t.match(await tool(dir, 'show', 'no-such-file'), { code: 2, err: /There is no file no-such-file/ });
});

void t.test('redrive sends them to the server they came from, which takes them now', async (t) => {
  const dir = tempDir(t);
  const taken: string[] = [];
  let isPicky = true;
  const sink = {
    async deliver({ bytes }: { bytes: Buffer }) {
      const text = bytes.toString();
      if (isPicky && text.includes('bad'))
        throw new SinkError('no bad ones', { status: 400, refused: 'all' });
      taken.push(...text.split('\n').slice(0, -1));
    },
  };
  const forebay = createForebay({ sink, logDir: dir, batchWaitMs: 20 });
  t.teardown(() => forebay.stop(0));
  await forebay.start();
  const { port } = await openHttpServer(t, forebay);
  const bad = '{"id":"bad","type":"t","data":1.0,"timestamp":1}';
  await Promise.all([forebay.write(bad), forebay.write({ id: 'good', type: 't', data: 1 })]);
  await until(() => forebay.counts().deadLettered > 0, 'the sink has refused one');
  isPicky = false;
  const { code, out } = await tool(dir, 'redrive', '--url', `http://127.0.0.1:${port}/events`);
  t.equal(code, 0);
  t.match(out, '1 event sent again');
  await until(() => forebay.counts().pending === 0, 'it is delivered');
  t.ok(taken.includes(bad), 'as the client sent it');
  t.same(readdirSync(join(dir, 'dead-letters')), ['.lock']);
  t.match(forebay.counts(), { accepted: 3, delivered: 2, deadLettered: 1 });
});

void t.test(
  'a letter whose id is in the window is stored and delivered again, also after a restart',
  async (t) => {
    const dir = tempDir(t);
    const taken: string[] = [];
    let isPicky = true;
    const sink = {
      async deliver({ bytes }: { bytes: Buffer }) {
        const lines = bytes.toString().split('\n').slice(0, -1);
        if (isPicky) throw new SinkError(`no ${lines.join()}`, { status: 400, refused: 'all' });
        taken.push(...lines);
      },
    };
    const run = async () => {
      const forebay = createForebay({ sink, logDir: dir, batchWaitMs: 10, idWindowMs: 3_600_000 });
      t.teardown(() => forebay.stop(0));
      await forebay.start();
      const { port } = await openHttpServer(t, forebay);
      return { forebay, url: `http://127.0.0.1:${port}/events` };
    };
    const event = (id: string): string => `{"id":"${id}","type":"t","data":1.0,"timestamp":1}`;
    const first = await run();
    for (const [index, id] of ['a', 'b'].entries()) {
      t.same(await first.forebay.write(event(id)), { duplicate: false });
      await until(() => first.forebay.counts().deadLettered === index + 1, 'the sink has refused it');
      t.same(await first.forebay.write(event(id)), { duplicate: true }, 'a client that sends it again');
    }
    isPicky = false;
    const redrive = (url: string, id: string): Promise<Ran> =>
      tool(dir, 'redrive', '--url', url, '--reason', `"${id}"`);
    t.match(await redrive(first.url, 'a'), { code: 0, out: /^1 event sent again/ });
    await until(() => first.forebay.counts().pending === 0, 'it is delivered');
    t.same(taken, [event('a')]);
    await first.forebay.stop();
    const second = await run();
    t.same(await second.forebay.write(event('b')), { duplicate: true }, 'the window outlives the restart');
    t.match(await redrive(second.url, 'b'), { code: 0, out: /^1 event sent again/ });
    await until(() => second.forebay.counts().pending === 0, 'it is delivered');
    t.same(taken, [event('a'), event('b')]);
    t.same(readdirSync(join(dir, 'dead-letters')), ['.lock']);
  },
);

void t.test('after Ctrl-C the request under way is answered, and no other is sent', async (t) => {
  const { dir, folder } = filled(t);
  let isFull = false;
  const interrupt = new AbortController();
  const { signal } = interrupt;
  const { url, bodies } = await frontDoor(t, (res) => {
    interrupt.abort();
    res.writeHead(isFull ? 429 : 202, { 'Retry-After': '60' }).end();
  });
  const argv = ['redrive', '--url', url, '--log-dir', dir];
  t.match(await runHere(DEAD_LETTERS_TOOL, argv, { signal }), {
    code: 130,
    out: /^2 events sent again to http[^\n]+, and taken there\n$/,
    err: /^forebay-dead-letters: interrupted\n.*what was not taken stays in .*dead-letters\n$/,
  });
  t.same(idsIn(folder), ['c']);
  isFull = true;
  const second = new AbortController();
  const waiting = runHere(DEAD_LETTERS_TOOL, argv, { signal: second.signal });
  await until(() => bodies.length === 2, 'it waits for a full server');
  second.abort();
  t.match(await waiting, { code: 130, out: '', err: /interrupted\n/ });
  t.same(idsIn(folder), ['c']);
});

void t.test('a letter leaves its file only when the server has it', async (t) => {
  const { dir, folder } = filled(t);
  let statuses: number[] = [500, 500];
  const { url, bodies } = await frontDoor(t, (res) => {
    res.writeHead(statuses.shift() ?? 202, { 'Retry-After': '0' }).end('because');
  });
  t.match(await tool(dir, 'redrive', '--url', url), {
    code: 1,
    out: /^$/,
    err: /answered 500: because\n.*answered 500: because\n.*what was not taken stays in .*dead-letters\n$/,
  });
  t.same(idsIn(folder), ['a', 'b', 'c']);
  statuses = [429, 503, 202, 500];
  t.match(await tool(dir, 'redrive', '--url', url), { code: 1, out: /^2 events sent/, err: /answered 500/ });
  t.same(idsIn(folder), ['c']);
  t.match(bodies[2], /^\{"id":"a","type":"t","data":1.0,"timestamp":1\}\n\{"id":"b"[^\n]+\n$/);
  t.same([bodies[3], bodies[4]], [bodies[2], bodies[2]], 'a server that is full is asked again');
  t.match(await tool(dir, 'redrive', '--url', url), { code: 0, out: /^1 event sent/, err: /^$/ });
  t.same(readdirSync(folder), ['.lock']);
  t.match(await tool(dir, 'redrive', '--url', url), {
    code: 0,
    out: /^No dead letters in .*: nothing to do\n$/,
  });
  t.equal(bodies.length, 7, 'nothing is left to send');
});

void t.test('an answer before the server has the whole request is none', async (t) => {
  const { dir, folder } = filled(t);
  rmSync(join(folder, name(2)));
  // more than the buffers of the system hold, so the rest cannot be out
  const large = letter(name(1), 0, 'large', 'too old').replace('"data":1.0', `"data":"${'x'.repeat(16e6)}"`);
  writeFileSync(join(folder, name(1)), large);
  let answers = 0;
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.pause();
      answers++;
      socket.write('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n');
      setTimeout(() => socket.resetAndDestroy(), 300);
    });
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
  t.match(await tool(dir, 'redrive', '--url', url), {
    code: 1,
    out: /^$/,
    err: /does not answer \(.*(closed before the whole body|ECONNRESET|EPIPE).*\n.*what was not taken stays/,
  });
  t.equal(answers, 1);
  t.equal(readFileSync(join(folder, `${name(1)}.taken`), 'utf8'), large, 'nothing is deleted');
});

void t.test('a server that says until when, by its own clock, is left alone until then', async (t) => {
  const { dir } = filled(t);
  const times: number[] = [];
  const { url } = await frontDoor(t, (res) => {
    times.push(performance.now());
    const ofServer = (aheadMs: number): string => new Date(aheadMs).toUTCString(); // in 1970
    if (times.length > 1) res.writeHead(202).end();
    else res.writeHead(503, { 'Retry-After': ofServer(12_000), Date: ofServer(10_000) }).end();
  });
  t.match(await tool(dir, 'redrive', '--url', url), { code: 0 });
  t.ok((times[1] ?? 0) - (times[0] ?? 0) >= 1990);
});

void t.test('what a server says before its answer, unasked, is taken', async (t) => {
  const { dir } = filled(t);
  const { url } = await frontDoor(t, (res) => {
    res.writeContinue();
    res.writeProcessing();
    res.writeHead(202).end();
  });
  t.match(await tool(dir, 'redrive', '--url', url), { code: 0, err: /^$/ });
});

void t.test('a file that is not taken keeps no other from being sent', async (t) => {
  const { dir, folder } = filled(t);
  writeFileSync(join(folder, name(3)), `no letter\n${letter(name(3), 0, 'd', 'too old')}`);
  writeFileSync(join(folder, name(10)), letter(name(10), 0, 'e', 'too old'));
  const { url, bodies } = await frontDoor(t, (res, body) => {
    if (body.includes('"a"')) res.writeHead(403).end(`\u001b[2Jno\n${'x'.repeat(1000)}`);
    else res.writeHead(202).end();
  });
  const secret = url.replace('//', '//user:s3cret@').concat('?key=s3cret');
  const { code, out, err } = await tool(dir, 'redrive', '--url', secret);
  t.equal(code, 1);
  t.match(out, /^3 events sent again/);
  const lines = err.trimEnd().split('\n');
  t.equal(lines.length, 3);
  t.match(lines[0], /_3\.jsonl: line 1 cannot be read/);
  t.match(
    lines[1],
    /^forebay-dead-letters: http:\/\/127\.0\.0\.1:\d+\/events answered 403: \\u001b\[2Jno\\u000ax{293}$/,
  );
  t.notMatch(out + err, /s3cret/);
  t.same(idsIn(folder), ['a', 'b']);
  t.same(
    bodies.map((body) => /"id":"(\w)"/.exec(body)?.[1]),
    ['a', 'c', 'd', 'e'],
    'the oldest batch first',
  );
});

void t.test('a letter that the door refuses keeps none of its file from being sent', async (t) => {
  const { dir, folder } = filled(t);
  const ids = Array.from({ length: 40 }, (_each, index) => `n${index}`);
  const bad = new Map([
    ['n3', 400],
    ['n17', 413],
    ['n39', 400],
  ]);
  const letters = ids.map((id, index) => letter(name(1), index % 10, id, 'too old'));
  writeFileSync(join(folder, name(1)), letters.join(''));
  const taken: string[] = [];
  const { url, bodies } = await frontDoor(t, (res, body) => {
    const sent = [...body.matchAll(/"id":"(\w+)"/g)].map((match) => match[1] ?? '');
    const status = sent.map((id) => bad.get(id)).find((each) => each !== undefined) ?? 202;
    if (status === 202) taken.push(...sent);
    res.writeHead(status).end(`\u001b[2Jbecause ${status}`);
  });
  const redriven = await tool(dir, 'redrive', '--url', url);
  t.match(redriven, {
    code: 1,
    out: /^38 events sent again/,
    err: /^.*_1\.jsonl\.taken, lines 1, 3: .*\/events answered 400: \\u001b\[2Jbecause 400\n.*\.taken, line 2: .*answered 413: .*because 413\n.*what was not taken stays in .*\n$/,
  });
  t.same(taken, [...ids.filter((id) => !bad.has(id)), 'c'], 'each once, in order');
  t.same(idsIn(folder), [...bad.keys()].toSorted());
  t.ok(bodies.length < 2 * ids.length, `${bodies.length} requests`);
  bodies.length = 0;
  t.match(await tool(dir, 'redrive', '--url', url), { code: 1, out: /^$/, err: /lines 1, 3: / });
  t.ok(bodies.length <= 5);
  bad.clear();
  t.match(await tool(dir, 'redrive', '--url', url), { code: 0, out: /^3 events sent again/, err: /^$/ });
});

void t.test('a door that refuses every letter with other words is quoted a few times', async (t) => {
  const { dir, folder } = filled(t);
  const letters = Array.from({ length: 30 }, (_each, index) => letter(name(1), index % 10, `n${index}`, 'x'));
  writeFileSync(join(folder, name(1)), letters.join(''));
  rmSync(join(folder, name(2)));
  const { url, bodies } = await frontDoor(t, (res) => res.writeHead(400).end(`because ${bodies.length}`));
  const { code, out, err } = await tool(dir, 'redrive', '--url', url);
  t.equal(bodies.length, 2 * 30 - 1);
  t.match({ code, out }, { code: 1, out: /^$/ });
  const lines = err.trimEnd().split('\n');
  t.equal(lines.length, 7);
  t.match(lines[4], /_1\.jsonl\.taken, line 5: /);
  t.match(lines[5], /_1\.jsonl\.taken: 25 other lines got other answers$/);
  t.equal(readFileSync(join(folder, `${name(1)}.taken`), 'utf8'), letters.join(''), 'as it stood');
});

void t.test('a copy that somebody made is no file of dead letters', async (t) => {
  const { dir, folder } = filled(t);
  const ours = [`${name(1)}.2`, `${name(1)}.2.taken`, `${name(1)}.2.3.taken`];
  for (const [index, file] of ours.entries())
    writeFileSync(join(folder, file), letter(name(1), index, `o${index}`, 'x'));
  const others = ['.bak', '.2.bak', '.taken.bak', '~', '.orig', '.gz', '.2x', '.taken.2', '.new'].map(
    (end) => name(1) + end,
  );
  for (const file of others) writeFileSync(join(folder, file), letter(name(1), 7, 'copy', 'too old'));
  t.match(await tool(dir, 'ls'), { code: 0, out: /\n6 dead letters in 5 files/ });
  t.match(await tool(dir, 'show'), { code: 0, out: /^(?!.*copy)/s });
  t.match(await tool(dir, 'drop', others[0] ?? '', '--yes'), { code: 2, err: /There is no file/ });
  const { url, bodies } = await frontDoor(t, (res) => res.writeHead(202).end());
  t.match(await tool(dir, 'redrive', '--url', url), { code: 0, out: /^6 events sent again/ });
  t.notMatch(bodies.join(''), /copy/);
  // what a killed run was writing goes with its file
  t.same(readdirSync(folder).toSorted(), ['.lock', ...others].toSorted());
});

void t.test('where nothing answers no other file is tried, and what failed before is said too', async (t) => {
  const { dir, folder } = filled(t);
  writeFileSync(join(folder, name(3)), letter(name(3), 0, 'd', 'too old'));
  const { url, bodies } = await frontDoor(t, (res) => {
    if (bodies.length === 1) res.writeHead(500).end('because');
    else res.destroy();
  });
  t.match(await tool(dir, 'redrive', '--url', url), {
    code: 1,
    out: /^$/,
    err: /answered 500: because\n.*\/events does not answer .*does a server run there\?\n.*stays in/,
  });
  t.equal(bodies.length, 2);
  t.same(idsIn(folder), ['a', 'b', 'c', 'd']);
  t.match(await tool(dir, 'redrive', '--url', 'http://user:s3cret@127.0.0.1:1/events'), {
    code: 1,
    out: /^$/,
    err: /^forebay-dead-letters: http:\/\/127\.0\.0\.1:1\/events does not answer .*ECONNREFUSED/,
  });
});

void t.test('what is too large for the server in one request is sent in halves', async (t) => {
  const { dir, folder } = filled(t);
  const letters = ['a', 'b', 'c', 'large', 'e'].map((id, index) => letter(name(1), index, id, 'too old'));
  writeFileSync(join(folder, name(1)), letters.join(''));
  rmSync(join(folder, name(2)));
  const taken: string[] = [];
  const { url } = await frontDoor(t, (res, body) => {
    const ids = [...body.matchAll(/"id":"(\w+)"/g)].map((match) => match[1] ?? '');
    const isTooLarge = ids.length > 2 || ids.includes('large');
    if (!isTooLarge) taken.push(...ids);
    res.writeHead(isTooLarge ? 413 : 202).end('too large');
  });
  t.match(await tool(dir, 'redrive', '--url', url), {
    code: 1,
    out: /^4 events sent/,
    err: /_1\.jsonl\.taken, line 1: .* answered 413: too large/,
  });
  t.same(taken, ['a', 'b', 'c', 'e'], 'each once, in order');
  t.same(idsIn(folder), ['large']);
});

void t.test(
  'a batch that is being delivered keeps its dead letters: the server may write them anew',
  async (t) => {
    const { dir, folder } = filled(t);
    writeFileSync(join(dir, name(1)), 'its events\n');
    writeFileSync(join(folder, `${name(1)}.taken`), letter(name(1), 5, 'd', 'too old'));
    const before = readFileSync(join(folder, name(1)), 'utf8');
    const { url, bodies } = await frontDoor(t, (res) => res.writeHead(202).end());
    const twice = /_1\.jsonl is left alone: the batch is still being .*\n.*_1\.jsonl\.taken is left alone/;
    t.match(await tool(dir, 'redrive', '--url', url), { code: 1, out: /^1 event sent/, err: twice });
    t.equal(bodies.length, 1);
    t.match(await tool(dir, 'drop', '--yes'), { code: 1, out: '0 events dropped\n', err: twice });
    t.same(readdirSync(folder).toSorted(), ['.lock', name(1), `${name(1)}.taken`]);
    t.equal(readFileSync(join(folder, name(1)), 'utf8'), before);
    rmSync(join(dir, name(1)));
    t.match(await tool(dir, 'drop', '--yes'), { code: 0, out: '3 events dropped\n' });
  },
);

void t.test(
  'one tool at a time changes the files, and one that is killed leaves them to the next',
  async (t) => {
    const { dir, folder } = filled(t);
    let isHeld = true;
    let came: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => (came = resolve));
    const { url } = await frontDoor(t, (res) => {
      if (isHeld) came();
      else res.writeHead(202).end();
    });
    const args = ['bin/dead-letters.js', 'redrive', '--url', url, '--log-dir', dir];
    const first = spawn(process.execPath, args, { stdio: 'ignore' });
    await arrived;
    for (const command of [
      ['redrive', '--url', url],
      ['drop', '--yes'],
    ]) {
      t.match(await tool(dir, ...command), {
        code: 2,
        out: /^$/,
        err: /Another run of this tool changes .*dead-letters\n$/,
      });
    }
    t.match(await tool(dir, 'ls'), { code: 0, out: /3 dead letters in 2 files/ });
    t.same(idsIn(folder), ['a', 'b', 'c']);
    const exited = once(first, 'exit');
    first.kill('SIGKILL');
    await exited;
    isHeld = false;
    t.match(await tool(dir, 'redrive', '--url', url), { code: 0, out: /^3 events sent/ });
    t.same(readdirSync(folder), ['.lock'], 'which stays: another may hold it');
  },
);

void t.test(
  'what a tool was writing when it was killed is no file of letters, and goes with the next run',
  async (t) => {
    const { dir, folder } = filled(t);
    const taken = `${name(1)}.taken`;
    renameSync(join(folder, name(1)), join(folder, taken));
    const leftover = join(folder, `${taken}.new`);
    writeFileSync(leftover, letter(name(1), 9, 'x', 'too new').repeat(5));
    t.match(await tool(dir, 'ls'), { code: 0, out: /\n3 dead letters in 2 files/ });
    t.match(await tool(dir, 'drop', '--reason', 'too old', '--yes'), { code: 0, out: '2 events dropped\n' });
    t.same(readdirSync(folder).toSorted(), ['.lock', taken]);
    t.equal(readFileSync(join(folder, taken), 'utf8'), letter(name(1), 3, 'b', 'too new'));
    writeFileSync(leftover, 'half');
    t.match(await tool(dir, 'drop', '--yes'), { code: 0, out: '1 event dropped\n' });
    t.same(readdirSync(folder), ['.lock']);
  },
);

void t.test('what stands in the folder steers no terminal, and what is no letter is said', async (t) => {
  const { dir, folder } = filled(t);
  rmSync(join(folder, name(1)));
  const evil = String.raw`\u001b[2J`;
  const strange = letter(name(2), 1, 'd', 'x').replace('"reason":"x",', '');
  const evilStatus = letter(name(2), 2, 'e', evil).replace('422', `"${evil}"`);
  writeFileSync(join(folder, name(2)), evilStatus + strange);
  writeFileSync(join(folder, 'notes.txt'), 'mine');
  const listed = await tool(dir, 'ls');
  t.equal(listed.code, 1);
  t.match(listed.out, /  \\u001b\[2J \\u001b\[2J\n1 dead letter in 1 file of .*\n$/);
  t.match(listed.err, /_2\.jsonl: line 2 cannot be read/);
  t.match(await tool(dir, 'drop', '--yes'), {
    code: 1,
    out: '1 event dropped\n',
    err: /line 2 cannot be read/,
  });
  t.equal(readFileSync(join(folder, `${name(2)}.taken`), 'utf8'), strange);
  t.equal(readFileSync(join(folder, 'notes.txt'), 'utf8'), 'mine');
});

void t.test('nor does what is printed, where there is one', { skip: NO_TERMINAL }, async (t) => {
  const { dir, folder } = filled(t);
  rmSync(join(folder, name(1)));
  const evil = 'a\u009b2J\u007fb';
  writeFileSync(join(folder, name(2)), letter(name(2), 1, evil, 'x'));
  const show = `${process.execPath} bin/dead-letters.js show --log-dir ${dir}`;
  const { out } = await runProcess('script', ['-qec', show, '/dev/null']);
  t.match(out, String.raw`"id":"a\u009b2J\u007fb"`);
  t.match(JSON.parse(out), { event: { id: evil } }, 'the same JSON');
  t.match(await tool(dir, 'show'), { out: evil }, 'elsewhere it is as it stands');
});

void t.test(
  'files are changed by the user that the server runs as',
  { skip: process.geteuid?.() !== 0 },
  async (t) => {
    const { dir, folder } = filled(t);
    chownSync(folder, 12_345, 12_345);
    for (const args of [['drop', '--yes'], ['redrive']]) {
      t.match(await tool(dir, ...args), {
        code: 2,
        err: `${args[0]} must run as the user that the server runs as, 12345`,
      });
    }
    t.same(readdirSync(folder).toSorted(), [name(1), name(2)]);
    t.match(await tool(dir, 'ls'), { code: 0 });
  },
);

void t.test('a command line that cannot be says why', async (t) => {
  const dir = tempDir(t);
  for (const command of ['ls', 'show', 'redrive']) {
    t.match(await tool(join(dir, 'none'), command), { code: 2, err: /there is no log directory .*none\n$/ });
  }
  t.match(await tool(dir), { code: 78, err: /Say what to do: one of ls, show, redrive, drop/ });
  t.match(await tool(dir, 'list'), { code: 78, err: /Unknown command list/ });
  t.match(await tool(dir, 'show', '--yes'), { code: 78, err: /--yes goes with drop/ });
  t.match(await tool(dir, 'ls', '--url', 'x'), { code: 78, err: /--url must be a URL/ });
  t.match(await tool(dir, '-v'), { code: 0, out: `${VERSION}\n` });
  t.match(await tool(dir, '-h'), { code: 0, out: /redrive \[FILE/ });
  t.match(await tool(dir, '--help'), { code: 0, out: /redrive \[FILE/ });
  t.notOk(existsSync(join(dir, 'dead-letters')), 'nothing is made');
});

void t.test('without names, those of workers are meant as well', async (t) => {
  const { dir } = filled(t);
  const folder = join(dir, 'worker-2/dead-letters');
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(dir, 'worker-1'));
  writeFileSync(join(folder, name(1)), letter(name(1), 0, 'd', 'too old'));
  const shown = await tool(dir, 'show');
  t.equal(shown.code, 0);
  t.same(
    [...shown.out.matchAll(/"id":"(\w)"/g)].map(([, id]) => id),
    ['a', 'b', 'c', 'd'],
  );
  const listed = await tool(dir, 'ls');
  t.match(listed.out, `3 dead letters in 2 files of ${join(dir, 'dead-letters')}`);
  t.match(listed.out, `1 dead letter in 1 file of ${folder}`);
  t.equal((await tool(dir, 'show', name(2))).out.match(/"id"/g)?.length, 1);
  rmSync(join(dir, 'dead-letters'), { recursive: true });
  t.same(await tool(dir, 'drop', '--yes'), { code: 0, out: '1 event dropped\n', err: '' });
  t.same(readdirSync(folder), ['.lock']);
  t.ok(existsSync(join(dir, 'worker-2/operations.jsonl')));
  t.match(await tool(dir, 'drop', '--yes'), { code: 0, out: /nothing to do/ });
});

void t.test('letters are found by time, batch and source, and by all of them together', async (t) => {
  const { dir, folder } = filled(t);
  writeFileSync(
    join(folder, `${name(3)}.1-2`),
    letter(`${name(3)}#1-2`, 5, 'd', 'too old').replace('"data"', '"source":"/shop","data"'),
  );
  const shown = async (...args: string[]): Promise<string[]> =>
    [...(await tool(dir, 'show', ...args)).out.matchAll(/"event":\{"id":"(\w)"/g)].map(([, id = '']) => id);
  t.same(await shown('--from', '2025-01-01T00:00:01Z'), ['b', 'c', 'd'], 'from this moment on');
  t.same(await shown('--to', '2025-01-01T01:00:03+01:00'), ['a', 'c'], 'before this one');
  t.same(await shown('--from', '2025-01-01T00:00:01Z', '--to', '2025-01-01T00:00:03Z'), ['c']);
  t.same(await shown('--from', '1h'), []);
  t.same(await shown('--to', '1h', '--batch', name(1)), ['a', 'b']);
  t.same(await shown('--batch', name(3)), ['d'], 'a file of several batches');
  t.same(await shown('--batch', `${name(3)}#1-2`), ['d'], 'and one of them');
  t.same(await shown('--batch', `${name(3)}#1`), []);
  t.same(await shown('--source', '/shop'), ['d']);
  t.same(await shown('--source', '/shop', '--reason', 'too new'), []);
  t.match(await tool(dir, 'ls', '--from', '2025-01-01T00:00:03Z', '--json'), {
    out: /too new[^\n]*"letters":1[^\n]*\n[^\n]*too old[^\n]*"letters":1[^\n]*\n$/,
  });
  t.match(await tool(dir, 'drop', '--yes', '--to', '2025', '--batch', name(1)), {
    code: 78,
    err: /--to must be a time like/,
  });
  t.match(await tool(dir, 'drop', '--yes', '--to', '2025-01-01', '--batch', name(1)), {
    code: 1,
    err: /matches --to "2025-01-01" --batch "batch_20250101_000000_1.jsonl"; there are: too old \(3\)/,
  });
  t.match(await tool(dir, 'drop', '--yes', '--batch', name(1), '--from', '2025-01-01T00:00:03Z'), {
    out: '1 event dropped\n',
  });
  t.same(idsIn(folder), ['a', 'c', 'd']);
  const [begun] = readFileSync(join(dir, 'operations.jsonl'), 'utf8').split('\n');
  t.match(JSON.parse(begun ?? ''), {
    selection: { reason: null, from: '2025-01-01T00:00:03Z', batch: name(1), names: [] },
  });
});

void t.test('redrive sends the key of a file', async (t) => {
  const { dir } = filled(t);
  const keyFile = join(tempDir(t), 'key');
  const args = ['--key-file', keyFile, '--url', 'http://127.0.0.1:1/events'];
  t.match(await tool(dir, 'redrive', ...args), { code: 78, err: /--key-file .* cannot be read: ENOENT/ });
  writeFileSync(keyFile, 'two words\n');
  t.match(await tool(dir, 'redrive', ...args), { code: 78, err: /must hold a key, and nothing else/ });
  writeFileSync(keyFile, 'fbk_secret\n');
  const keys: (string | undefined)[] = [];
  const server = createHttpServer((req, res) => {
    keys.push(req.headers.authorization);
    req.resume().on('end', () => res.writeHead(202).end('{}'));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
  t.match(await tool(dir, 'redrive', '--key-file', keyFile, '--url', url), { code: 0 });
  t.same(new Set(keys), new Set(['Bearer fbk_secret']));
});
