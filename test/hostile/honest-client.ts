import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { HonestOrder, HonestReport } from './honest-worker.js';

/**
 * The client that must not notice an attack. In a thread of its own: what the strangers cost this process must not count
 * as the server's.
 */
export class HonestClient {
  readonly #worker: Worker;
  #asked: Promise<unknown> = Promise.resolve();

  constructor(port: number, name: string, isTls: boolean) {
    const workerData = { port, name, isTls };
    this.#worker = new Worker(new URL('honest-worker.js', import.meta.url), { workerData });
  }

  /** Measures waits from now on. */
  async mark(): Promise<HonestReport> {
    return this.#ask('mark');
  }

  async report(): Promise<HonestReport> {
    return this.#ask('report');
  }

  async end(): Promise<HonestReport> {
    const report = await this.#ask('end');
    await this.#worker.terminate();
    return report;
  }

  /** One after another: an answer does not say what it answers. */
  async #ask(order: HonestOrder): Promise<HonestReport> {
    const report = this.#asked.then(async () => {
      const answered = once(this.#worker, 'message') as Promise<[HonestReport]>;
      this.#worker.postMessage(order, []);
      return (await answered)[0];
    });
    this.#asked = report;
    return report;
  }
}
