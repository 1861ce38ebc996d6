import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../simulation/random.js';

/** How the sink treats what it is given: `frozen` answers nothing until it has another mood, and takes it then. */
export type Mood = 'well' | 'slow' | 'failing' | 'frozen';

/** An HTTP API that events are delivered to. What it takes counts, whether its answer arrives or not. */
export class MoodySink {
  readonly #host: string;
  readonly #take: (body: string, key: string) => void;
  readonly #random: Random;
  readonly #frozen: (() => void)[] = [];
  #server: Server | null = null;
  #port = 0;
  #mood: Mood = 'well';

  /** @param take gets each body that the sink has taken, and the key that it came under */
  constructor(host: string, random: Random, take: (body: string, key: string) => void) {
    this.#host = host;
    this.#random = random;
    this.#take = take;
  }

  get url(): string {
    return `http://${this.#host}:${this.#port}/`;
  }

  set mood(mood: Mood) {
    this.#mood = mood;
    if (mood !== 'frozen') for (const goOn of this.#frozen.splice(0)) goOn();
  }

  /** Does nothing if it is up. */
  async start(): Promise<void> {
    if (this.#server !== null) return;
    const server = createServer((req, res) => {
      void this.#answer(server, req, res).catch(() => res.destroy());
    });
    this.#server = server;
    server.listen(this.#port, this.#host);
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
  }

  /** As `kill -9` would: connections break off, and what was not taken is gone. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.close();
    server.closeAllConnections();
    this.#frozen.length = 0;
    await once(server, 'close');
  }

  async #answer(server: Server, req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await text(req);
    if (this.#mood === 'slow') await sleep(this.#random.spread(100, 2000));
    while (this.#mood === 'frozen') await new Promise<void>((resolve) => this.#frozen.push(resolve));
    if (this.#server !== server) return;
    const share = this.#mood === 'failing' ? this.#random.next() : 1;
    if (share < 0.3) {
      res.writeHead(share < 0.15 ? 500 : 503).end();
      return;
    }
    if (share < 0.4) {
      res.destroy();
      return;
    }
    this.#take(body, String(req.headers['idempotency-key']));
    if (share < 0.5) res.destroy();
    else res.writeHead(204).end();
  }
}
