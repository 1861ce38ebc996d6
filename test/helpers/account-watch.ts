import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { Scrape } from './scrape.js';

const EVERY_MS = 100;
const IDENTITY = 'forebay_unaccounted_events';

/** Scrapes servers while they run: in each scrape every accepted event must be accounted for. */
export class AccountWatch {
  scrapes = 0;
  /** Scrapes in which they did not add up, or that could not be read. */
  readonly broken: string[] = [];

  /** Scrapes this server until it is gone. */
  async watch(port: number): Promise<void> {
    for (;;) {
      const text = await this.#ask(port);
      if (text === null) return;
      if (text !== '') this.#check(text);
      await sleep(EVERY_MS);
    }
  }

  /** The metrics; '' if the server starts or stops and has none. `null`: it is gone. */
  async #ask(port: number): Promise<string | null> {
    try {
      const { statusCode, body } = await request(`http://127.0.0.1:${port}/metrics`);
      const text = await body.text();
      return statusCode === 503 ? '' : text;
    } catch {
      return null;
    }
  }

  #check(text: string): void {
    this.scrapes++;
    try {
      const unaccounted = new Scrape(text).value(IDENTITY);
      if (unaccounted !== 0) this.broken.push(`${IDENTITY} ${unaccounted}`);
    } catch (error) {
      this.broken.push(String(error));
    }
  }
}
