import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import { freePort } from './helpers/free-port.js';
import { until } from './helpers/running-forebay.js';
import { tempDir } from './helpers/temp-dir.js';

const run = promisify(execFile);
const ROOT = process.cwd();
/** Where the examples in JavaScript are. */
const EMBEDDING = 'docs/embedding.md';
const CLIENT = 'docs/client.md';

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** A folder in which the package is installed as `npm pack` makes it; its dependencies are those of this clone. */
async function installed(t: Test): Promise<{ dir: string; manifest: Manifest; warnings: string }> {
  const dir = tempDir(t);
  const { stdout, stderr } = await run('npm', ['pack', '--json', '--pack-destination', dir], { cwd: ROOT });
  const [packed] = JSON.parse(stdout) as { filename: string }[];
  const modules = join(dir, 'node_modules');
  const home = join(modules, 'forebay');
  mkdirSync(home, { recursive: true });
  await run('tar', ['-xzf', join(dir, packed?.filename ?? ''), '-C', home, '--strip-components', '1']);
  const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as Manifest;
  for (const name of Object.keys(manifest.dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  }
  return { dir, manifest, warnings: stderr };
}

/** The examples in JavaScript of a document, in their order. */
function examplesIn(path: string): string[] {
  const text = readFileSync(join(ROOT, path), 'utf8');
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code = '']) => code);
}

/** What the document says that a program prints: the block after its `n`th example. */
function outputAfter(path: string, example: string): string {
  const text = readFileSync(join(ROOT, path), 'utf8');
  return /^```\n(.*?)^```$/ms.exec(text.slice(text.indexOf(example) + example.length + 4))?.[1] ?? '';
}

async function listening(
  t: Test,
  answer: (req: IncomingMessage, res: ServerResponse) => void,
): Promise<number> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

void t.test('the package has what its commands need, and nothing else', async (t) => {
  const { dir, manifest, warnings } = await installed(t);
  t.notMatch(warnings, /warn/i);
  const home = join(dir, 'node_modules/forebay');
  const files = readdirSync(home, { recursive: true, encoding: 'utf8' });
  t.same(
    files.filter((name) => /^test|^bench|^scripts|\.test\.[jt]s|^lib|^tools|^dist\/(?!lib|tools)/.test(name)),
    [],
  );
  for (const [command, path] of Object.entries(manifest.bin)) {
    const { stdout } = await run(process.execPath, [join(home, path), '--help'], { cwd: dir });
    t.match(stdout, new RegExp(`^(?:Usage: )?.*${command}`), command);
  }
  t.ok(existsSync(join(home, 'dist/lib/observe/page/browser/page.html')));
});

void t.test(
  'a source map that a file names is in the package, with the sources that it is about',
  async (t) => {
    const { dir } = await installed(t);
    const home = join(dir, 'node_modules/forebay');
    const files = readdirSync(home, { recursive: true, encoding: 'utf8' });
    const missing: string[] = [];
    let maps = 0;
    for (const name of files.filter((each) => /\.[cm]?[jt]s$/.test(each))) {
      const [, map] = /^\/\/# sourceMappingURL=(.+)$/m.exec(readFileSync(join(home, name), 'utf8')) ?? [];
      if (map === undefined) continue;
      const path = join(home, dirname(name), map);
      if (!existsSync(path)) {
        missing.push(`${name}: ${map}`);
        continue;
      }
      maps++;
      const { sources, sourcesContent = [] } = JSON.parse(readFileSync(path, 'utf8')) as {
        sources: string[];
        sourcesContent?: unknown[];
      };
      for (const [index, source] of sources.entries())
        if (typeof sourcesContent[index] !== 'string') missing.push(`${name}: ${source}`);
    }
    t.same(missing, []);
    t.ok(maps > 0 || files.every((name) => !name.endsWith('.map')));
  },
);

void t.test(
  'without a native lock for the system, as with musl, the start says so in a sentence',
  async (t) => {
    const { dir } = await installed(t);
    const lock = join(dir, 'node_modules/fs-native-extensions');
    rmSync(lock);
    cpSync(join(ROOT, 'node_modules/fs-native-extensions'), lock, { recursive: true });
    for (const system of readdirSync(join(lock, 'prebuilds')))
      if (system.startsWith(process.platform)) rmSync(join(lock, 'prebuilds', system), { recursive: true });
    for (const name of ['require-addon', 'which-runtime'])
      symlinkSync(join(ROOT, 'node_modules', name), join(dir, 'node_modules', name));
    const server = join(dir, 'node_modules/forebay/bin/server.js');
    const help = await run(process.execPath, [server, '--help'], { cwd: dir });
    t.equal(help.stderr, '', 'what needs no lock works');
    const flags = ['--port', '0', '--log-dir', join(dir, 'log')];
    const failed: unknown = await run(process.execPath, [server, ...flags], { cwd: dir }).catch(
      (error: unknown) => error,
    );
    const {
      stdout = '',
      stderr = '',
      code = 0,
    } = failed as { stdout?: string; stderr?: string; code?: number };
    t.equal(code, 1);
    const said = stdout + stderr;
    t.match(said, /cannot be used: there is no native lock for this system \(\w+-\w+\); .*glibc.*musl/);
    t.notMatch(said, /^ +at /m, 'without a stack');
  },
);

void t.test('the first example of docs/embedding.md runs as it is, and ends by itself', async (t) => {
  const { dir } = await installed(t);
  const [example = ''] = examplesIn(EMBEDDING);
  t.ok(example.trimEnd().split('\n').length <= 12, example);
  writeFileSync(join(dir, 'first.mjs'), example);
  const { stdout, stderr } = await run(process.execPath, ['first.mjs'], { cwd: dir });
  t.equal(stdout, outputAfter(EMBEDDING, example));
  t.equal(stderr, '');
  t.same(
    readdirSync(join(dir, 'first-log')).filter((name) => name.startsWith('batch_')),
    [],
  );
});

void t.test('the example with HTTP, /metrics and the page in front does what it says', async (t) => {
  const { dir } = await installed(t);
  const taken: { key: unknown; body: string }[] = [];
  const sinkPort = await listening(t, (req, res) => {
    let body = '';
    req.on('data', (piece: Buffer) => (body += piece.toString()));
    req.on('end', () => {
      taken.push({ key: req.headers['idempotency-key'], body });
      res.end();
    });
  });
  const port = await freePort();
  const [, example = ''] = examplesIn(EMBEDDING);
  t.match(example, /port: 8081/);
  t.match(example, /localhost:9000/);
  const onFreePorts = example
    .replace('8081', String(port))
    .replace('localhost:9000', `127.0.0.1:${sinkPort}`);
  writeFileSync(join(dir, 'server.mjs'), `${onFreePorts}\nconsole.log('up');\n`);
  const child = spawn(process.execPath, ['server.mjs'], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const at = (path: string): string => `http://127.0.0.1:${port}${path}`;
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(at('/events'), {
    method: 'POST',
    headers,
    body: '{"id":"e1","type":"t","data":1}',
  });
  t.equal(answer.status, 202);
  await until(() => taken.length > 0, 'the sink has the event');
  t.match(taken[0], { key: /^[0-9a-f]{16}-batch_.*_1\.jsonl@[0-9a-f]{16}$/, body: /^\{"id":"e1"/ });
  t.match(await (await fetch(at('/metrics'))).text(), /^forebay_events_accepted_total 1$/m);
  t.match(await (await fetch(at('/'))).text(), /<title>/);
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number | null];
  t.equal(code, 0, 'it stops in order');
});

void t.test(
  'the example of a sink sends the key, refuses what is refused and throws otherwise',
  async (t) => {
    const { dir } = await installed(t);
    const [, , example = ''] = examplesIn(EMBEDDING);
    const statuses = [200, 400, 500];
    const keys: unknown[] = [];
    const port = await listening(t, (req, res) => {
      keys.push(req.headers['idempotency-key']);
      req.resume().on('end', () => res.writeHead(statuses[keys.length - 1] ?? 0).end());
    });
    writeFileSync(
      join(dir, 'sink.mjs'),
      `import { Batch } from 'forebay';\n${example.replace('localhost:9000', `127.0.0.1:${port}`)}
const batch = new Batch({ name: 'n', key: 'k', events: 1, bytes: Buffer.from('{"id":"e"}\\n') });
for (let n = 0; n < 3; n++) {
  const said = await sink.deliver(batch, new AbortController().signal).catch((e) => e);
  console.log(said === undefined ? 'confirmed' : said.name + ' ' + said.message);
}\n`,
    );
    const { stdout } = await run(process.execPath, ['sink.mjs'], { cwd: dir });
    t.equal(stdout, 'confirmed\nSinkError refused\nError status 500\n');
    t.same(keys, ['k', 'k', 'k']);
  },
);

void t.test('the example of docs/client.md runs as it is against a server, and ends by itself', async (t) => {
  const { dir, manifest } = await installed(t);
  const port = await freePort();
  const [example = ''] = examplesIn(CLIENT);
  t.match(example, /localhost:8081/);
  writeFileSync(join(dir, 'send.mjs'), example.replace('localhost:8081', `127.0.0.1:${port}`));
  const server = join(dir, 'node_modules/forebay', manifest.bin['forebay-server'] ?? '');
  const child = spawn(process.execPath, [server, '--port', String(port)], { cwd: dir, stdio: 'pipe' });
  let said = '';
  child.stdout.on('data', (piece: Buffer) => (said += piece.toString()));
  await until(() => said.includes('started on port'), 'the server listens');
  const { stdout, stderr } = await run(process.execPath, ['send.mjs'], { cwd: dir });
  t.equal(stdout, outputAfter(CLIENT, example));
  t.equal(stderr, '');
  child.kill('SIGTERM');
  await once(child, 'exit');
});

void t.test('its types need nothing else, and none of them is any', async (t) => {
  const { dir } = await installed(t);
  const options = {
    strict: true,
    module: 'nodenext',
    target: 'es2022',
    noEmit: true,
    types: [],
  };
  writeFileSync(
    join(dir, 'user.mts'),
    `import { createForebay, HttpSink, PostgresSink, IngestionServer, OperatorRoutes } from 'forebay';
import type { Batch, Event, Sink } from 'forebay';
import { ForebayClient } from 'forebay/client';
import type { ClientEvent } from 'forebay/client';
type IsAny<T> = 0 extends 1 & T ? true : false;
const no: readonly false[] = [] as readonly (
  | IsAny<Batch['bytes']>
  | IsAny<Event['data']>
  | IsAny<Parameters<Sink['deliver']>[1]>
  | IsAny<OperatorRoutes['routes']>
  | IsAny<ClientEvent>
  | IsAny<ConstructorParameters<typeof ForebayClient>[0]['fetch']>
)[];
class Mine implements Sink {
  async deliver(batch: Batch): Promise<void> {
    for (const event of batch) await Promise.resolve(event.id.length + batch.bytes.length + no.length);
  }
}
const forebay = createForebay({ sink: new Mine() });
createForebay({ sink: new HttpSink({ url: 'http://localhost:9000' }) });
createForebay({ sink: new PostgresSink({ url: 'postgres:///shop' }) });
const server = new IngestionServer({ forebay, port: 0 });
server.addRoutes(new OperatorRoutes({ forebay, door: server }).routes);
// @ts-expect-error there is no such option
createForebay({ sinc: new Mine() });
interface Click {
  type: string;
  data: { x: number };
  page: string;
}
const click: Click = { type: 'click', data: { x: 1 }, page: '/' };
const client = new ForebayClient({ url: 'http://localhost:8081/events', key: undefined });
const unsent: Promise<ClientEvent[]> = client.send(click).then(() => client.stop({ timeoutMs: 0 }));
void client.send({ type: 'click', data: unsent, page: '/' });
// @ts-expect-error an event has data
void client.send({ type: 'click' });
`,
  );
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  // with it, a type that is not found is any, and nobody hears of it
  for (const skipLibCheck of [false, true]) {
    const config = { compilerOptions: { ...options, skipLibCheck }, files: ['user.mts'] };
    writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(config));
    const result = await run(process.execPath, [compiler, '-p', dir]).catch((error: unknown) => error);
    t.strictSame(result, { stdout: '', stderr: '' }, `skipLibCheck ${skipLibCheck}`);
  }
});

void t.test(
  'what its types import is a part of it, of Node.js, or a dependency with types of its own',
  async (t) => {
    const { dir, manifest } = await installed(t);
    const home = join(dir, 'node_modules/forebay');
    const typed = (name: string): boolean =>
      name in manifest.dependencies &&
      (existsSync(join(ROOT, 'node_modules', name, 'index.d.ts')) ||
        /"types"/.test(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')));
    const seen = new Set<string>();
    const foreign = new Set<string>();
    const look = (path: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const [, from = ''] of readFileSync(path, 'utf8').matchAll(
        /(?:from|import\() ?['"]([^'"]+)['"]/g,
      )) {
        if (from.startsWith('.')) look(join(dirname(path), from.replace(/\.js$/, '.d.ts')));
        else if (!from.startsWith('node:') && !typed(from)) foreign.add(`${relative(home, path)}: ${from}`);
      }
    };
    look(join(home, 'dist/lib/index.d.ts'));
    look(join(home, 'dist/lib/client/index.d.ts'));
    t.ok(seen.size > 10);
    t.same([...foreign], []);
  },
);

void t.test('without a compiler nothing is built, and that is an error with the way out', async (t) => {
  const dir = tempDir(t);
  for (const part of ['package.json', 'scripts'])
    cpSync(join(ROOT, part), join(dir, part), { recursive: true });
  const failed = await run(process.execPath, ['scripts/after-install.js'], { cwd: dir }).catch(
    (error: unknown) => error,
  );
  t.match(failed, { code: 1, stderr: /npm prune --omit=dev.*npm pack/s });
  mkdirSync(join(dir, 'dist/lib'), { recursive: true });
  writeFileSync(join(dir, 'dist/lib/index.js'), '');
  await t.resolves(run(process.execPath, ['scripts/after-install.js'], { cwd: dir }), 'what is built stays');
});

void t.test('--help calls each command as it was started', async (t) => {
  const dir = tempDir(t);
  const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
  for (const [command, path] of Object.entries(bin)) {
    const linked = join(dir, command);
    symlinkSync(join(ROOT, path), linked); // as npm installs it
    const asCommand = (await run(process.execPath, [linked, '--help'])).stdout;
    t.match(asCommand, new RegExp(`^  ${command} \\S`, 'm'));
    t.notMatch(asCommand, 'node bin/');
    const asScript = (await run(process.execPath, [path, '--help'], { cwd: ROOT })).stdout;
    t.match(asScript, new RegExp(`^  node ${path} \\S`, 'm'));
  }
});
