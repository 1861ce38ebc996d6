import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const START_MS_MAX = 10_000;
const POLL_MS = 50;

/** A store that is no part of this project, in a process of its own on a port of 127.0.0.1. */
export class StoreProcess {
  readonly port: number;
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  /** @param port a free one, which stands in `args` too */
  constructor(name: string, args: readonly string[], port: number) {
    this.#name = name;
    this.port = port;
    this.#child = spawn(name, args, { stdio: 'ignore', detached: true });
    this.#closed = once(this.#child, 'close');
    // where it could not be spawned, `started` says so
    this.#closed.catch(() => undefined);
  }

  /** Resolves when it can be connected to. */
  async started(): Promise<void> {
    const end = performance.now() + START_MS_MAX;
    const ended = this.#closed.then(() => Promise.reject(new Error(`${this.#name} ended at its start`)));
    ended.catch(() => undefined);
    while (!(await Promise.race([isOpen(this.port), ended]))) {
      if (performance.now() > end) throw new Error(`${this.#name} did not start within ${START_MS_MAX} ms`);
      await delay(POLL_MS);
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL'); // what it stored is not used again
    await this.#closed.catch(() => undefined);
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
