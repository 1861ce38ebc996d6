import type { Sink } from '../../lib/sinks/sink.js';
import { SinkError } from '../../lib/sinks/sink-error.js';
import type { Ledger } from './ledger.js';
import type { Surroundings } from './simulated-disk.js';

export interface Moods {
  /** How likely an attempt fails, with nothing taken. */
  failing: number;
  /** How likely it takes the batch and fails all the same: the answer is lost. */
  answerLost: number;
  /** How likely it never answers. */
  silent: number;
  /** How long it takes, about. */
  latencyMs: number;
}

export const WELL: Moods = { failing: 0, answerLost: 0, silent: 0, latencyMs: 1 };

/** A sink that takes batches, fails, or takes them and fails all the same. What it took outlives the process. */
export function moodySink(around: Surroundings, ledger: Ledger, moods: Moods, inOrder: boolean): Sink {
  const { time, random, trace, tally } = around;
  return {
    deliver(batch, signal) {
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
          if (random.chance(moods.failing)) {
            tally.count('sink', 'attempts failed');
            reject(new Error('the sink is unwell'));
            return;
          }
          const poison = events.flatMap(({ poison }, index) =>
            poison ? [{ index, reason: 'poison', status: 400 }] : [],
          );
          if (poison.length > 0 && random.chance(0.5)) {
            tally.count('sink', 'batches refused whole');
            reject(new SinkError('poison', { status: 400, refused: 'all' }));
            return;
          }
          ledger.took(events.filter(({ poison }) => !poison));
          if (random.chance(moods.answerLost)) {
            tally.count('sink', 'batches taken, and the answer lost');
            reject(new Error("the sink's answer is lost"));
          } else if (poison.length > 0) {
            tally.count('sink', 'batches taken but for events that were named');
            reject(new SinkError('poison', { refused: poison }));
          } else {
            tally.count('sink', 'batches confirmed');
            resolve();
          }
        });
      });
    },
  };
}
