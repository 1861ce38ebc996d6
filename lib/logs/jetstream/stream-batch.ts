import type { StreamMessage } from './stream-message.js';

/** Messages that go to the sink together. */
export interface StreamBatch {
  /** Of its first and last message: `events_120-163`. */
  readonly name: string;
  readonly messages: readonly StreamMessage[];
  readonly events: number;
  /** What they take of the stream. */
  readonly bytes: number;
  /** When the oldest was stored, in milliseconds of `performance.now()`. */
  readonly bornMs: number;
  /** Whether one was handed out before, to an instance that has not confirmed it. */
  readonly isRedelivered: boolean;
}

const PREFIX = 'events_';

export function streamBatch(taken: readonly StreamMessage[]): StreamBatch {
  const messages = taken.toSorted((a, b) => a.seq - b.seq);
  const [first = 0, last = 0] = [messages.at(0)?.seq, messages.at(-1)?.seq];
  const oldestMs = Math.min(...messages.map(({ storedAtMs }) => storedAtMs));
  return {
    name: first === last ? `${PREFIX}${first}` : `${PREFIX}${first}-${last}`,
    messages,
    events: messages.reduce((sum, { events }) => sum + events, 0),
    bytes: messages.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
    bornMs: performance.now() - Math.max(0, Date.now() - oldestMs),
    isRedelivered: messages.some(({ deliveries }) => deliveries > 1),
  };
}

/** The order of delivery: negative if the batch of the first name goes first. */
export function compareStreamBatches(a: string, b: string): number {
  return firstSeq(a) - firstSeq(b);
}

function firstSeq(name: string): number {
  return Number(/^events_(\d+)/.exec(name)?.[1] ?? Infinity);
}
