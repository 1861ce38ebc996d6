// Shows that the project works on each supported version of Node: `npm run matrix`, or `npm run matrix -- 24`.
// For each version: a temporary clone of HEAD, then `npm ci` and `npm test` with that Node first on the PATH.
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Major version → what `npm install` is asked for. */
const VERSIONS = new Map([
  ['20', 'node@20'],
  ['22', 'node@22.23.3'],
  ['24', 'node@24.21.0'],
  ['26', 'node@26.10.0'],
]);
const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** What an outer `npm run` says about itself: an inner npm would take it for its own. */
const OUTER_NPM = /^(npm_(?!config_)|npm_config_(local_|global_)?prefix$|INIT_CWD$|NODE$)/;

const asked = process.argv.slice(2);
const unknown = asked.find((major) => !VERSIONS.has(major));
if (unknown !== undefined) {
  console.error(`matrix: unknown version ${unknown}; known are ${[...VERSIONS.keys()].join(', ')}`);
  process.exit(1);
}
try {
  git('rev-parse', '--quiet', '--verify', 'HEAD');
} catch {
  console.error('matrix: there is no commit to test');
  process.exit(1);
}
if (git('status', '--porcelain') !== '')
  console.error('matrix: changes that are not committed are not tested');

const temp = mkdtempSync(join(tmpdir(), 'forebay-matrix-'));
/** The child process at work, if there is one. */
let running = null;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, interrupt);

let failed = false;
for (const major of asked.length === 0 ? VERSIONS.keys() : asked) {
  const log = join(temp, `node-${major}.log`);
  const start = performance.now();
  const { version, error } = await check(major, log);
  const seconds = `${((performance.now() - start) / 1000).toFixed(0)} s`;
  if (error === null) console.log(`Node ${version}   passed   ${seconds}`);
  else console.log(`Node ${version}   failed   ${seconds}   ${error}; see ${log}`);
  failed ||= error !== null;
}
// the logs of what failed stay
if (!failed) rmSync(temp, { recursive: true, force: true });
process.exit(failed ? 1 : 0);

/** Installs and tests a clone of HEAD under one version of Node. All output goes to the file `log`. */
async function check(major, log) {
  const folder = join(temp, major);
  const clone = join(folder, 'forebay');
  const output = openSync(log, 'a');
  let version = major;
  try {
    mkdirSync(folder);
    const path = `${await findNode(major, folder, output)}${delimiter}${process.env.PATH}`;
    const environment = { ...innerEnvironment(), PATH: path };
    version = execFileSync('node', ['--version'], { env: environment, encoding: 'utf8' }).trim();
    if (!version.startsWith(`v${major}.`)) throw new Error(`the Node found is ${version}`);
    await run('git', ['clone', '--quiet', ROOT, clone], { cwd: folder, env: environment, output });
    await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: clone, env: environment, output });
    await run('npm', ['test'], { cwd: clone, env: environment, output });
    return { version, error: null };
  } catch (error) {
    return { version, error: error.message };
  } finally {
    closeSync(output);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A folder whose `node` is of this version: that of this process, if it fits, or one from npm. */
async function findNode(major, folder, output) {
  if (process.versions.node.startsWith(`${major}.`)) {
    // a folder of its own, in case another `node` stands before this one on the PATH
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    symlinkSync(process.execPath, join(bin, 'node'));
    return bin;
  }
  const args = ['install', '--no-audit', '--no-fund', '--prefix', folder, VERSIONS.get(major)];
  await run('npm', args, { cwd: folder, env: innerEnvironment(), output });
  // npm's package `node` takes the program out of a package for the platform, or leaves it there
  const packages = ['node', `node-${process.platform}-${process.arch}`];
  const bins = packages.map((name) => join(folder, 'node_modules', name, 'bin'));
  const found = bins.find((bin) => existsSync(join(bin, 'node')));
  if (found === undefined) throw new Error(`npm brought no node in ${bins.join(' or ')}`);
  return found;
}

async function run(command, args, { cwd, env, output }) {
  const code = await new Promise((resolve, reject) => {
    // a process group of its own, which an interrupt can end as a whole: npm leaves its children behind
    running = spawn(command, args, { cwd, env, stdio: ['ignore', output, output], detached: true });
    running.on('error', reject);
    running.on('close', resolve);
  });
  running = null;
  if (code !== 0) throw new Error(`"${command} ${args.join(' ')}" ended with ${code ?? 'a signal'}`);
}

function innerEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !OUTER_NPM.test(name)));
}

function git(...args) {
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

function interrupt() {
  const leave = () => {
    rmSync(temp, { recursive: true, force: true, maxRetries: 3 });
    process.exit(130);
  };
  if (running === null) leave();
  running.once('close', leave);
  process.kill(-running.pid, 'SIGTERM');
}
