import { mkdirSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from './paths.js';
import { ServerUnderTest } from './server-under-test.js';
import type { ServerCommand } from './server-under-test.js';

/** What a case starts and the Workbench ends. */
interface Stoppable {
  stop(): Promise<void>;
}

/** The temporary folder, the servers and the load of a run; `clear` leaves nothing of them. */
export class Workbench {
  /** In `dist/`, as the system's folder for temporary files is often in memory. */
  readonly dir: string;
  readonly #started: Stoppable[] = [];
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
      this.endsWithCase(server);
      await server.started();
      started.push(server);
    }
    return started;
  }

  /**
   * Takes something that was started; it is stopped before what came earlier, which it may need.
   *
   * @throws where the run is over meanwhile; it is stopped then
   */
  endsWithCase(started: Stoppable): void {
    if (this.signal.aborted) void started.stop();
    this.signal.throwIfAborted();
    this.#started.push(started);
  }

  /** Stops what was started; the next case begins with its own. */
  async stopServers(): Promise<void> {
    for (let last = this.#started.pop(); last !== undefined; last = this.#started.pop()) await last.stop();
  }

  /** Stops everything and removes the folder. */
  async clear(): Promise<void> {
    this.#load.abort();
    await this.stopServers();
    // again where files are still being written
    await rm(this.dir, { recursive: true, force: true, maxRetries: 10 });
  }
}
