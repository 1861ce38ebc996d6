import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { survey } from '../../lib/logs/file/survey.js';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import { DEAD_LETTERS_TOOL } from '../../tools/dead-letters/tool.js';
import { recorded } from '../../tools/log/operations.js';
import type { Operation } from '../../tools/log/operations.js';
import { LOG_TOOL } from '../../tools/log/tool.js';
import { toolFileSystem } from '../../tools/log/tool-file-system.js';
import type { ToolFileSystem } from '../../tools/log/tool-file-system.js';
import { tempDir } from '../helpers/temp-dir.js';
import { runHere, runProcess } from '../helpers/tool-run.js';
import type { Ran } from '../helpers/tool-run.js';

const FILE = 'operations.jsonl';
const EARLIER = 'operations.1.jsonl';
const name = (n: number): string => `batch_20250101_000000_${n}.jsonl`;
const letter = (n: number, id: string, reason: string): string =>
  `{"batch":"${name(n)}","index":0,"reason":"${reason}","status":422,"attempts":1,"time":"2025-01-01T00:00:00.000Z",` +
  `"event":{"id":"${id}","type":"t","data":1,"timestamp":1}}\n`;

/** A log directory with dead letters of two batches. */
function withLetters(t: Test): string {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'dead-letters'));
  writeFileSync(join(dir, 'dead-letters', name(1)), letter(1, 'a', 'too old') + letter(1, 'b', 'too new'));
  writeFileSync(join(dir, 'dead-letters', name(2)), letter(2, 'c', 'too old'));
  return dir;
}

const deadLetters = (...args: string[]): Promise<Ran> => runHere(DEAD_LETTERS_TOOL, args);
const log = (...args: string[]): Promise<Ran> => runHere(LOG_TOOL, args);

const linesOf = (dir: string, file = FILE): Record<string, unknown>[] =>
  readFileSync(join(dir, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** A server to send letters to. */
async function frontDoor(t: Test, status: number | null): Promise<{ port: number; asked: Promise<unknown> }> {
  const server = createServer((req, res) => {
    req.resume();
    if (status !== null) req.on('end', () => res.writeHead(status).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, asked: once(server, 'request') };
}

const DROP: Operation = {
  what: 'drop',
  selection: { reason: null, names: [] },
  url: null,
  counts: { events: 1, files: 1 },
};
const doNothing = async () => ({ counts: { events: 0, files: 0 }, failures: [] });

void t.test('a drop says who drops what, before and after', async (t) => {
  const dir = withLetters(t);
  const args = ['drop', name(1), name(2), '--reason', 'too old', '--yes', '--log-dir', dir];
  const program = ['bin/dead-letters.js', ...args];
  const { code, out, pid } = await runProcess(process.execPath, program, { SUDO_USER: 'ann' });
  t.match({ code, out }, { code: 0, out: '2 events dropped\n' });
  const [begun, ended, ...more] = linesOf(dir);
  t.same(more, []);
  const who = { user: userInfo().username, uid: process.geteuid?.(), sudoUser: 'ann', host: hostname(), pid };
  const about = {
    ...who,
    what: 'drop',
    selection: { reason: 'too old', names: [name(1), name(2)] },
    url: null,
  };
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
  t.match(begun, { ...about, time, state: 'begun', events: 2, files: 2 });
  t.match(ended, { ...about, time, state: 'ended', outcome: 'done', events: 2, files: 2, failures: 0 });
  t.match(begun?.['id'], /^[\da-f-]{36}$/);
  t.equal(ended?.['id'], begun?.['id']);
  t.equal(statSync(join(dir, FILE)).mode & 0o007, 0, 'not for everyone');
  t.match(await deadLetters('drop', '--yes', '--log-dir', dir), { code: 0 });
  t.equal(linesOf(dir).length, 4);
  t.notOk(linesOf(dir)[2]?.['id'] === begun?.['id']);
});

void t.test('a redrive says where to, without what may be secret, and what was not taken', async (t) => {
  const dir = withLetters(t);
  const { port } = await frontDoor(t, 400);
  const url = `http://user:s3cret@127.0.0.1:${port}/events?key=s3cret`;
  t.match(await deadLetters('redrive', '--url', url, '--log-dir', dir), { code: 1 });
  const shown = `http://127.0.0.1:${port}/events`;
  t.match(linesOf(dir), [
    {
      what: 'redrive',
      url: shown,
      state: 'begun',
      events: 3,
      files: 2,
      selection: { reason: null, names: [] },
    },
    { what: 'redrive', url: shown, state: 'ended', outcome: 'incomplete', events: 0, files: 0, failures: 2 },
  ]);
  t.notMatch(readFileSync(join(dir, FILE), 'utf8'), 's3cret');
  const taking = await frontDoor(t, 202);
  const again = ['redrive', '--url', `http://127.0.0.1:${taking.port}/events`, '--log-dir', dir];
  t.match(await deadLetters(...again), { code: 0, out: /^3 events sent/ });
  t.match(linesOf(dir).at(-1), { outcome: 'done', events: 3, files: 2, failures: 0 });
});

void t.test('a redrive that is killed has said what it was about to do', async (t) => {
  const dir = withLetters(t);
  const { port, asked } = await frontDoor(t, null);
  const args = ['bin/dead-letters.js', 'redrive', '--url', `http://127.0.0.1:${port}`, '--log-dir', dir];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  await asked;
  t.match(linesOf(dir), [{ state: 'begun', events: 3, files: 2 }]);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  t.equal(linesOf(dir).length, 1);
});

void t.test('ls, show and the log tool leave no word', async (t) => {
  const dir = withLetters(t);
  writeFileSync(join(dir, name(3)), 'garbage\n');
  for (const command of ['ls', 'verify', 'cat']) await log(command, '--log-dir', dir);
  for (const command of ['ls', 'show']) t.match(await deadLetters(command, '--log-dir', dir), { code: 0 });
  t.notOk(existsSync(join(dir, FILE)));
});

void t.test('where it cannot be written nothing is done', async (t) => {
  const dir = withLetters(t);
  mkdirSync(join(dir, FILE));
  const { port } = await frontDoor(t, 202);
  const why = new RegExp(`cannot be written to .*${FILE} \\(.*\\), so nothing was done\\n$`);
  const letters = readdirSync(join(dir, 'dead-letters'));
  for (const args of [
    ['drop', '--yes'],
    ['redrive', '--url', `http://127.0.0.1:${port}`],
  ])
    t.match(await deadLetters(...args, '--log-dir', dir), { code: 2, out: /^$/, err: why });
  t.same(readdirSync(join(dir, 'dead-letters')), ['.lock', ...letters]);
  const elsewhere = join(tempDir(t), 'elsewhere');
  const linked = withLetters(t);
  symlinkSync(elsewhere, join(linked, FILE));
  t.match(await deadLetters('drop', '--yes', '--log-dir', linked), { code: 2, err: why });
  t.notOk(existsSync(elsewhere), 'no link is followed');
});

void t.test('a disk that takes half a line, or none, keeps the work from being done', async (t) => {
  for (const fault of ['short', 'write', 'fsync'] as const) {
    const dir = tempDir(t);
    const fs = Object.create(toolFileSystem) as ToolFileSystem;
    const error = Object.assign(new Error('EIO: no'), { code: 'EIO' });
    if (fault === 'fsync') {
      Object.defineProperty(fs, 'fsync', {
        value: (_fd: number, done: (error: Error) => void) => setImmediate(done, error),
      });
    } else {
      Object.defineProperty(fs, 'write', {
        value: (
          fd: number,
          bytes: Buffer,
          offset: number,
          length: number,
          position: null,
          done: (error: Error | null, written: number) => void,
        ) => {
          if (fault === 'write') setImmediate(done, error, 0);
          else toolFileSystem.write(fd, bytes, offset, length >> 1, position, done);
        },
      });
    }
    let isDone = false;
    const work = async () => {
      isDone = true;
      return await doNothing();
    };
    await t.rejects(recorded(fs, dir, DROP, work), {
      code: 'LOG_DIR_UNUSABLE',
      message: /so nothing was done$/,
    });
    t.notOk(isDone, fault);
    if (fault !== 'short') continue;
    await recorded(toolFileSystem, dir, DROP, doNothing);
    const [half = '', begun = '', ended = '', end] = readFileSync(join(dir, FILE), 'utf8').split('\n');
    t.throws(() => JSON.parse(half) as unknown);
    t.match(
      [begun, ended].map((line) => JSON.parse(line) as object),
      [{ state: 'begun' }, { state: 'ended' }],
      'the next line stands alone',
    );
    t.equal(end, '');
  }
});

void t.test('each line is on the device before the next step', async (t) => {
  const dir = tempDir(t);
  const calls: string[] = [];
  const fs = Object.create(toolFileSystem) as ToolFileSystem;
  for (const method of ['write', 'fsync'] as const) {
    const real = toolFileSystem[method] as (...args: unknown[]) => void;
    Object.defineProperty(fs, method, {
      value: (...args: unknown[]) => {
        calls.push(method);
        real(...args);
      },
    });
  }
  await recorded(fs, dir, DROP, async () => {
    calls.push('work');
    return await doNothing();
  });
  // the file, and the directory
  t.same(calls, ['write', 'fsync', 'fsync', 'work', 'write', 'fsync', 'fsync']);
});

void t.test('work that fails is told with its own error, and its end is written down', async (t) => {
  const dir = tempDir(t);
  const failing = async () => Promise.reject(new Error('mine'));
  await t.rejects(recorded(toolFileSystem, dir, DROP, failing), { message: 'mine' });
  t.match(linesOf(dir), [{ state: 'begun' }, { state: 'ended', outcome: 'failed', failures: null }]);
});

void t.test('what is done, and cannot be written down at its end, is a failure', async (t) => {
  const dir = tempDir(t);
  const work = async () => {
    mkdirSync(join(dir, 'elsewhere'));
    renameSync(join(dir, FILE), join(dir, 'elsewhere', FILE));
    mkdirSync(join(dir, FILE));
    return { counts: { events: 1 }, failures: ['one'] };
  };
  const { failures } = await recorded(toolFileSystem, dir, DROP, work);
  t.match(failures, ['one', /^The end of it: who does what cannot be written to /]);
});

void t.test('tools that write at the same time leave whole lines', async (t) => {
  const dir = tempDir(t);
  await Promise.all(Array.from({ length: 50 }, () => recorded(toolFileSystem, dir, DROP, doNothing)));
  const lines = linesOf(dir);
  t.equal(lines.length, 100);
  t.equal(new Set(lines.map(({ id }) => id)).size, 50);
});

void t.test('beyond a mebibyte it is renamed, once, also by tools at the same time', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, EARLIER), 'the oldest\n');
  const old = `${JSON.stringify({ old: 'x'.repeat(2 ** 20) })}\n`;
  writeFileSync(join(dir, FILE), old);
  await Promise.all(Array.from({ length: 20 }, () => recorded(toolFileSystem, dir, DROP, doNothing)));
  t.equal(readFileSync(join(dir, EARLIER), 'utf8').slice(0, old.length), old);
  t.same(readdirSync(dir).toSorted(), [EARLIER, FILE]);
  t.equal(linesOf(dir).length + linesOf(dir, EARLIER).length, 41, 'and no line is lost');
});

void t.test("the files are the log's own: no warning, and ls names them", async (t) => {
  const dir = tempDir(t);
  // a repair is of a version before
  for (const file of [FILE, EARLIER]) writeFileSync(join(dir, file), '{"what":"repair"}\n');
  t.match(await survey(nodeFileSystem, dir), { batches: 0, remarks: [] });
  const { out } = await log('ls', '--log-dir', dir);
  t.match(out, `${EARLIER}: who has sent again or dropped what\n${FILE}: who has sent again`);
  const json = (await log('ls', '--json', '--log-dir', dir)).out;
  t.match(json, `{"kind":"operations","name":"${FILE}"}\n`);
  t.notMatch(json, 'foreign');
});
