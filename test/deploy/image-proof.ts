import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../helpers/wait-for.js';
import { ADDRESS, BY_SIGNAL, Container, volumesOf } from './container.js';
import type { Volume } from './container.js';
import { run } from './image-build.js';
import type { Image } from './image-build.js';

/** Programs that build or load others: an image that serves needs none of them. */
const TOOLS = [
  'npm',
  'npx',
  'yarn',
  'corepack',
  'gcc',
  'cc',
  'make',
  'g++',
  'python3',
  'git',
  'curl',
  'wget',
];
const STARTED = /IngestionServer started on port 8081/;
const EVENTS = 200;

/**
 * Runs an image and looks that it does what docs/deploying.md says.
 *
 * @throws Error at the first thing that is otherwise
 */
export async function proveImage(image: Image, dir: string, report: (line: string) => void): Promise<void> {
  const open: Container[] = [];
  const start = (
    volumes: readonly Volume[],
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Container => {
    const container = new Container(image, volumes, args, env);
    open.push(container);
    return container;
  };
  const check = (holds: boolean, claim: string): void => {
    if (!holds) throw new Error(`not so: ${claim}`);
    report(`ok  ${claim}`);
  };
  try {
    proveFiles(image, check);
    await proveServing(image, dir, start, check);
    await proveVolume(image, dir, start, check);
    await proveWorkers(image, dir, start, check);
    await proveSecondSignal(image, dir, start, check);
  } finally {
    await Promise.all(open.map(async (each) => each.end()));
  }
}

type Start = (
  volumes: readonly Volume[],
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
) => Container;
type Check = (holds: boolean, claim: string) => void;

function proveFiles(image: Image, check: Check): void {
  const folders = (image.env['PATH'] ?? '').split(':');
  const tools = TOOLS.filter((tool) => folders.some((each) => existsSync(join(image.root, each, tool))));
  check(tools.length === 0, `no build tools${tools.length === 0 ? '' : `: ${tools.join(', ')}`}`);
  const modules = join(image.root, image.workdir, 'node_modules');
  const development = ['typescript', 'tap', 'oxlint'].filter((each) => existsSync(join(modules, each)));
  check(
    development.length === 0,
    `no development dependencies${development.map((each) => ` ${each}`).join('')}`,
  );
  const owned = ['-xdev', '-path', `${image.root}/proc`, '-prune', '-o', '-user', '10001', '-print'];
  const writable = run('find', [image.root, ...owned])
    .trim()
    .split('\n')
    .map((path) => path.slice(image.root.length));
  check(
    writable.join() === '/var/lib/forebay',
    `its user owns nothing but /var/lib/forebay: ${writable.join(' ')}`,
  );
  check(image.ports.join() === '8081,8082', 'it names its ports');
}

async function proveServing(image: Image, dir: string, start: Start, check: Check): Promise<void> {
  const volumes = volumesOf(image, dir);
  const server = start(volumes, ['--sink', 'file', '--sink-file', '/var/lib/forebay/delivered.jsonl']);
  await server.printed(STARTED);
  check(server.status('NSpid').endsWith(' 1'), 'the server is process 1');
  check(
    server.status('Name') === 'node' || server.status('Name') === 'MainThread',
    'and it is Node.js itself',
  );
  check(/^10001( 10001)*$/.test(server.status('Uid')), 'it runs as user 10001');
  check(/^0+$/.test(server.status('CapEff')) && /^0+$/.test(server.status('CapBnd')), 'without capabilities');
  check(server.status('NoNewPrivs') === '1', 'and can get none');
  check((await server.exec(['/bin/sh', '-c', ': >/opt/forebay/x'])) !== 0, 'its root is for reading only');
  check((await server.exec(['/bin/sh', '-c', 'test "$(id -un)" = forebay'])) === 0, 'its user has a name');
  const health = image.health ?? [];
  check(health.length > 0 && (await server.exec(health)) === 0, 'the health check is content');
  check((await server.exec(health, { FOREBAY_ADMIN_PORT: '9' })) === 1, 'and is not if nobody answers');
  check(
    (await server.exec(health, { FOREBAY_ADMIN_PORT: '8081' })) === 1,
    'or another status than 200 comes',
  );
  const lines = await post(server, 'e', EVENTS);
  check(lines === `${EVENTS} × 202`, `clients reach it by an address from outside: ${lines}`);
  const paths = ['8081/ready', '8081/health', '8082/health', '8082/metrics'];
  const seen = await statuses(server, paths);
  check(seen === '200 404 200 200', `clients get /ready alone, operators the rest: ${seen}`);
  check(
    (await server.exec(['node', 'bin/log.js', 'ls'])) === 0,
    'the tools find the log directory by themselves',
  );
  server.signal(image.stopSignal);
  const code = await server.exited;
  check(code === 0, `${image.stopSignal} stops it in order: exit code ${code}`);
  check(/waits? on disk/.test(server.output), 'and it says what is left');
  check(delivered(volumes, 'e') === EVENTS, 'all events were delivered');
}

async function proveVolume(image: Image, dir: string, start: Start, check: Check): Promise<void> {
  const volumes = volumesOf(image, dir);
  const small = ['--backlog-max', '1MiB', '--body-max', '512KiB', '--client-share', '1'];
  const first = start(volumes, ['--sink-failure-rate', '1', ...small]);
  await first.printed(STARTED);
  check((await post(first, 'k', EVENTS)) === `${EVENTS} × 202`, 'a server whose sink is down takes events');
  const filling = await post(first, 'f', 10, 200_000);
  check(/^\d × 202, \d × 429$/.test(filling), `until its log is full: ${filling}`);
  check((await statuses(first, ['8082/ready'])) === '503', 'it is not ready then');
  check((await first.exec(image.health ?? [])) === 0, 'and the health check is content');
  first.signal('SIGKILL');
  check((await first.exited) === BY_SIGNAL, 'it is killed');
  const second = start(volumes, ['--sink', 'file', '--sink-file', '/var/lib/forebay/delivered.jsonl']);
  await second.printed(STARTED);
  await until(() => delivered(volumes, 'k') >= EVENTS, 'what was acknowledged is delivered');
  check(delivered(volumes, 'k') === EVENTS, 'another container on the same volume delivers what it had');
  second.signal(image.stopSignal);
  check((await second.exited) === 0, 'and stops in order');
}

async function proveWorkers(image: Image, dir: string, start: Start, check: Check): Promise<void> {
  const server = start(volumesOf(image, dir), ['--workers', '2']);
  await server.printed(STARTED);
  const workers = [...server.processes()].filter(([, { parent }]) => parent === 1).map(([number]) => number);
  check(workers.length === 2, 'process 1 is the supervisor of two workers');
  await server.signalInside(workers[0] ?? NaN, 'KILL');
  const isBack = (): boolean =>
    [...server.processes()].filter(([number, { parent }]) => parent === 1 && number > Math.max(...workers))
      .length === 1;
  await until(isBack, 'a worker takes the place of the one that was killed', 30_000);
  const health = async (): Promise<boolean> => (await server.exec(image.health ?? [])) === 0;
  await until(health, 'the health check is content again', 30_000);
  const zombies = [...server.processes().values()].filter(({ state }) => state === 'Z');
  check(zombies.length === 0, 'a worker that was killed leaves no zombie, and another takes its place');
  server.signal(image.stopSignal);
  const code = await server.exited;
  check(code === 0, `${image.stopSignal} stops all workers in order: exit code ${code}`);
}

/** Process 1 cannot send itself SIGKILL: the way out must work without. */
async function proveSecondSignal(image: Image, dir: string, start: Start, check: Check): Promise<void> {
  const server = start(volumesOf(image, dir), ['--sink-latency', '600s', '--shutdown-timeout', '600s']);
  await server.printed(STARTED);
  await post(server, 's', 1);
  await until(async () => /"pending":1/.test(await page(server)), 'an event waits');
  server.signal(image.stopSignal);
  await server.printed(/stopping/);
  // a second one this soon after the first would be taken for the same one
  await new Promise((resolve) => setTimeout(resolve, 1000));
  server.signal(image.stopSignal);
  const code = await server.exited;
  check(
    code === 1 && /exiting at once/.test(server.output),
    `a second signal ends process 1: exit code ${code}`,
  );
}

/** Sends single events. @returns how many answers there were of each status */
async function post(server: Container, prefix: string, count: number, size: number = 0): Promise<string> {
  const printed = await server.fromOutside(`
const counts = new Map();
for (let n = 0; n < ${count}; n++) {
  const response = await fetch('http://${ADDRESS}:8081/events', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: '${prefix}-' + n, type: 'proof', data: 'x'.repeat(${size}) }),
  });
  await response.text();
  counts.set(response.status, (counts.get(response.status) ?? 0) + 1);
}
console.log([...counts].map(([status, times]) => times + ' × ' + status).join(', '));`);
  return printed.trim();
}

async function statuses(server: Container, paths: readonly string[]): Promise<string> {
  const printed = await server.fromOutside(`
const answers = [];
for (const path of ${JSON.stringify(paths)}) {
  const response = await fetch('http://${ADDRESS}:' + path);
  await response.text();
  answers.push(response.status);
}
console.log(answers.join(' '));`);
  return printed.trim();
}

async function page(server: Container): Promise<string> {
  return server.fromOutside(`console.log(await (await fetch('http://${ADDRESS}:8082/health')).text());`);
}

function delivered([volume]: readonly Volume[], prefix: string): number {
  if (volume === undefined || !existsSync(join(volume.dir, 'delivered.jsonl'))) return 0;
  const ids = volume.read('delivered.jsonl').matchAll(/^\{"id":"([a-z]+-\d+)"/gm);
  return new Set([...ids].map(([, id = '']) => id).filter((id) => id.startsWith(`${prefix}-`))).size;
}
