import type { Test } from 'tap';
import { Pool } from 'undici';
import type { Forebay } from '../../lib/forebay.js';
import type { Keys } from '../../lib/keys/keys.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';

/** What a client sees. */
export interface Answer {
  readonly status: number;
  /** In seconds; `null` where there is none. */
  readonly retryAfter: number | null;
  readonly code: string | null;
}

export interface HttpDoor {
  readonly post: (event: string) => Promise<Answer>;
  readonly get: (path: string) => Promise<Answer>;
}

/** Clients of a server, in this process or another; they go with the test. */
export function clientsOf(t: Test, port: number, connections: number = 64): HttpDoor {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections });
  t.teardown(() => pool.destroy());
  const ask = async (path: string, body: string | null): Promise<Answer> => {
    const {
      statusCode,
      headers,
      body: text,
    } = await pool.request({
      path,
      method: body === null ? 'GET' : 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    const { code = null } = (await text.json()) as { code?: string };
    const after = headers['retry-after'];
    return { status: statusCode, retryAfter: after === undefined ? null : Number(after), code };
  };
  return { post: async (event) => ask('/events', event), get: async (path) => ask(path, null) };
}

/** Clients of the HTTP door in front of a Forebay in this process. */
export async function openHttp(t: Test, forebay: Forebay): Promise<HttpDoor> {
  return clientsOf(t, (await openHttpServer(t, forebay)).port);
}

/** The HTTP door in front of a Forebay in this process. */
export async function openHttpServer(
  t: Test,
  forebay: Forebay,
  keys: Keys | null = null,
): Promise<IngestionServer> {
  const server = new IngestionServer({
    forebay,
    keys,
    host: '127.0.0.1',
    port: 0,
    bodyBytesMax: 2 ** 24,
    eventBytesMax: 2 ** 20,
    connectionsMax: 1000,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 30_000,
    keepAliveTimeoutMs: 65_000,
  });
  await server.start();
  t.teardown(() => server.stop(0));
  return server;
}
