import { compareBatchNames } from '../../logs/file/batch-name.js';
import type { health } from '../../door/probes.js';
import type { Forebay } from '../../forebay.js';
import { BATCHES_SHOWN_MAX } from '../page/batch-states.js';
import { batchesOf, failureOf } from '../page/observed.js';
import type { ObservedForebay } from '../page/observed.js';
import { mergeCounts, mergeSinks, mergeSpaces, mergeStatistics } from './merge-statistics.js';

/** A pipeline and those that deliver what is left in other directories, as the page and `/health` see one. */
export function withLeftovers(
  forebay: Forebay,
  leftovers: readonly Forebay[],
): ObservedForebay & Parameters<typeof health>[0] {
  if (leftovers.length === 0) return forebay;
  const all = [forebay, ...leftovers];
  const { settings, sink } = forebay;
  return {
    settings,
    sink,
    get healthy() {
      return all.every(({ healthy }) => healthy);
    },
    logFailure: () => all.map((each) => each.logFailure()).find((failure) => failure !== null) ?? null,
    counts: () => mergeCounts(all.map((each) => each.counts())),
    idUsage: () => forebay.idUsage(), // where no event comes in there is no window
    sinkState() {
      const states = all.flatMap((each) => each.sinkState() ?? []);
      return states.length === 0 ? null : mergeSinks(states);
    },
    statistics() {
      const [first, ...others] = all.flatMap((each) => each.statistics() ?? []);
      return first === undefined ? null : mergeStatistics([first, ...others]);
    },
    async diskUsage() {
      const spaces = await Promise.all(all.map(async (each) => each.diskUsage()));
      return mergeSpaces(spaces.flatMap((space) => space ?? []));
    },
    recentBatches() {
      const states = all
        .flatMap((each) => batchesOf(each, each.sinkState()?.breaker !== 'closed' || each.paused !== null))
        .toSorted((a, b) => compareBatchNames(b.name, a.name));
      const failures = all.flatMap((each) => failureOf(each) ?? []).toSorted((a, b) => b.atMs - a.atMs);
      return { states: states.slice(0, BATCHES_SHOWN_MAX), lastFailure: failures[0] ?? null };
    },
  };
}
