import type { PauseGate } from '../delivery/pause-gate.js';
import type { SettlerOptions } from '../delivery/settler.js';

export interface DeliveryOptions extends Pick<SettlerOptions, 'log' | 'sink' | 'reporter' | 'blame'> {
  /** Batches on their way to the sink at the same time; with 1 they arrive in order. */
  readonly sinkConcurrency: number;
  /** Failures at an event, while the sink takes others, after which it counts as refused; `null`: never. */
  readonly sinkTriesMax: number | null;
  /** Closed while delivery is paused; without it, it never is. */
  readonly gate?: PauseGate;
  readonly random?: () => number;
  /** Memory for batches aside, in bytes. */
  readonly asideBytesMax?: number;
}
