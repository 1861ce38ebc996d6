import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import split from 'split2';
import { ROOT } from './paths.js';
import { memoryOf } from './process-memory.js';
import type { ProcessMemory } from './process-memory.js';
import { cpuMsOf } from './process-time.js';

/** A start that takes longer than this has failed, in milliseconds. */
const START_MS_MAX = 30_000;
/** Beyond this a server that was told to stop is killed, in milliseconds; Forebay's own limit is 10 s. */
const STOP_MS_MAX = 12_000;

/**
 * What a server can say of the events it took: `delivered`: Forebay, whose sink takes them; `accepted`: Forebay,
 * whose sink does not; `stored`: a rival, which counts what its store holds; `forwarded`: Fluent Bit, whose output
 * takes them; `shared`: Forebay, whose log counts what waits by looking at it; `kept`: the same, whose sink does not take
 * them; `none`: it keeps nothing.
 */
export type Books = 'delivered' | 'shared' | 'kept' | 'accepted' | 'stored' | 'forwarded' | 'none';

/** What is put under load: a server of this project, or a rival with the processes that belong to it. */
export interface Target {
  /** As the tables call it. */
  readonly name: string;
  readonly books: Books;
  readonly port: number;
  /** The port for operators, if it has another one. */
  readonly adminPort: number | null;
  /** How long it has computed so far, in milliseconds. @throws where the system has no `/proc` */
  cpuMs(): number;
}

export interface ServerCommand {
  /** As the tables call it. */
  readonly name: string;
  readonly books: Books;
  /** The arguments of `node`. */
  readonly args: readonly string[];
  /** Called with each line of its standard output. */
  readonly onLine?: (line: string) => void;
}

/** Flags of Forebay without the leading `--`. */
export type Flags = Readonly<Record<string, string | number>>;

export function bareServer(): ServerCommand {
  return { name: 'bare server', books: 'none', args: [join(ROOT, 'dist/bench/bare-server.js')] };
}

/**
 * Forebay, delivering to a sink that takes each batch at once.
 *
 * @param logDir the folder of its append log
 * @param flags what is set besides; they are part of its name
 */
export function forebay(logDir: string, flags: Flags = {}): ServerCommand {
  const all = {
    port: 0,
    'log-dir': logDir,
    'sink-latency': 0,
    'log-format': 'json',
    'log-level': 'info', // the port is said at this level
    ...flags,
  };
  return {
    name: ['Forebay', ...asArguments(flags)].join(' '),
    books: 'delivered',
    args: [join(ROOT, 'bin/server.js'), ...asArguments(all)],
  };
}

function asArguments(flags: Flags): string[] {
  return Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
}

/** A server in a process of its own, on a free port of 127.0.0.1. */
export class ServerUnderTest implements Target {
  readonly name: string;
  readonly books: Books;
  port = 0;
  adminPort: number | null = null;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #onLine: ServerCommand['onLine'];

  constructor({ name, books, args, onLine }: ServerCommand) {
    this.name = name;
    this.books = books;
    this.#onLine = onLine;
    // a process group of its own, so that Ctrl-C reaches it once, through `stop`
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    this.#closed = once(this.#child, 'close');
  }

  /** Resolves when it listens. What it prints after that goes to `onLine` only. */
  async started(): Promise<void> {
    const lines = this.#child.stdout?.pipe(split());
    const port = new Promise<number>((resolve) => {
      lines?.on('data', (line: string) => {
        this.#onLine?.(line);
        const admin = /Operators' address: port (\d+)/.exec(line)?.[1];
        if (admin !== undefined) this.adminPort = Number(admin);
        const found = / on port (\d+)/.exec(line)?.[1];
        if (found !== undefined) resolve(Number(found));
      });
    });
    const failed = this.#closed.then(() => Promise.reject(new Error(`${this.name} ended at its start`)));
    const late = new Promise<never>((_resolve, reject) => {
      const error = new Error(`${this.name} did not start within ${START_MS_MAX} ms`);
      setTimeout(reject, START_MS_MAX, error).unref();
    });
    this.port = await Promise.race([port, failed, late]);
  }

  /** @throws where the system has no `/proc` */
  memory(): ProcessMemory {
    return memoryOf(this.#child.pid);
  }

  cpuMs(): number {
    return cpuMsOf(this.#child.pid);
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS_MAX);
    await this.#closed;
    clearTimeout(timer);
  }
}
