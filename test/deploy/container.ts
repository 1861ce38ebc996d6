import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../helpers/wait-for.js';
import { asUser, run } from './image-build.js';
import type { Image } from './image-build.js';

/** Where the container is reached from outside, and not by 127.0.0.1; an address for documentation. */
export const ADDRESS = '192.0.2.2';

/** Mounts what an engine mounts, leaves the image for reading only, and becomes its first process. */
const START = `set -e
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done
shift
mount -o remount,bind,ro "$root"
ip link set lo up
ip address add ${ADDRESS}/32 dev lo
exec chroot "$root" "$@"`;

/** What `exited` says of a process that a signal ended. */
export const BY_SIGNAL = 128;
/** unshare of util-linux 2.38 fails to end as its child did, and exits with 1. */
const KILLED = /^unshare: sigprocmask unblock failed/m;

/** A volume that an engine makes for an image: at first with what the image has there, and of its owner. */
export class Volume {
  readonly dir: string;
  readonly target: string;

  constructor(image: Image, target: string, dir: string) {
    this.target = target;
    this.dir = mkdtempSync(join(dir, 'volume-'));
    run('cp', ['-a', `${join(image.root, target)}/.`, this.dir]);
    run('chown', [`--reference=${join(image.root, target)}`, this.dir]);
    run('chmod', [`--reference=${join(image.root, target)}`, this.dir]);
  }

  read(name: string): string {
    return readFileSync(join(this.dir, name), 'utf8');
  }
}

/**
 * A process in an image, as `docker run --read-only --cap-drop ALL --security-opt no-new-privileges` starts it: with
 * namespaces for mounts, processes and the network, in which it is process 1.
 */
export class Container {
  /** All that it printed. */
  output = '';
  /** Its exit code; `BY_SIGNAL` if a signal ended it. */
  readonly exited: Promise<number>;
  #isOver = false;
  readonly #image: Image;
  readonly #env: Readonly<Record<string, string>>;
  readonly #child: ChildProcess;

  constructor(
    image: Image,
    volumes: readonly Volume[],
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.#image = image;
    this.#env = { ...image.env, ...env };
    const command = args.length > 0 ? args : image.cmd;
    const binds = volumes.flatMap(({ dir, target }) => [dir, target]);
    const spaces = ['--mount', '--pid', '--net', '--ipc', '--uts', '--propagation', 'private'];
    const words = [...this.#inside(this.#env), ...image.entrypoint, ...command];
    // it ends with this program, however that ends
    const apart = ['--pdeathsig', 'KILL', 'unshare', ...spaces, '--fork', '--kill-child'];
    const start = ['sh', '-c', START, 'sh', image.root, ...binds, '--', ...words];
    this.#child = spawn('setpriv', [...apart, ...start], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (piece: Buffer) => (this.output += piece.toString()));
    this.exited = once(this.#child, 'close').then(([code, signal]: unknown[]) => {
      this.#isOver = true;
      return signal !== null || KILLED.test(this.output) ? BY_SIGNAL : Number(code);
    });
  }

  /** Waits until it has printed something. @throws Error if it ends before, with all that it printed */
  async printed(what: RegExp): Promise<void> {
    await until(() => this.#isOver || what.test(this.output), `${what} in:\n${this.output}`, 30_000);
    if (!what.test(this.output)) throw new Error(`it ended without ${what}:\n${this.output}`);
  }

  /** Process 1, as the machine numbers it. */
  get pid(): number {
    const { pid } = this.#child;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    if (!/^\d+$/.test(children)) throw new Error(`process 1 is not there:\n${this.output}`);
    return Number(children);
  }

  /** A line of `/proc/1/status`. */
  status(name: string): string {
    const text = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1]?.split(/\s+/).join(' ') ?? '';
  }

  /** The processes that it has, by number, with their state: `Z` is a process that nobody waited for. */
  processes(): Map<number, { state: string; parent: number }> {
    const proc = `/proc/${this.pid}/root/proc`;
    const found = new Map<number, { state: string; parent: number }>();
    for (const name of readdirSync(proc).filter((each) => /^\d+$/.test(each))) {
      try {
        const [, state = '', parent = ''] =
          /\) (\S) (\d+)/.exec(readFileSync(join(proc, name, 'stat'), 'utf8')) ?? [];
        found.set(Number(name), { state, parent: Number(parent) });
      } catch {
        // it has ended since
      }
    }
    return found;
  }

  /** Runs a command in it, as `docker exec` does and health checks do. @returns its exit code */
  async exec(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
    const words = [...this.#inside({ ...this.#env, ...env }), ...command];
    return exitCode('nsenter', ['-t', `${this.pid}`, '-m', '-p', '-n', '-r', ...words]);
  }

  /** Runs a program of the machine, such as a client, on its network. @returns what it printed */
  async fromOutside(script: string): Promise<string> {
    const words = [
      '-t',
      `${this.pid}`,
      '-n',
      process.execPath,
      '--input-type=module',
      '-e',
      `${script}\nprocess.exit();`,
    ];
    const { stdout } = await promisify(execFile)('nsenter', words);
    return stdout;
  }

  /** Sends a signal to process 1, as an engine does. */
  signal(name: string): void {
    process.kill(this.pid, name);
  }

  /** Sends a signal to a process of it, by the number that it has there. */
  async signalInside(number: number, name: string): Promise<void> {
    await promisify(execFile)('nsenter', ['-t', `${this.pid}`, '-p', 'kill', `-${name}`, `${number}`]);
  }

  /** Ends it, if it has not ended. */
  async end(): Promise<void> {
    if (!this.#isOver) this.#child.kill('SIGKILL');
    await this.exited;
  }

  #inside(env: Readonly<Record<string, string>>): string[] {
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    // as a change of the user ends what unshare has set: it is killed with its parent
    const narrow = ['--bounding-set=-all', '--inh-caps=-all', '--no-new-privs', '--pdeathsig', 'KILL'];
    const enter = ['/usr/bin/env', '-i', `--chdir=${this.#image.workdir}`, ...words];
    return ['/usr/bin/setpriv', ...asUser(this.#image), ...narrow, ...enter];
  }
}

async function exitCode(command: string, args: readonly string[]): Promise<number> {
  const child = spawn(command, args, { stdio: 'ignore' });
  const [code] = (await once(child, 'close')) as [number | null];
  return code ?? 128;
}

/** The folders that an image needs besides its own: a new volume for each VOLUME. */
export function volumesOf(image: Image, dir: string): Volume[] {
  mkdirSync(dir, { recursive: true });
  return image.volumes.map((target) => new Volume(image, target, dir));
}
