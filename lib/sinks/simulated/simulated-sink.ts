import { setTimeout as sleep } from 'node:timers/promises';
import { SinkError } from '../../seams/sink-error.js';
import type { Sink } from '../../seams/sink.js';

export interface SimulatedSinkOptions {
  /** How long a batch takes, in milliseconds, give or take a half. */
  readonly latencyMs: number;
  /** How many of the attempts fail, from 0 to 1. */
  readonly failureRate: number;
  readonly random?: () => number;
}

/** Simulates an API of the given latency and reliability. It keeps nothing. */
export class SimulatedSink implements Sink {
  readonly description = { kind: 'simulated', keepsNothing: true } as const;
  readonly #latencyMs: number;
  readonly #failureRate: number;
  readonly #random: () => number;

  constructor({ latencyMs, failureRate, random = Math.random }: SimulatedSinkOptions) {
    this.#latencyMs = latencyMs;
    this.#failureRate = failureRate;
    this.#random = random;
  }

  async deliver(_batch: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const latencyMs = this.#latencyMs * (0.5 + this.#random());
    if (latencyMs > 0) await sleep(latencyMs, undefined, { signal });
    if (this.#random() < this.#failureRate) {
      // by chance: it is never the batch
      throw new SinkError('simulated failure (--sink-failure-rate)', { reached: false });
    }
  }
}
