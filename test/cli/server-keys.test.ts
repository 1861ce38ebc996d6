import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { silentLogger } from '../../lib/base/reporter.js';
import { openKeys } from '../../lib/cli/open-keys.js';
import { SOURCES } from '../../lib/sources/registry.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

const run = promisify(execFile);
const EVENT = '{"id":"evt-1","type":"signup","data":{"user":42}}';
const JSON_TYPE = ['-H', 'content-type: application/json', '-d', EVENT];

const curl = async (server: ServerProcess, ...args: readonly string[]): Promise<number> => {
  const how = ['-s', '-o', '/dev/null', '-w', '%{http_code}', ...JSON_TYPE, ...args];
  return Number((await run('curl', [...how, server.url])).stdout);
};

t.jobs = 3;

void t.test('a key is added, used with curl, and refused after it is revoked', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'keys.jsonl');
  const tool = async (...args: readonly string[]): Promise<string> =>
    (await run(process.execPath, ['bin/keys.js', ...args, '--keys-file', path])).stdout;
  const first = (await tool('add', 'meter')).trim();
  const flags = ['--keys-file', path, '--require-keys', '--access-log', '1', '--log-format', 'json'];
  const server = await ServerProcess.start('--log-dir', join(dir, 'log'), ...flags);
  t.teardown(() => server.stop('SIGKILL'));
  t.equal(await curl(server), 401);
  t.equal(await curl(server, '-u', `meter:${first}`), 202);
  t.equal(await curl(server, '-H', `Authorization: Bearer ${first}`), 202);

  const second = (await tool('add', 'meter')).trim();
  await until(async () => (await curl(server, '-u', `meter:${second}`)) === 202, 'the new key is known');
  await tool('revoke', 'meter', '--older');
  await until(async () => (await curl(server, '-u', `meter:${first}`)) === 401, 'the old key is refused');
  t.equal(server.lines.filter((line) => line.includes('Read again')).length, 2);
  t.equal(await curl(server, '-u', `meter:${second}`), 202);

  await tool('revoke', 'meter');
  server.signal('SIGHUP');
  await server.line(/SIGHUP: files/);
  t.equal(await curl(server, '-u', `meter:${second}`), 401, 'or at once, with SIGHUP');
  const { stdout } = await run('curl', ['-s', new URL('/metrics', server.url).href]);
  const [, accepted] = /^forebay_key_events_accepted_total\{key="meter"\} (\d+)$/m.exec(stdout) ?? [];
  t.ok(Number(accepted) >= 4, `its counters stay: ${accepted}`);
  t.match(stdout, /^forebay_keys 0$/m);
  const said = server.lines.join('\n') + server.stderr + stdout;
  for (const secret of [first, second, Buffer.from(`meter:${first}`).toString('base64')])
    t.notOk(said.includes(secret) || readFileSync(path, 'utf8').includes(secret), 'nothing shows a key');
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('an open address is warned of, unless each source asks who sends', async (t) => {
  const dir = tempDir(t);
  const keys = join(dir, 'keys.jsonl');
  await run(process.execPath, ['bin/keys.js', 'add', 'meter', '--keys-file', keys]);
  const warnings = async (...flags: readonly string[]): Promise<readonly string[]> => {
    const server = await ServerProcess.start('--log-dir', tempDir(t), ...flags);
    await server.stop('SIGTERM');
    return server.lines.filter((line) => line.includes('SOURCE_PUBLIC')).map((line) => line.slice(13));
  };
  const open = ['--host', '0.0.0.0'];
  const [bare, more, local, keyed, meant] = await Promise.all([
    warnings(...open),
    warnings(...open, '--source', 'a,format=events', '--source', 'b,format=events,key=none'),
    warnings(),
    warnings(...open, '--keys-file', keys),
    warnings(...open, '--source', 'events,key=none'),
  ]);
  const said = 'WARN SOURCE_PUBLIC Anyone who reaches 0.0.0.0 may send to the';
  t.same(bare, [`${said} source events: --keys-file asks for a key`]);
  t.same(more, [`${said} sources events, a: --keys-file asks for a key`]);
  t.same([local, keyed, meant], [[], [], []]);
  const codes: object[] = [];
  const logger = { ...silentLogger, warn: (fields: object): void => void codes.push(fields) };
  const settings = { keysFile: null, requireKeys: false, host: '0.0.0.0', tlsClientCa: 'ca.pem' };
  t.equal(openKeys(settings, SOURCES, logger), null);
  t.same(codes, [], 'each client shows a certificate');
  openKeys({ ...settings, tlsClientCa: null }, SOURCES, logger);
  t.same(codes, [{ code: 'SOURCE_PUBLIC' }]);
});

void t.test('a start without the keys that are asked for fails, and says why', async (t) => {
  const dir = tempDir(t);
  const keys = join(dir, 'keys.jsonl');
  await run(process.execPath, ['bin/keys.js', 'add', 'meter', '--keys-file', keys]);
  for (const [flags, code, message] of [
    [
      ['--require-keys'],
      78,
      /--require-keys: anyone may send to the source events, as --keys-file is missing/,
    ],
    [
      ['--require-keys', '--keys-file', keys, '--source', 'events,key=none'],
      78,
      /--require-keys: anyone may send to the source events, as its setting "key" is "none"/,
    ],
    [
      ['--source', 'events,key=required'],
      78,
      /"key" of the source events is required, so .* needs --keys-file/,
    ],
    [['--source', 'events,key=maybe'], 78, /"key" of the source events must be one of required, none/],
    [['--keys-file', join(dir, 'no')], 1, /The file .*no \(--keys-file\) cannot be read: ENOENT/],
    [['--keys-file', 'package.json'], 78, /\(--keys-file\) cannot be read: line 1 is not a JSON object/],
  ] as const) {
    const server = new ServerProcess(['--port', '0', '--log-dir', join(dir, 'log'), ...flags]);
    t.teardown(() => server.stop('SIGKILL'));
    const listens = server.listening().then(
      () => 'it listens',
      () => server.exited,
    );
    t.equal(await listens, code, flags.join(' '));
    t.match(server.stderr, message);
  }
});
