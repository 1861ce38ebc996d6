import type { Batch } from '../../lib/seams/batch.js';
import type { Sink } from '../../lib/seams/sink.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { fileOf } from './ledger.js';
import type { Ledger, SentEvent } from './ledger.js';
import type { Surroundings } from './simulated-disk.js';
import type { Oddity } from './worlds.js';

export interface Moods {
  /** How likely an attempt fails, with nothing taken. */
  failing: number;
  /** How likely it takes the batch and fails all the same: the answer is lost. */
  answerLost: number;
  /** How likely it never answers. */
  silent: number;
  /** How likely it takes a part of the batch and fails. */
  cutOff: number;
  /** How likely it fails, and takes the batch later all the same. */
  late: number;
  /** Whether it takes what it refused before. */
  mended: boolean;
  /** How long it takes, about. */
  latencyMs: number;
}

export const WELL: Moods = {
  failing: 0,
  answerLost: 0,
  silent: 0,
  cutOff: 0,
  late: 0,
  mended: true,
  latencyMs: 1,
};

const KEEP_ANSWERS: readonly Oddity[] = ['keys', 'keys and damage', 'kept errors', 'conflicts'];
const CONFLICT = new SinkError('the key is known', { status: 409 });
const TOXIC_EVERY = 53;
/** Larger batches take too long for a sink that is slow. */
const SLOW_EVENTS = 3;

/** Whether the sink fails at an event, and does not say so. */
export function isToxic({ number }: SentEvent): boolean {
  return number % TOXIC_EVERY === 0;
}

/** What the sink has and knows: it outlives every process of Forebay, and is one for all of them. */
export class SinkMemory {
  /** Whether it fails at toxic events and large batches, and keeps errors, in worlds that have them. */
  isPicky = true;
  readonly world: ReadonlySet<Oddity>;
  /** What was answered under each key, `null` for a confirmation; nothing where it does not keep answers. */
  readonly #answers = new Map<string, Error | null>();
  /** Errors that are kept as if they were such answers. */
  readonly #errors = new Map<string, Error>();
  /** Events with such an error under the key that each has by itself. */
  readonly #stuck = new Set<SentEvent>();
  /** Events with one under any of their keys. */
  readonly #failed = new Set<SentEvent>();
  readonly #ledger: Ledger;

  constructor(world: ReadonlySet<Oddity>, ledger: Ledger) {
    this.world = world;
    this.#ledger = ledger;
  }

  /** Whether it goes by keys, so that a key must stand for the same events each time. */
  get goesByKeys(): boolean {
    return KEEP_ANSWERS.some((oddity) => this.world.has(oddity));
  }

  answerOf({ key }: Batch): Error | null | undefined {
    const answer = this.#answers.get(key);
    if (this.isPicky && answer === undefined) return this.#errors.get(key);
    return this.isPicky && answer === null && this.world.has('conflicts') ? CONFLICT : answer;
  }

  keepError({ key }: Batch, events: readonly SentEvent[], error: Error): void {
    if (!this.world.has('kept errors')) return;
    this.#errors.set(key, error);
    const [event] = events;
    // also as a batch of one event, which gets no other key while it is the only one that can be read
    if (event !== undefined && events.length === 1) this.#stuck.add(event);
    for (const each of events) this.#failed.add(each);
  }

  /**
   * Whether it will not take an event as long as it keeps errors. A batch or part of which it keeps one comes again in
   * smaller parts, under other keys. An event by itself has no smaller part: its key is the last, the same at each attempt
   * and after a crash, so that an API that has taken it knows it. Nobody can deliver it but under another key.
   */
  isStuck(event: SentEvent): boolean {
    return this.isPicky && this.#stuck.has(event);
  }

  /**
   * Whether it keeps an error under a key that an event has come with. If nothing new comes that it takes, a sink that has
   * one for all that waits is an outage, as far as anyone can tell. Then one batch only gets new keys (decision 51), as what
   * was taken and lost its answer would come twice under them; if that one is stuck, the others wait for its keys to end.
   */
  hasFailedAt(event: SentEvent): boolean {
    return this.isPicky && this.#failed.has(event);
  }

  keep({ key }: Batch, answer: Error | null): void {
    if (this.goesByKeys) this.#answers.set(key, answer);
  }

  /** Takes events of a batch, unless it has answered its key already. */
  take(batch: Batch, events: readonly SentEvent[], answer: Error | null): void {
    if (this.#answers.has(batch.key)) return;
    this.#ledger.took(events);
    this.keep(batch, answer);
  }
}

/** A sink that takes batches, fails, or takes them and fails all the same. What it took outlives the process. */
export function moodySink(
  around: Surroundings,
  ledger: Ledger,
  memory: SinkMemory,
  moods: Moods,
  inOrder: boolean,
): Sink {
  const { time, random, trace, tally } = around;
  const { world } = memory;
  /** The file of the last attempt, if that has failed. If another file comes next, this one has left its place (N11). */
  let failedAt: string | null = null;

  /** What becomes of an attempt: `null`: it is confirmed. */
  const answer = (batch: Batch, events: readonly SentEvent[]): Error | null => {
    const kept = memory.answerOf(batch);
    if (kept !== undefined) {
      tally.count('sink', 'answers given again under their key');
      return kept;
    }
    if (random.chance(moods.failing)) {
      tally.count('sink', 'attempts failed');
      const error = new Error('the sink is unwell');
      memory.keepError(batch, events, error);
      return error;
    }
    const isToxicBatch = world.has('toxic events') && events.some(isToxic);
    const isSlow = world.has('slow if large') && batch.events > SLOW_EVENTS;
    if (memory.isPicky && (isToxicBatch || isSlow)) {
      tally.count('sink', isToxicBatch ? 'attempts that failed at an event' : 'attempts that took too long');
      return new Error(isToxicBatch ? 'the sink fails at something' : 'the sink did not answer in time');
    }
    // what it has it does not refuse
    const isPoison = ({ poison, taken }: SentEvent): boolean => poison && !taken && !moods.mended;
    const good = events.filter((event) => !isPoison(event));
    if (moods.cutOff > 0 && random.chance(moods.cutOff)) {
      tally.count('sink', 'batches cut off, and a part of them taken');
      // one that goes by keys refuses again, under the same key, what it has refused before it was mended
      const some = good.slice(0, random.whole(0, good.length));
      ledger.took(some.filter(({ poison }) => !memory.goesByKeys || !poison));
      return new Error('the connection broke');
    }
    const poison = events.flatMap((event, index) =>
      isPoison(event) ? [{ index, reason: 'poison', status: 400 }] : [],
    );
    if (poison.length > 0 && random.chance(0.5)) {
      tally.count('sink', 'batches refused whole');
      const refusal = new SinkError('poison', { status: 400, refused: 'all' });
      memory.keep(batch, refusal);
      return refusal;
    }
    const verdict = poison.length > 0 ? new SinkError('poison', { refused: poison }) : null;
    if (moods.late > 0 && random.chance(moods.late)) {
      tally.count('sink', 'batches taken after their attempt had failed');
      time.after(random.spread(1, 5000), `sink takes ${batch.name} late`, () => {
        memory.take(batch, good, verdict);
      });
      return new Error('the sink did not answer in time');
    }
    memory.take(batch, good, verdict);
    if (random.chance(moods.answerLost)) {
      tally.count('sink', 'batches taken, and the answer lost');
      return new Error("the sink's answer is lost");
    }
    const what = verdict === null ? 'batches confirmed' : 'batches taken but for events that were named';
    tally.count('sink', what);
    return verdict;
  };

  return {
    deliver(batch, signal) {
      const file = fileOf(batch.name);
      if (inOrder && failedAt !== null && failedAt !== file) ledger.steppedAside.add(failedAt);
      failedAt = null;
      const events = ledger.appeared(batch, inOrder);
      const takesMs = moods.latencyMs * (0.1 + 1.8 * random.next());
      trace.add(`  to the sink: ${batch.name}, ${batch.events} events`);
      return new Promise((resolve, reject) => {
        if (random.chance(moods.silent)) {
          tally.count('sink', 'attempts without an answer');
          signal.addEventListener('abort', () => {
            reject(new Error('the sink was not waited for'));
          });
          return;
        }
        time.after(takesMs, `sink answers ${batch.name}`, () => {
          const error = answer(batch, events);
          const isRefusal = error instanceof SinkError && error.refused !== null;
          if (error !== null && !isRefusal) failedAt = file;
          if (error === null) resolve();
          else reject(error);
        });
      });
    },
  };
}
