import { compareBatchNames } from '../../logs/file/batch-name.js';
import type { SinkDescription } from '../../seams/sink.js';
import type { LogSpace } from '../../seams/event-log.js';
import { NEWEST_MAX } from '../../door/newest-events.js';
import { RequestCounts } from '../../door/request-counts.js';
import { BATCHES_SHOWN_MAX } from '../page/batch-states.js';
import type { BatchState } from '../page/messages.js';
import type {
  IdUsage,
  KnownBatches,
  ObservedDoor,
  ObservedForebay,
  ObservedSource,
} from '../page/observed.js';
import type { Statistics } from '../../statistics.js';
import { mergeSpaces, mergeStatistics } from './merge-statistics.js';
import type { PageReport, ReportOf } from './report.js';

interface Part extends PageReport {
  readonly worker: number;
}

/** Several pipelines and their doors, as the page sees one: the sum of their last reports. */
export class Whole implements ObservedForebay, ObservedDoor {
  readonly sink: SinkDescription;
  readonly #logDir: string;
  #parts: readonly Part[] = [];

  constructor(logDir: string, sink: SinkDescription) {
    this.#logDir = logDir;
    this.sink = sink;
  }

  update(reports: readonly ReportOf[]): void {
    this.#parts = reports.flatMap((each) => {
      const { page } = each.report;
      if (page === null) return [];
      const statistics = { ...page.statistics, sink: sinkOf(each, page.statistics.sink) };
      return [{ worker: each.worker, ...page, statistics }];
    });
  }

  get settings(): ObservedForebay['settings'] {
    const doors = this.#doors;
    const sum = (key: keyof PageReport['bounds']): number =>
      doors.reduce((total, { bounds }) => total + bounds[key], 0);
    return {
      logDir: this.#logDir,
      queueSize: sum('queueSize'),
      queueBytes: sum('queueBytes'),
      backlogBytesMax: sum('backlogBytesMax'),
    };
  }

  get healthy(): boolean {
    return this.#parts.every(({ healthy }) => healthy);
  }

  /** What is in the queues is the most that was in them lately. */
  statistics(): Statistics | null {
    const [first, ...others] = this.#parts.map(({ statistics, peak: { events, bytes } }) => ({
      ...statistics,
      queuedEvents: events,
      queuedBytes: bytes,
    }));
    return first === undefined ? null : mergeStatistics([first, ...others]);
  }

  async diskUsage(): Promise<LogSpace | null> {
    const spaces = this.#parts.flatMap(({ disk }) => disk ?? []);
    return spaces.length === 0 ? null : mergeSpaces(spaces);
  }

  recentBatches(): KnownBatches {
    const states = this.#parts
      .flatMap(({ worker, batches }) => batches.states.map((state) => ({ state, worker })))
      .toSorted((a, b) => compareBatchNames(b.state.name, a.state.name))
      .slice(0, BATCHES_SHOWN_MAX)
      .map(({ state, worker }): BatchState => (worker === 0 ? state : named(worker, state)));
    const failures = this.#parts
      .flatMap(({ batches: { lastFailure } }) => lastFailure ?? [])
      .toSorted((a, b) => b.atMs - a.atMs);
    return { states, lastFailure: failures[0] ?? null };
  }

  /** Workers have no id windows. */
  idUsage(): readonly IdUsage[] {
    return [];
  }

  get counts(): RequestCounts {
    const counts = new RequestCounts([]);
    for (const { counts: of } of this.#parts) {
      addTo(counts.acceptedEvents, of.acceptedEvents);
      addTo(counts.strayRequests, of.strayRequests);
      for (const [source, codes] of of.refusedEvents) {
        let all = counts.refusedEvents.get(source);
        if (all === undefined) counts.refusedEvents.set(source, (all = new Map()));
        addTo(all, codes);
      }
    }
    return counts;
  }

  get connections(): number {
    return this.#parts.reduce((sum, { connections }) => sum + connections, 0);
  }

  get sources(): readonly ObservedSource[] {
    const [first] = this.#doors;
    return (first?.sources ?? []).map(({ name, path }) => ({
      name,
      path,
      newest: {
        heads: () =>
          this.#doors
            .flatMap(({ sources }) => sources.find((each) => each.name === name)?.heads ?? [])
            .toSorted((a, b) => b.atMs - a.atMs)
            .slice(0, NEWEST_MAX),
      },
    }));
  }

  refusal(): PageReport['refusal'] {
    for (const { worker, refusal } of this.#doors)
      if (refusal !== null) return { ...refusal, message: `Worker ${worker}: ${refusal.message}` };
    return null;
  }

  /** Those that take events. */
  get #doors(): readonly Part[] {
    return this.#parts.filter(({ worker }) => worker !== 0);
  }
}

/** Each worker has batches of its own, perhaps with the same name. */
function named(worker: number, state: BatchState): BatchState {
  return { ...state, name: `worker-${worker}/${state.name}` };
}

/** The state of the sink for one. What is left in other directories is not what a setting bounds. */
export function sinkOf({ worker }: Pick<ReportOf, 'worker'>, sink: Statistics['sink']): Statistics['sink'] {
  return worker === 0 ? { ...sink, concurrency: 0 } : sink;
}

function addTo<Key>(sums: Map<Key, number>, counts: ReadonlyMap<Key, number>): void {
  for (const [key, value] of counts) sums.set(key, (sums.get(key) ?? 0) + value);
}
