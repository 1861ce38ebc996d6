import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { createForebay } from '../lib/index.js';
import { SinkError } from '../lib/sinks/sink-error.js';
import { openHttpServer } from './helpers/http-door.js';
import { tempDir } from './helpers/temp-dir.js';

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

async function tool(dir: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['bin/dead-letters.js', ...args, '--log-dir', dir], (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
    });
  });
}

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
  const log = await new Promise<string>((resolve) => {
    execFile(process.execPath, ['bin/log.js', 'ls', '--log-dir', dir], (_error, out) => {
      resolve(out);
    });
  });
  t.match(log, /2 files of dead letters: see node bin\/dead-letters.js ls/);
  t.match((await tool(tempDir(t), 'ls')).out, /^0 dead letters in 0 files/);
});

void t.test('drop asks for --yes, and leaves what is not meant', async (t) => {
  const { dir, folder } = filled(t);
  t.match(await tool(dir, 'drop'), { code: 2, err: /--yes/ });
  t.same(idsIn(folder), ['a', 'b', 'c']);
  t.match(await tool(dir, 'drop', '--reason', 'too old', '--yes'), { code: 0, out: '2 events dropped\n' });
  t.same(idsIn(folder), ['b']);
  t.match(await tool(dir, 'drop', '--yes'), { code: 0, out: '1 event dropped\n' });
  t.same(readdirSync(folder), []);
});

void t.test('what cannot be read is neither dropped nor lost', async (t) => {
  const { dir, folder } = filled(t);
  writeFileSync(join(folder, name(1)), `${letter(name(1), 0, 'a', 'too old')}{"half`);
  t.match(await tool(dir, 'ls'), { code: 1, out: /1 line of them cannot be read/ });
  t.match(await tool(dir, 'drop', '--yes'), {
    code: 1,
    out: '1 event dropped\n',
    err: /holds lines that are no dead/,
  });
  t.match(readFileSync(join(folder, name(1)), 'utf8'), '{"half');
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
  while (forebay.counts().deadLettered === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  isPicky = false;
  const { code, out } = await tool(dir, 'redrive', '--url', `http://127.0.0.1:${port}/events`);
  t.equal(code, 0);
  t.match(out, '1 event sent again');
  while (forebay.counts().pending > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.ok(taken.includes(bad), 'as the client sent it');
  t.same(readdirSync(join(dir, 'dead-letters')), []);
  t.match(forebay.counts(), { accepted: 3, delivered: 2, deadLettered: 1 });
});

void t.test('a letter leaves its file only when the server has it', async (t) => {
  const { dir, folder } = filled(t);
  let status = 400;
  const bodies: string[] = [];
  const server = createServer((req, res) => {
    let body = '';
    req.on('data', (piece: Buffer) => (body += piece.toString()));
    req.on('end', () => {
      bodies.push(body);
      res.writeHead(status, { 'Retry-After': '0' }).end('because');
      if (status === 429) status = 202;
      else if (status === 202) status = 500;
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
  t.match(await tool(dir, 'redrive', '--url', url), { code: 1, err: /answered 400: because/ });
  t.same(idsIn(folder), ['a', 'b', 'c']);
  status = 429; // then 202 for the first file, then 500
  t.match(await tool(dir, 'redrive', '--url', url), { code: 1, out: /^2 events sent/, err: /answered 500/ });
  t.same(idsIn(folder), ['c']);
  t.match(bodies[1], /^\{"id":"a","type":"t","data":1.0,"timestamp":1\}\n\{"id":"b"/);
  status = 202;
  t.match(await tool(dir, 'redrive', '--url', url), { code: 0, out: /^1 event sent/ });
  t.same(readdirSync(folder), []);
  t.match(await tool(filled(t).dir, 'redrive', '--url', 'http://127.0.0.1:1/events'), {
    code: 1,
    err: /does a server run there/,
  });
});

void t.test('a command line that cannot be says why', async (t) => {
  const dir = tempDir(t);
  t.match(await tool(dir), { code: 2, err: /Say what to do: one of ls, show, redrive, drop/ });
  t.match(await tool(dir, 'list'), { code: 2, err: /Unknown command list/ });
  t.match(await tool(dir, 'show', '--yes'), { code: 2, err: /--yes goes with drop/ });
  t.match(await tool(dir, 'ls', '--url', 'x'), { code: 2, err: /--url must be a URL/ });
  t.match(await tool(dir, '--help'), { code: 0, out: /redrive \[FILE/ });
  t.notOk(existsSync(join(dir, 'dead-letters')), 'nothing is made');
});
