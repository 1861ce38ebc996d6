import { setTimeout as delay } from 'node:timers/promises';
import type { EventCounts } from '../lib/event-counts.js';
import { FLUENT_BIT_INPUT, FLUENT_BIT_OUTPUT } from './rival-stores.js';
import type { ServerUnderTest, Target } from './server-under-test.js';

/** How long delivery may take to catch up after a run, and between two looks at it, in milliseconds. */
const DRAIN_MS_MAX = 60_000;
const DRAIN_POLL_MS = 50;

/**
 * A run whose answers are checked against the server's own books: no fewer events taken than answered with `202`,
 * and none lost between accepted and delivered. Returns when everything is delivered, so that no run pays for the
 * one before it. Where the sink takes nothing, it returns at once.
 *
 * @throws where the books are wrong: a fast wrong answer is no result
 */
export async function audited<Run extends { readonly answered: number }>(
  server: Target,
  run: () => Promise<Run>,
): Promise<Run> {
  const before = await taken(server, 0);
  const result = await run();
  const events = (await taken(server, before + result.answered)) - before;
  if (server.books !== 'none' && events < result.answered) {
    throw new Error(`${server.name}: ${result.answered} events answered 202, but ${events} taken`);
  }
  return result;
}

/**
 * A server that has begun with a log, once it has delivered it.
 *
 * @throws where it has not delivered exactly this many events
 */
export async function deliveredAll(server: ServerUnderTest, events: number): Promise<void> {
  const { accepted, delivered } = await drained(server);
  if (accepted === events && delivered === events) return;
  throw new Error(
    `${server.name}: ${events} events on disk, but ${accepted} read and ${delivered} delivered`,
  );
}

/**
 * How many events the server has taken so far; if it delivers, all of them are delivered then.
 *
 * @param least how many it must have, if its count is late
 */
async function taken(server: Target, least: number): Promise<number> {
  switch (server.books) {
    case 'none':
      return 0;
    case 'stored':
      return ((await readJson(server.port, '/count')) as { count: number }).count;
    case 'accepted':
    case 'kept':
      return (await readCounts(server)).accepted;
    case 'delivered':
    case 'shared':
      return (await drained(server)).accepted;
    case 'forwarded':
      return forwarded(server, least);
  }
}

/** The counts once nothing is pending. */
async function drained(server: Target): Promise<EventCounts> {
  const end = performance.now() + DRAIN_MS_MAX;
  for (;;) {
    const counts = await readCounts(server);
    if (counts.pending === 0 && counts.unreadBatches === 0) return counts;
    if (performance.now() > end) {
      const shown = JSON.stringify(counts);
      throw new Error(`${server.name}: events pending ${DRAIN_MS_MAX} ms after the run: ${shown}`);
    }
    await delay(DRAIN_POLL_MS);
  }
}

/** What Fluent Bit says at `/api/v1/metrics`, as far as it is used here. */
interface FluentBitMetrics {
  readonly input: Readonly<Record<string, { readonly records: number }>>;
  readonly output: Readonly<Record<string, { readonly proc_records: number }>>;
}

/**
 * How many events Fluent Bit's input has taken, once its output has all of them. It renews its counts once a second,
 * and has none before.
 *
 * @param least how many must have come
 * @throws if they do not come
 */
async function forwarded({ name, port, adminPort }: Target, least: number): Promise<number> {
  const end = performance.now() + DRAIN_MS_MAX;
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${adminPort ?? port}/api/v1/metrics`);
    const text = await response.text();
    if (response.ok) {
      const { input, output } = JSON.parse(text) as FluentBitMetrics;
      const came = input[FLUENT_BIT_INPUT]?.records ?? NaN;
      const passedOn = output[FLUENT_BIT_OUTPUT]?.proc_records ?? NaN;
      if (came >= least && came === passedOn) return came;
    }
    if (performance.now() > end) {
      throw new Error(`${name}: less than ${least} events, or not all passed on, after the run: ${text}`);
    }
    await delay(DRAIN_POLL_MS);
  }
}

/** @throws where the counts do not add up, or events were set aside */
async function readCounts({ name, books, port, adminPort }: Target): Promise<EventCounts> {
  const { status, events } = (await readJson(adminPort ?? port, '/health')) as {
    status: string;
    events: EventCounts;
  };
  const { accepted, delivered, deadLettered, quarantined, pending } = events;
  const aside = deadLettered + quarantined;
  const addsUp = books === 'shared' || books === 'kept' || accepted === delivered + pending;
  if (status === 'ok' && aside === 0 && addsUp) return events;
  throw new Error(`${name}: GET /health is wrong: ${JSON.stringify({ status, events })}`);
}

/** What waits takes of the log, in bytes. */
export async function pendingBytes({ name, port, adminPort }: Target): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${adminPort ?? port}/metrics`);
  const [, bytes] = /^forebay_pending_bytes (\d+)$/m.exec(await response.text()) ?? [];
  if (bytes === undefined) throw new Error(`${name}: no forebay_pending_bytes at /metrics`);
  return Number(bytes);
}

async function readJson(port: number, path: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return response.json();
}
