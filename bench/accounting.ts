import { setTimeout as delay } from 'node:timers/promises';
import type { ServerUnderTest } from './server-under-test.js';

/** Events since the server's start, as `GET /health` shows them. */
interface Counts {
  readonly accepted: number;
  readonly delivered: number;
  readonly deadLettered: number;
  readonly pending: number;
}

/** How long delivery may take to catch up after a run, and between two looks at it, in milliseconds. */
const DRAIN_MS_MAX = 60_000;
const DRAIN_POLL_MS = 50;

/**
 * A run whose answers are checked against the server's own books: no fewer events accepted than answered with
 * `202`, and none lost between accepted and delivered. Returns when everything is delivered, so that no run pays
 * for the one before it.
 *
 * @throws where the books are wrong: a fast wrong answer is no result
 */
export async function audited<Run extends { readonly answered: number }>(
  server: ServerUnderTest,
  run: () => Promise<Run>,
): Promise<Run> {
  if (!server.counts) return run();
  const before = await drained(server);
  const result = await run();
  const after = await drained(server);
  const accepted = after.accepted - before.accepted;
  if (accepted < result.answered) {
    throw new Error(`${server.name}: ${result.answered} answers 202, but ${accepted} events accepted`);
  }
  return result;
}

/** The counts once nothing is pending; at every look they must add up. */
async function drained({ name, port }: ServerUnderTest): Promise<Counts> {
  const end = performance.now() + DRAIN_MS_MAX;
  for (;;) {
    const { status, events } = await readHealth(port);
    const { accepted, delivered, deadLettered, pending } = events;
    const right = status === 'ok' && deadLettered === 0 && accepted === delivered + deadLettered + pending;
    if (pending === 0 && right) return events;
    if (!right || performance.now() > end) {
      const why = right ? `has events pending ${DRAIN_MS_MAX} ms after the run` : 'is wrong';
      throw new Error(`${name}: GET /health ${why}: ${JSON.stringify({ status, events })}`);
    }
    await delay(DRAIN_POLL_MS);
  }
}

async function readHealth(port: number): Promise<{ status: string; events: Counts }> {
  const response = await fetch(`http://127.0.0.1:${port}/health`);
  return (await response.json()) as { status: string; events: Counts };
}
