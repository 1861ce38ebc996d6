import { EventEmitter, once } from 'node:events';
import type { EventContext } from '../../lib/event/event-context.js';
import type { Batch } from '../../lib/seams/batch.js';
import type { EventContexts } from '../../lib/seams/event-contexts.js';
import type { Sink } from '../../lib/seams/sink.js';
import { WAIT_MS } from './wait-for.js';

/** Keeps what it is given. Can be held, or told to fail. */
export class CollectingSink extends EventEmitter implements Sink {
  readonly batches: {
    readonly name: string;
    readonly events: number;
    readonly text: string;
    readonly contexts: EventContexts;
  }[] = [];
  readonly attempts: string[] = [];
  /** The error of the next attempts, if they are to fail. */
  error: Error | null = null;
  held = false;

  async deliver({ name, events, bytes, contexts }: Batch, signal: AbortSignal): Promise<void> {
    this.attempts.push(name);
    this.emit('attempt');
    while (this.held) await once(this, 'released', { signal });
    if (this.error !== null) throw this.error;
    this.batches.push({ name, events, text: bytes.toString('utf8'), contexts });
    this.emit('delivered');
  }

  release(): void {
    this.held = false;
    this.emit('released');
  }

  /** All delivered lines, in order. */
  get lines(): string[] {
    return this.batches.flatMap(({ text }) => text.split('\n').filter((line) => line !== ''));
  }

  /** What each event came with, by its id. */
  get contexts(): Record<string, EventContext | null> {
    const all = this.batches.flatMap(({ text, contexts }) =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line, index) => [(JSON.parse(line) as { id: string }).id, contexts[index] ?? null] as const),
    );
    return Object.fromEntries(all);
  }

  /**
   * Resolves when this many events have arrived.
   *
   * @throws Error if they do not in time
   */
  async received(events: number, waitMs: number = WAIT_MS): Promise<void> {
    const signal = AbortSignal.timeout(waitMs);
    const late = (): never => {
      throw new Error(`not within ${waitMs} ms: ${events} events are delivered, not ${this.lines.length}`);
    };
    while (this.lines.length < events) await once(this, 'delivered', { signal }).catch(late);
  }
}
