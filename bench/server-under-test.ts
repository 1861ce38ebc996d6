import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import split from 'split2';
import { ROOT } from './paths.js';

/** A start that takes longer than this has failed, in milliseconds. */
const START_MS_MAX = 30_000;
/** Beyond this a server that was told to stop is killed, in milliseconds; Forebay's own limit is 10 s. */
const STOP_MS_MAX = 12_000;

export interface ServerCommand {
  /** As the tables call it. */
  readonly name: string;
  /** Whether it is Forebay, which counts its events, or the bare server, which keeps none. */
  readonly counts: boolean;
  /** The arguments of `node`. */
  readonly args: readonly string[];
}

export function bareServer(): ServerCommand {
  return { name: 'bare server', counts: false, args: [join(ROOT, 'dist/bench/bare-server.js')] };
}

/** @param logDir the folder of its append log */
export function forebay(fsync: 'always' | 'never', logDir: string): ServerCommand {
  const flags = { port: '0', fsync, 'log-dir': logDir, 'sink-latency': '0', 'log-format': 'json' };
  const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  // the port is said at level info
  return {
    name: `Forebay --fsync ${fsync}`,
    counts: true,
    args: [join(ROOT, 'bin/server.js'), ...args, '--log-level', 'info'],
  };
}

/** A server in a process of its own, on a free port of 127.0.0.1. */
export class ServerUnderTest {
  readonly name: string;
  readonly counts: boolean;
  port = 0;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  constructor({ name, counts, args }: ServerCommand) {
    this.name = name;
    this.counts = counts;
    // a process group of its own, so that Ctrl-C reaches it once, through `stop`
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    this.#closed = once(this.#child, 'close');
  }

  /** Resolves when it listens. What it prints after that is thrown away. */
  async started(): Promise<void> {
    const lines = this.#child.stdout?.pipe(split());
    const port = new Promise<number>((resolve) => {
      lines?.on('data', (line: string) => {
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

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS_MAX);
    await this.#closed;
    clearTimeout(timer);
  }
}
