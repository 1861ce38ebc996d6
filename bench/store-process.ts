import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cpuMsOf } from './process-time.js';

const execute = promisify(execFile);

const START_MS_MAX = 10_000;
const POLL_MS = 50;
/** How much of what it prints is kept for an error, in characters. */
const SAID_MAX = 1000;

/** A program that is no part of this project and keeps events, in a process of its own on a port of 127.0.0.1. */
export class StoreProcess {
  readonly port: number;
  /** The port for operators, if it has another one. */
  readonly adminPort: number | null;
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  #said = '';

  /** @param port a free one, which is in `args` or in a file that they name; so is `adminPort` */
  constructor(name: string, args: readonly string[], port: number, adminPort: number | null = null) {
    this.#name = name;
    this.port = port;
    this.adminPort = adminPort;
    this.#child = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#said = `${this.#said}${chunk.toString()}`.slice(-SAID_MAX);
      });
    }
    this.#closed = once(this.#child, 'close');
    // where it could not be spawned, `started` says so
    this.#closed.catch(() => undefined);
  }

  /** Resolves when it can be connected to. */
  async started(): Promise<void> {
    const end = performance.now() + START_MS_MAX;
    const ended = this.#closed.then(() =>
      Promise.reject(new Error(`${this.#name} ended at its start:\n${this.#said}`)),
    );
    ended.catch(() => undefined);
    for (const port of [this.port, this.adminPort ?? this.port]) {
      while (!(await Promise.race([isOpen(port), ended]))) {
        if (performance.now() > end) {
          throw new Error(`${this.#name} did not start within ${START_MS_MAX} ms:\n${this.#said}`);
        }
        await delay(POLL_MS);
      }
    }
  }

  /** How long it has computed so far, in milliseconds. @throws where the system has no `/proc` */
  cpuMs(): number {
    return cpuMsOf(this.#child.pid);
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL'); // what it stored is not used again
    await this.#closed.catch(() => undefined);
  }
}

/** What a program prints; `null` if it is missing or fails. */
export async function outputOf(program: string, args: readonly string[]): Promise<string | null> {
  try {
    return (await execute(program, args)).stdout;
  } catch {
    return null;
  }
}

/** A port that nobody used a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
