import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { createLogger } from '../../lib/cli/log-output.js';
import { StdoutSink } from '../../lib/sinks/stdout/stdout-sink.js';
import { batchOfBytes, batchOfLines } from '../helpers/batches.js';
import { NamedPipe } from '../helpers/named-pipe.js';
import { eventText, idsOf, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const never = new AbortController().signal;
const batchFiles = (dir: string): string[] => readdirSync(dir).filter((name) => name.startsWith('batch_'));

async function post(server: ServerProcess, ...texts: readonly string[]): Promise<number> {
  const { statusCode, body } = await request(server.url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: texts.join('\n'),
  });
  await body.dump();
  return statusCode;
}

/** It ends with the test. */
async function startInto(t: Test, stdout: number, ...flags: readonly string[]): Promise<ServerProcess> {
  const server = await ServerProcess.startInto(stdout, ...flags);
  t.teardown(() => server.stop('SIGKILL'));
  return server;
}

/** Events of a kilobyte each: a hundred of them are more than a pipe holds. */
const many = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_each, n) => eventText(`e${from + n}`, 'x'.repeat(1000)));

/** Ids of what is in the log directory, found by a server that delivers it into a file. */
async function leftIn(t: Test, logDir: string): Promise<string[]> {
  const path = join(tempDir(t), 'left.jsonl');
  const server = await ServerProcess.start('--log-dir', logDir, '--sink', 'file', '--sink-file', path);
  await until(() => batchFiles(logDir).length === 0, 'all is delivered');
  t.equal(await server.stop('SIGTERM'), 0);
  return idsOf(readFileSync(path, 'utf8').split('\n').slice(0, -1));
}

t.jobs = 3; // each test has a pipe and a directory of its own, and some only wait

void t.test('events go to standard output and nothing else does, log lines to standard error', async (t) => {
  const pipe = new NamedPipe(t);
  const dir = tempDir(t);
  const server = await startInto(t, pipe.fd, '--log-dir', dir, '--batch-wait', '10');
  const texts = [eventText('a', 1), '{"id":"b","type":"t","data":1.0,"timestamp":1}'];
  t.equal(await post(server, ...texts), 202);
  await server.line(/Deleted batch file/);
  t.same(await pipe.lines(), texts);
  t.equal(await server.stop('SIGTERM'), 0);
  t.match(server.lines.at(-1), /Stopped; 0 events wait on disk/);
  t.same(await pipe.lines(), texts);
});

void t.test(
  'a reader who does not read holds up neither the door nor a stop, and loses nothing',
  async (t) => {
    // closing has half a second after what the stop waits for: where that is too short it is tried again
    for (let left = 20; left > 0; left--) {
      const pipe = new NamedPipe(t);
      pipe.pause();
      const dir = tempDir(t);
      const flags = ['--batch-size', '100', '--file-events', '1', '--shutdown-timeout', '3000'];
      const server = await startInto(t, pipe.fd, '--log-dir', dir, ...flags);
      for (let n = 0; n < 20; n++) t.equal(await post(server, ...many(n * 100, 100)), 202);
      t.ok(batchFiles(dir).length >= 20, 'none of it is confirmed');
      const code = await server.stop('SIGTERM');
      if (server.wasLate && left > 1) continue;
      t.equal(code, 0);
      t.match(server.lines.at(-1), /Stopped; 2000 events wait on disk/);
      t.same(
        await leftIn(t, dir),
        Array.from({ length: 2000 }, (_each, n) => `e${n}`),
      );
      break;
    }
  },
);

void t.test('a slow reader gets everything, in order', async (t) => {
  const pipe = new NamedPipe(t);
  const dir = tempDir(t);
  const server = await startInto(t, pipe.fd, '--log-dir', dir, '--file-events', '1');
  pipe.pause();
  for (let n = 0; n < 5; n++) t.equal(await post(server, ...many(n * 100, 100)), 202);
  t.equal(batchFiles(dir).length, 5);
  pipe.read();
  await until(() => batchFiles(dir).length === 0, 'all is delivered');
  t.same(await pipe.lines(), many(0, 500));
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('with no reader the server lives on, says so, and the events wait on disk', async (t) => {
  const pipe = new NamedPipe(t);
  const dir = tempDir(t);
  const server = await startInto(t, pipe.fd, '--log-dir', dir, '--batch-wait', '10');
  t.equal(await post(server, eventText('before')), 202);
  await server.line(/Deleted batch file/);
  pipe.leave();
  t.equal(await post(server, eventText('a')), 202);
  await server.line(/Delivery failed: batch_\S+, attempt 1: EPIPE/);
  await server.line(/Delivery failed: batch_\S+, attempt 2: nobody reads standard output/);
  t.equal(await post(server, eventText('b')), 202);
  pipe.read();
  await until(() => batchFiles(dir).length === 0, 'who comes to read it gets it');
  t.same(
    await pipe.lines(),
    ['before', 'a', 'b'].map((id) => eventText(id)),
    'with no line before or between',
  );
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('so it is with an anonymous pipe and with a socket, which no one can open again', async (t) => {
  const flags = ['--sink', 'stdout', '--port', '0', '--batch-wait', '10'];
  const command = `${process.execPath} bin/server.js "$@" | head -n 1`;
  for (const way of ['pipe', 'socket']) {
    const dir = tempDir(t);
    const all = [...flags, '--log-dir', dir];
    const child =
      way === 'pipe'
        ? spawn('sh', ['-c', `${command}; wait`, 'sh', ...all], { stdio: ['ignore', 'pipe', 'pipe'] })
        : spawn(process.execPath, ['bin/server.js', ...all], { stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => child.kill('SIGKILL'));
    let [out, log] = ['', ''];
    child.stdout.on('data', (text: Buffer) => {
      out += text.toString();
      if (way === 'socket') child.stdout.destroy();
    });
    child.stderr.on('data', (text: Buffer) => {
      log += text.toString();
    });
    await until(() => /started on port \d+/.test(log), 'it listens');
    const url = `http://127.0.0.1:${/started on port (\d+)/.exec(log)?.[1]}/events`;
    const send = async (id: string): Promise<number> => {
      const headers = { 'content-type': 'application/json' };
      const { statusCode, body } = await request(url, { method: 'POST', headers, body: eventText(id) });
      await body.dump();
      return statusCode;
    };
    t.equal(await send('a'), 202);
    await until(() => out !== '', 'the reader reads, and goes');
    // the pipe may take one more before it knows
    for (let n = 0; !log.includes('attempt 2'); n++) {
      t.equal(await send(`e${n}`), 202);
      await until(() => batchFiles(dir).length === 0 || log.includes('attempt 2'), `${way}: it is told`);
    }
    t.match(log, /attempt 1: (EPIPE|write EPIPE|ECONNRESET|write ECONNRESET)/, way);
    t.equal(await send('last'), 202, `${way}: the door is open`);
    const pid = Number(/process (\d+)/.exec(readFileSync(join(dir, 'forebay.lock'), 'utf8'))?.[1]);
    process.kill(pid, 'SIGTERM');
    await once(child, 'exit');
    t.match(log, /Stopped; (?:1 event waits|2 events wait) on disk/, way);
    t.equal((await leftIn(t, dir)).at(-1), 'last');
  }
});

void t.test('a socket that breaks within a batch keeps its number: no file gets it', async (t) => {
  const dir = tempDir(t);
  const flags = ['--sink', 'stdout', '--port', '0', '--log-dir', dir, '--batch-size', '1000'];
  const child = spawn(process.execPath, ['bin/server.js', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  child.stdout.pause();
  let log = '';
  child.stderr.on('data', (text: Buffer) => {
    log += text.toString();
  });
  await until(() => /started on port \d+/.test(log), 'it listens');
  const { statusCode, body } = await request(
    `http://127.0.0.1:${/started on port (\d+)/.exec(log)?.[1]}/events`,
    {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: many(0, 1000).join('\n'),
    },
  );
  await body.dump();
  t.equal(statusCode, 202);
  await until(() => batchFiles(dir).length === 1 && /Wrote batch/.test(log), 'it is on its way');
  child.stdout.destroy();
  await until(() => log.includes('attempt 2'), 'the attempts fail');
  if (process.platform === 'linux') t.match(readlinkSync(`/proc/${child.pid}/fd/1`), /^socket:/);
  child.kill('SIGTERM');
  await once(child, 'exit');
  t.match(log, /Stopped; 1000 events wait on disk/);
  t.equal((await leftIn(t, dir)).length, 1000);
});

void t.test('behind a batch that was cut off the next begins on a line of its own', async (t) => {
  const pipe = new NamedPipe(t);
  const sink = StdoutSink.open(pipe.fd);
  pipe.pause();
  const texts = many(0, 300);
  const batch = batchOfLines(texts);
  const attempt = sink.deliver(batch, never);
  attempt.catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve)); // the pipe is full, the rest waits
  pipe.leave();
  await t.rejects(attempt, { cause: { code: 'EPIPE' } });
  await t.rejects(sink.deliver(batch, never), { message: 'nobody reads standard output' });
  pipe.read();
  await sink.deliver(batch, never);
  const lines = await pipe.lines();
  t.same(lines.slice(-300), texts, 'it comes again, whole');
  t.not(lines.at(-301), texts[299], 'behind the part that had gone out');
  await sink.close();
});

void t.test('so it is where the pipe was full at first, and the reader left later', async (t) => {
  const pipe = new NamedPipe(t);
  const sink = StdoutSink.open(pipe.fd);
  pipe.pause();
  const full = batchOfLines(['x'.repeat(65_535)]);
  await sink.deliver(full, never);
  const texts = many(0, 1000);
  const batch = batchOfLines(texts);
  const attempt = sink.deliver(batch, never);
  attempt.catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  pipe.leavesAt = 65_536 + 100;
  pipe.read();
  await t.rejects(attempt, { cause: { code: 'EPIPE' } });
  pipe.leavesAt = Infinity;
  pipe.read();
  await sink.deliver(batch, never);
  const lines = await pipe.lines();
  t.same(lines.slice(-1000), texts);
  t.ok(lines.length > 1001, 'behind the part that had gone out');
  await sink.close();
});

void t.test('a write that closing has cut off is not taken for one that succeeded', async (t) => {
  const pipe = new NamedPipe(t);
  const sink = StdoutSink.open(pipe.fd);
  pipe.pause();
  const batch = batchOfBytes(Buffer.alloc(300_000, 'x'), 1);
  const attempt = sink.deliver(batch, never);
  attempt.catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  await sink.close();
  await t.rejects(attempt, { message: /closed|destroyed|ECANCELED/ });
});

void t.test('an attempt at a socket that nobody reads ends when it is aborted', async (t) => {
  const code = `
    import { StdoutSink } from './dist/lib/sinks/stdout/stdout-sink.js';
    const sink = StdoutSink.open();
    const stopping = new AbortController();
    const batch = { name: 'batch_1.jsonl', events: 1, bytes: Buffer.alloc(1_000_000, 'x') };
    const attempts = [sink.deliver(batch, stopping.signal), sink.deliver(batch, stopping.signal)];
    setImmediate(() => stopping.abort(new Error('a test stops')));
    for (const { reason } of await Promise.allSettled(attempts)) console.error(reason.message);
    await sink.close();
    process.exit(0);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  child.stdout.pause();
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    said += text.toString();
  });
  t.same(await once(child, 'exit'), [0, null]);
  child.stdout.destroy();
  t.equal(said, 'a test stops\na test stops\n');
});

void t.test(
  'into a file it appends where the file ends, and flushes; a full disk is a failed attempt',
  async (t) => {
    const path = join(tempDir(t), 'out.jsonl');
    writeFileSync(path, 'before\n');
    const fd = openSync(path, 'a');
    const dir = tempDir(t);
    const server = await startInto(t, fd, '--log-dir', dir, '--batch-wait', '10');
    t.equal(await post(server, eventText('a')), 202);
    await server.line(/Deleted batch file/);
    t.equal(await server.stop('SIGTERM'), 0);
    closeSync(fd);
    t.equal(readFileSync(path, 'utf8'), `before\n${eventText('a')}\n`);
    const full = openSync('/dev/full', 'w');
    const sink = StdoutSink.open(full);
    await t.rejects(sink.deliver(batchOfLines(['{}']), never), {
      cause: { code: 'ENOSPC' },
    });
    await sink.close();
    closeSync(full);
  },
);

void t.test('a descriptor that is not open is told at start', (t) => {
  t.throws(() => StdoutSink.open(9999), {
    code: 'SINK_UNUSABLE',
    message: /^Standard output cannot be used.*EBADF/,
  });
  t.end();
});

void t.test('log lines are in colour where they go to a terminal, whatever standard output is', (t) => {
  const colour = (isTTY: boolean): string => {
    let text = '';
    const write = (line: string): boolean => {
      text += line;
      return true;
    };
    const stream = { isTTY, writableLength: 0, write } as NodeJS.WriteStream;
    createLogger({ logLevel: 'info', logFormat: 'text' }, stream).warn({}, 'hear');
    return text;
  };
  const { NO_COLOR: before } = process.env;
  delete process.env['NO_COLOR'];
  t.teardown(() => {
    if (before !== undefined) process.env['NO_COLOR'] = before;
  });
  t.ok(colour(true).endsWith('\u001b[33mWARN hear\u001b[0m\n'));
  t.match(colour(false), /^\S+ WARN hear\n$/);
  t.end();
});
