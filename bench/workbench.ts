import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './paths.js';
import { ServerUnderTest } from './server-under-test.js';
import type { ServerCommand } from './server-under-test.js';

/** The temporary folder, the servers and the load of a run; `clear` leaves nothing of them. */
export class Workbench {
  /** In `dist/`, as the system's folder for temporary files is often in memory. */
  readonly dir: string;
  readonly #servers: ServerUnderTest[] = [];
  readonly #load = new AbortController();

  constructor() {
    const parent = join(ROOT, 'dist');
    mkdirSync(parent, { recursive: true });
    this.dir = mkdtempSync(join(parent, 'bench-logs-'));
  }

  /** Aborts when the run is over: for load that comes from another process. */
  get signal(): AbortSignal {
    return this.#load.signal;
  }

  /** Starts the servers, one after the other. */
  async start(commands: readonly ServerCommand[]): Promise<ServerUnderTest[]> {
    const started: ServerUnderTest[] = [];
    for (const command of commands) {
      const server = new ServerUnderTest(command);
      this.#servers.push(server);
      await server.started();
      started.push(server);
    }
    return started;
  }

  /** Stops the servers; the next case begins with its own. */
  async stopServers(): Promise<void> {
    await Promise.all(this.#servers.splice(0).map(async (server) => server.stop()));
  }

  /** Stops everything and removes the folder. */
  async clear(): Promise<void> {
    this.#load.abort();
    await this.stopServers();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
