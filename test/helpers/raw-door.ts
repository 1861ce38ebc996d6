import type { Test } from 'tap';
import { createForebay } from '../../lib/forebay.js';
import type { Forebay, ForebayOptions } from '../../lib/forebay.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import type { IngestionServerOptions } from '../../lib/door/ingestion-server.js';
import { HTTP_SETTINGS } from '../../lib/settings/http-settings.js';
import { CollectingSink } from './collecting-sink.js';
import { heldDisk } from './held-disk.js';
import type { HeldDisk } from './held-disk.js';
import { RawClient } from './raw-client.js';
import type { RawClientOptions } from './raw-client.js';
import { tempDir } from './temp-dir.js';
import type { Scope } from './temp-dir.js';

const MIB = 2 ** 20;

/** A door in this process for clients that send bytes as they like. */
export interface Door {
  readonly disk: HeldDisk;
  readonly sink: CollectingSink;
  readonly forebay: Forebay;
  readonly server: IngestionServer;
  /** A new connection, closed after the test. */
  readonly connect: (options?: RawClientOptions) => Promise<RawClient>;
}

type DoorOptions = Partial<
  Omit<ForebayOptions, 'sink' | 'fs'> & Omit<IngestionServerOptions, 'forebay' | 'host' | 'port'>
>;

/** Opens a door whose disk can be held, and closes it after the test. */
export async function openRaw(
  t: Scope,
  { sources, keys, handshakesMax, ...options }: DoorOptions = {},
): Promise<Door> {
  const isHttp = ([key]: [string, unknown]): boolean => key in HTTP_SETTINGS;
  const given = Object.entries(options);
  const pipeline = Object.fromEntries(given.filter((each) => !isHttp(each)));
  const disk = heldDisk();
  const sink = new CollectingSink();
  const forebay = createForebay({ logDir: tempDir(t), batchWaitMs: 10, ...pipeline, sink, fs: disk.fs });
  await forebay.start();
  const limits = { bodyBytesMax: MIB, connectionsMax: 1000, ...Object.fromEntries(given.filter(isHttp)) };
  const { logger } = options;
  const server = new IngestionServer({
    forebay,
    host: '127.0.0.1',
    port: 0,
    ...limits,
    ...(sources && { sources }),
    ...(keys && { keys }),
    ...(handshakesMax !== undefined && { handshakesMax }),
    ...(logger && { logger }),
  });
  await server.start();
  const { port } = server;
  t.teardown(async () => {
    disk.release();
    await server.stop(0);
    await forebay.stop(0);
  });
  const tls = options.tlsCert === undefined ? undefined : { rejectUnauthorized: false };
  const connect = async (how?: RawClientOptions): Promise<RawClient> => {
    const client = await RawClient.connect(port, { tls, ...how });
    t.teardown(() => client.socket.destroy());
    return client;
  };
  return { disk, sink, forebay, server, connect };
}

export function event(id: string, data: unknown = null): string {
  return JSON.stringify({ id, type: 'test', data, timestamp: 1 });
}

export function ids(lines: readonly string[]): string[] {
  return lines.map((line) => (JSON.parse(line) as { id: string }).id);
}

/** The head of a `POST`, and whatever of its body is given. */
export function post(
  headers: Readonly<Record<string, string | number>>,
  body = '',
  path = '/events',
): string {
  const fields = Object.entries({ Host: 'localhost', 'Content-Type': 'application/json', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `POST ${path} HTTP/1.1\r\n${fields.join('')}\r\n${body}`;
}

export function whole(body: string, headers: Readonly<Record<string, string>> = {}): string {
  return post({ ...headers, 'Content-Length': Buffer.byteLength(body) }, body);
}

export function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

export const GET_HEALTH = 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n';
export const CHUNKED = { 'Transfer-Encoding': 'chunked' };
export const ACCEPTED = '{"status":"accepted"}\n';
export const FULL = '{"error":"Queue full, please retry later"}\n';

/** Batches are delivered in order: what is there before an event that was posted last is all there will be. */
export async function hasTaken(
  t: Test,
  { connect, sink, forebay }: Door,
  taken: readonly string[],
): Promise<void> {
  const client = await connect();
  await client.send(whole(event('last')));
  t.equal((await client.answer()).status, 202);
  while (!ids(sink.lines).includes('last')) await sink.received(sink.lines.length + 1);
  t.same(ids(sink.lines), [...taken, 'last'], 'the sink got what was accepted, nothing else');
  t.equal(forebay.counts().accepted, taken.length + 1);
}
