import { Histogram, SECONDS } from '../../base/histogram.js';

const TIMER_MS = 100;

/** CPU, memory and the event loop of this process. */
export class ProcessStatistics {
  readonly node = process.version;
  /** Read once: each reading of the two clocks differs a little, and would look like a restart. */
  readonly #startSeconds = Date.now() / 1000 - process.uptime();
  readonly #eventLoopDelay = new Histogram(SECONDS);
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let dueMs = performance.now() + TIMER_MS;
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      this.#eventLoopDelay.observe(Math.max(0, nowMs - dueMs) / 1000);
      dueMs = nowMs + TIMER_MS;
    }, TIMER_MS).unref();
  }

  read(): {
    cpuSeconds: number;
    residentBytes: number;
    heapBytes: number;
    startSeconds: number;
    eventLoopDelay: Histogram;
  } {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    return {
      cpuSeconds: (user + system) / 1e6,
      residentBytes: rss,
      heapBytes: heapUsed,
      startSeconds: this.#startSeconds,
      eventLoopDelay: this.#eventLoopDelay,
    };
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
