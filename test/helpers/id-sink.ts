import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Scope } from './temp-dir.js';

/** An HTTP API that events are delivered to: knows the ids that it got. */
export class IdSink {
  readonly ids = new Set<string>();
  /** Lines beyond the first of an id. */
  duplicates = 0;
  /** Lines without an id. */
  strange = 0;
  /** While it is down it answers 503. */
  isDown = false;
  readonly url: string;
  #held: Promise<void> | null = null;
  #release = (): void => undefined;

  private constructor(url: string) {
    this.url = url;
  }

  static async open(scope: Scope): Promise<IdSink> {
    let sink: IdSink | null = null;
    const server = createServer((req, res) => {
      void text(req).then(async (body) => {
        if (sink !== null) await sink.#held;
        if (sink === null || sink.isDown) {
          res.writeHead(503).end();
          return;
        }
        sink.#take(body);
        res.writeHead(204).end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    scope.teardown(() => {
      server.close();
      server.closeAllConnections();
    });
    sink = new IdSink(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    return sink;
  }

  /** Requests get no answer until `release`. */
  hold(): void {
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  release(): void {
    this.#held = null;
    this.#release();
  }

  get flags(): string[] {
    return ['--sink', 'http', '--sink-url', this.url];
  }

  #take(body: string): void {
    for (const line of body.trim().split('\n')) {
      const { id } = JSON.parse(line) as { id?: string };
      if (id === undefined) this.strange++;
      else if (this.ids.has(id)) this.duplicates++;
      else this.ids.add(id);
    }
  }
}
