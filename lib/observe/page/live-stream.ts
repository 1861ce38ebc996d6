import type { ServerResponse } from 'node:http';

/** At most this many pages may be open; each costs one write per second. */
export const STREAMS_MAX = 200;
/** A page that does not read gets nothing more until it has read: what waits for it is bounded. */
const WAITING_BYTES_MAX = 65_536;
/** A page that has missed this many sends in a row, a minute, is closed: it takes the place of another. */
const SKIPPED_MAX = 60;

/** An event as server-sent events put it. JSON has no line breaks. */
export function sseText(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The open pages. All get the same bytes. */
export class LiveStream {
  /** How many sends in a row each has missed. */
  readonly #pages = new Map<ServerResponse, number>();
  #isClosed = false;

  get pages(): number {
    return this.#pages.size;
  }

  /** Whether one more page may be opened. */
  get hasRoom(): boolean {
    return !this.#isClosed && this.#pages.size < STREAMS_MAX;
  }

  /** Starts a stream of server-sent events that goes on until the page is closed. */
  open(res: ServerResponse, first: string): void {
    res.shouldKeepAlive = false; // the stream ends with its connection
    res.removeHeader('Transfer-Encoding'); // and needs no other end: in chunks each write would be three
    res.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no', // nginx would keep it back
      'X-Content-Type-Options': 'nosniff',
      'Cross-Origin-Resource-Policy': 'same-origin',
    });
    this.#pages.set(res, 0);
    res.on('error', () => undefined);
    res.once('close', () => this.#pages.delete(res));
    res.write(first);
  }

  send(text: string): void {
    const bytes = Buffer.from(text);
    for (const [res, skipped] of this.#pages) {
      const isReading = res.writableLength <= WAITING_BYTES_MAX;
      this.#pages.set(res, isReading ? 0 : skipped + 1);
      if (isReading) res.write(bytes);
      else if (skipped >= SKIPPED_MAX) res.destroy();
    }
  }

  /** Ends all streams, at once even if a page does not read. */
  close(): void {
    this.#isClosed = true;
    for (const res of this.#pages.keys()) {
      if (res.writableLength === 0) res.end();
      else res.destroy();
    }
  }
}
