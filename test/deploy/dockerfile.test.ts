import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import { SERVER_SETTINGS } from '../../lib/cli/server-settings.js';
import { variableName } from '../../lib/settings/option-table.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { assignments, isIgnored, readDockerfile } from './dockerfile.js';
import type { Step } from './dockerfile.js';

const stages = readDockerfile(readFileSync('Dockerfile', 'utf8'));
const rules = readFileSync('.dockerignore', 'utf8');
const last = stages.at(-1)?.steps ?? [];
const step = (name: Step['name']): Step => {
  const found = last.filter((each) => each.name === name);
  const [only] = found;
  if (only === undefined || found.length > 1) throw new Error(`${found.length} × ${name} in the last stage`);
  return only;
};

void t.test('the last stage has Node.js of the first one, on the same release of Debian', (t) => {
  const [first, second] = stages.map(({ from }) => from);
  t.equal(stages.length, 2);
  const [, release] = /^node:\d+-([a-z]+)-slim$/.exec(first ?? '') ?? [];
  t.ok(release);
  t.equal(second, `debian:${release}-slim`);
  t.end();
});

void t.test('it copies what the package has, and neither sources nor tests', (t) => {
  const { files, bin } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    files: string[];
    bin: Record<string, string>;
  };
  const copied = last
    .filter(({ name }) => name === 'COPY')
    .flatMap(({ words }) => words.slice(0, -1))
    .filter((path) => path.startsWith('/build/'))
    .map((path) => path.slice('/build/'.length));
  const code = files.filter((path) => path === 'bin' || path.startsWith('dist/'));
  t.ok(code.length > 2);
  t.same(copied.toSorted(), [...code, 'LICENSE', 'node_modules', 'package.json'].toSorted());
  t.match(step('ENTRYPOINT').words.join(' '), new RegExp(`^node /.*/${bin['forebay-server']}$`));
  t.end();
});

void t.test('it stops by SIGTERM, as a numbered user, and the log is on the volume', (t) => {
  t.same(step('STOPSIGNAL').words, ['SIGTERM']);
  t.match(step('USER').words[0], /^[1-9]\d*:[1-9]\d*$/);
  const env = assignments(step('ENV'), {});
  const [volume = ''] = step('VOLUME').words;
  t.ok(env['FOREBAY_LOG_DIR']?.startsWith(`${volume}/`), 'below it, as a new disk has a lost+found');
  const known = Object.values(SERVER_SETTINGS).map(({ flag }) => variableName(flag));
  t.ok(Object.keys(env).length > 3);
  t.same(
    Object.keys(env).filter((name) => !known.includes(name)),
    [],
    'each variable is a setting',
  );
  t.end();
});

void t.test('the context has all that is copied from it, and nothing that may be secret or large', (t) => {
  const [{ steps } = { steps: [] }] = stages;
  const named = steps.filter(({ name }) => name === 'COPY').flatMap(({ words }) => words.slice(0, -1));
  t.ok(named.length > 2);
  for (const path of named.filter((each) => each !== '.'))
    t.notOk(isIgnored(path, rules) || !existsSync(path), path);
  const built = [
    'lib/index.ts',
    'tools/log/program.ts',
    'scripts/build.js',
    'tsconfig.build.json',
    'tsconfig.json',
  ];
  for (const path of [...built, 'bin/server.js', 'LICENSE'])
    t.notOk(isIgnored(path, rules) || !existsSync(path), path);
  const kept = [
    '.env',
    '.git/config',
    'append-log/batch_20260101_000000_1.jsonl',
    'keys.jsonl',
    'github.secret',
  ];
  for (const path of [
    ...kept,
    'node_modules/tap/package.json',
    'dist/lib/index.js',
    'library',
    'test/tidy.test.ts',
  ])
    t.ok(isIgnored(path, rules), path);
  t.end();
});

/** Runs the command of the health check. @returns its exit code */
async function healthCode(port: number): Promise<number> {
  const { words } = step('HEALTHCHECK');
  const env = { PATH: process.env['PATH'], FOREBAY_ADMIN_PORT: String(port) };
  const done = promisify(execFile)(words[0] ?? '', words.slice(1), { env });
  return done.then(
    () => 0,
    (error: unknown) => Number((error as { code: unknown }).code),
  );
}

async function answering(t: Test, answer: RequestListener): Promise<number> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

void t.test(
  'the health check is content with a server whose log is full, and not with one that fails or is not there',
  async (t) => {
    const flags = ['--sink-failure-rate', '1', '--backlog-max', '80KiB', '--body-max', '60KiB'];
    const dir = tempDir(t);
    const server = await ServerProcess.start(
      '--log-dir',
      dir,
      '--admin-port',
      '0',
      '--batch-wait',
      '1',
      ...flags,
    );
    t.teardown(async () => server.stop('SIGKILL'));
    const post = async (): Promise<number> => {
      const body = JSON.stringify({ id: 'e', type: 't', data: 'x'.repeat(20_000) });
      const headers = { 'content-type': 'application/json' };
      return (await fetch(server.url, { method: 'POST', headers, body })).status;
    };
    const seen = new Set<number>();
    for (let n = 0; n < 100 && !seen.has(429); n++) seen.add(await post());
    t.same([...seen], [202, 429], 'the log is full');
    const line = await server.line(/Operators' address: port (\d+)/);
    t.equal(await healthCode(Number(/port (\d+)/.exec(line)?.[1])), 0);
    const paths: unknown[] = [];
    const failing = await answering(t, (req, res) => {
      paths.push(req.url);
      res.writeHead(503).end();
    });
    t.equal(await healthCode(failing), 1);
    t.same(paths, ['/health']);
    t.equal(await healthCode(1), 1, 'nobody is there');
  },
);

void t.test('what a Dockerfile says that nobody has tried is an error', (t) => {
  const read = (text: string) => () => readDockerfile(text);
  t.throws(read('FROM a\nADD b c'), /Dockerfile:2: "ADD b c" is not understood/);
  t.throws(read('RUN a'), /Dockerfile:1: RUN before FROM/);
  t.throws(read('FROM ${A}'), /Dockerfile:1: A is not set/);
  t.throws(read('FROM a\nRUN b \\'), /Dockerfile:2: the last line goes on/);
  t.throws(read('FROM a\nHEALTHCHECK NONE'), /Dockerfile:2: HEALTHCHECK needs CMD/);
  t.throws(read('FROM a\nENTRYPOINT [1]'), /Dockerfile:2: 1 is no text/);
  t.throws(read('# nothing'), /there is no FROM/);
  t.throws(() => isIgnored('a', 'a?b'), /a\?b is not understood/);
  t.end();
});

void t.test('stages, flags, variables, lines that go on and both forms of a command are read', (t) => {
  const text =
    'ARG V=1\nFROM a:${V} AS b\n# no\nRUN --mount=x,y c && \\\n  # no\n  d $V\nFROM e\nCOPY --from=b f g/\nCMD ["h i"]\n';
  const [first, second] = readDockerfile(text);
  t.match(first, {
    name: 'b',
    from: 'a:1',
    steps: [{ name: 'RUN', flags: [['mount', 'x,y']], isJson: false }],
  });
  t.equal(
    first?.steps[0]?.words[0]?.replaceAll(/\s+/g, ' '),
    'c && d $V',
    'the shell has its variables for itself',
  );
  const copy = { name: 'COPY', flags: [['from', 'b']], words: ['f', 'g/'], line: 8 };
  t.match(second, { name: null, from: 'e', steps: [copy, { name: 'CMD', words: ['h i'], isJson: true }] });
  t.end();
});
