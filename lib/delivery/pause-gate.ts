import { EventEmitter, once, setMaxListeners } from 'node:events';

/** Closed while delivery is paused: no attempt at the sink starts (N15). Those that run end. */
export class PauseGate extends EventEmitter<{ turn: [] }> {
  #isClosed = false;
  /** When the pause ends by itself, in milliseconds since 1970; `null`: when someone resumes. */
  untilMs: number | null = null;

  constructor() {
    super();
    setMaxListeners(0, this); // one for each batch that waits
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Until attempts may start, in milliseconds, as far as anyone knows. */
  get waitMs(): number {
    if (!this.#isClosed) return 0;
    return this.untilMs === null ? Infinity : Math.max(0, this.untilMs - Date.now());
  }

  set(isClosed: boolean, untilMs: number | null = null): void {
    this.untilMs = untilMs;
    if (isClosed === this.#isClosed) return;
    this.#isClosed = isClosed;
    this.emit('turn');
  }

  /** @throws AbortError at a stop */
  async opened(signal: AbortSignal): Promise<void> {
    while (this.#isClosed) await once(this, 'turn', { signal });
  }
}
