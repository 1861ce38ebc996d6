import type { Door } from '../../door/door.js';
import { health, readiness } from '../../door/probes.js';
import type { Forebay } from '../../forebay.js';
import type { Family } from '../metrics/family.js';
import { batchesOf, failureOf } from '../page/observed.js';
import type { Depth, PageReport, Probes, Report } from './report.js';

const PEEK_MS = 100;
/** If nobody has asked for this long, nobody looks at the page. */
const REST_MS = 5000;

/** What this process says of itself. */
export class OwnReports {
  readonly #forebay: Forebay;
  readonly #door: Door;
  readonly #families: () => Promise<readonly Family[]>;
  #peak = { events: 0, bytes: 0 };
  /** Set while someone looks at the page. */
  #peeks: NodeJS.Timeout | undefined;
  #lookedMs = 0;

  /** @param families reads the metrics */
  constructor(forebay: Forebay, door: Door, families: () => Promise<readonly Family[]>) {
    this.#forebay = forebay;
    this.#door = door;
    this.#families = families;
  }

  async report(pagesOpen: number, depth: Depth): Promise<Report> {
    if (depth === 'probes') return { families: [], page: null, probes: this.#probes(), pagesOpen };
    if (depth === 'page') this.#look();
    const [families, disk] = await Promise.all([this.#families(), this.#forebay.diskUsage()]);
    return { families, page: this.#page(disk, depth === 'page'), probes: this.#probes(), pagesOpen };
  }

  #probes(): Probes {
    const { isDraining } = this.#door;
    return {
      health: health(this.#forebay, isDraining),
      ready: readiness(this.#forebay, this.#door.refusal()),
    };
  }

  #page(disk: PageReport['disk'], looks: boolean): PageReport | null {
    const statistics = this.#forebay.statistics();
    if (statistics === null) return null;
    this.#peek();
    const peak = this.#peak;
    this.#peak = { events: 0, bytes: 0 };
    const { acceptedEvents, refusedEvents, strayRequests } = this.#door.counts;
    const { queueSize, queueBytes, backlogBytesMax } = this.#forebay.settings;
    const refusal = this.#door.refusal();
    const isHeldBack = statistics.sink.breaker !== 'closed' || statistics.paused !== null;
    return {
      statistics,
      healthy: this.#forebay.healthy,
      bounds: { queueSize, queueBytes, backlogBytesMax },
      disk,
      batches: {
        states: looks ? batchesOf(this.#forebay, isHeldBack) : [],
        lastFailure: failureOf(this.#forebay),
      },
      peak,
      counts: { acceptedEvents, refusedEvents, strayRequests },
      connections: this.#door.connections,
      sources: this.#door.sources.map(({ name, path, newest }) => ({
        name,
        path,
        heads: looks ? newest.heads() : [],
      })),
      refusal: refusal && { code: refusal.code, message: refusal.message },
    };
  }

  close(): void {
    clearInterval(this.#peeks);
  }

  #look(): void {
    this.#lookedMs = performance.now();
    this.#peeks ??= setInterval(() => {
      this.#peek();
      if (performance.now() - this.#lookedMs < REST_MS) return;
      clearInterval(this.#peeks);
      this.#peeks = undefined;
    }, PEEK_MS).unref();
  }

  #peek(): void {
    const statistics = this.#forebay.statistics();
    if (statistics === null) return;
    const { queuedEvents, queuedBytes } = statistics;
    const { events, bytes } = this.#peak;
    this.#peak = { events: Math.max(events, queuedEvents), bytes: Math.max(bytes, queuedBytes) };
  }
}
