import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Where a rival keeps its events. */
export interface Store {
  /** Resolves when the event is as safe as the store makes it. @param text one JSON text, without line breaks */
  keep(text: string): Promise<void>;
  /** How many events it holds: counted in the store, not while they came. */
  count(): Promise<number>;
}

/**
 * What all rivals have in common: the bare server of the other cases with a store behind it. `POST /events` reads
 * the body, parses it, keeps it, answers `202`; `GET /count` says how many are kept.
 *
 * @param name as it stands in the line that says the port
 */
export function openDoor(name: string, store: Store): void {
  const server = createServer((req, res) => {
    if (req.method === 'GET') {
      store.count().then(
        (count) => {
          answer(res, 200, { count });
        },
        (error: unknown) => {
          answer(res, 503, { error: String(error) });
        },
      );
      return;
    }
    void readText(req).then(async (text) => take(store, text, res));
  });
  server.listen(0, '127.0.0.1', () => {
    console.log(`${name} started on port ${(server.address() as AddressInfo).port}`);
  });
  process.on('SIGTERM', () => process.exit(0));
}

async function readText(req: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
    });
    req.on('end', () => {
      resolve(Buffer.concat(chunks).toString('utf8'));
    });
  });
}

async function take(store: Store, text: string, res: ServerResponse): Promise<void> {
  try {
    JSON.parse(text);
  } catch {
    answer(res, 400, { error: 'not JSON' });
    return;
  }
  try {
    await store.keep(text);
    answer(res, 202, { status: 'accepted' });
  } catch (error) {
    answer(res, 503, { error: String(error) });
  }
}

function answer(res: ServerResponse, status: number, value: object): void {
  const body = JSON.stringify(value);
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  res.end(body);
}
