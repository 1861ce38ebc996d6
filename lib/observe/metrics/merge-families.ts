import type { Buckets, Family, Merge, Sample } from './family.js';

/** The metrics of one process, and its name among the others. */
export interface FamiliesOf {
  readonly worker: string;
  readonly families: readonly Family[];
}

/** The metrics of several processes as those of one server, each family by its own rule. */
export function mergeFamilies(all: readonly FamiliesOf[]): Family[] {
  const found = new Map<string, { readonly worker: string; readonly family: Family }[]>();
  for (const { worker, families } of all) {
    for (const family of families) {
      const same = found.get(family.name);
      if (same === undefined) found.set(family.name, [{ worker, family }]);
      else same.push({ worker, family });
    }
  }
  return [...found.values()].flatMap((same) => {
    const [first] = same;
    return first === undefined ? [] : [{ ...first.family, samples: samplesOf(first.family, same) }];
  });
}

/**
 * What a process has counted that has ended: its counters and histograms, so that sums never fall. What is of the
 * process itself ends with it, and so do gauges.
 */
export function countedBy(families: readonly Family[]): Family[] {
  return families.filter(({ type, merge }) => type !== 'gauge' && merge !== 'each');
}

function samplesOf(
  { merge }: Family,
  same: readonly { readonly worker: string; readonly family: Family }[],
): Family['samples'] {
  const histograms = same.flatMap(({ family: { samples } }) => (isBuckets(samples) ? [samples] : []));
  if (histograms.length > 0) return mergeBuckets(histograms);
  const samples = same.flatMap(({ worker, family }) =>
    isBuckets(family.samples)
      ? []
      : merge === 'each'
        ? family.samples.map((sample) => labelledBy(worker, sample))
        : family.samples,
  );
  return merge === 'each' ? samples : mergeSamples(samples, merge);
}

/** '': there is only one that has it. */
function labelledBy(worker: string, sample: Sample): Sample {
  return worker === '' ? sample : { ...sample, labels: { ...sample.labels, worker } };
}

export function isBuckets(samples: Family['samples']): samples is Buckets {
  return 'counts' in samples;
}

/** All have the same bounds: those of one version. */
export function mergeBuckets(all: readonly Buckets[]): Buckets {
  const bounds = all[0]?.bounds ?? [];
  const counts = Array.from({ length: bounds.length + 1 }, (_, bucket) =>
    all.reduce((sum, each) => sum + (each.counts[bucket] ?? 0), 0),
  );
  return { bounds, counts, sum: all.reduce((total, { sum }) => total + sum, 0) };
}

/** One sample for each set of labels, in the order in which they first come. */
function mergeSamples(samples: readonly Sample[], merge: Exclude<Merge, 'each'>): Sample[] {
  const merged = new Map<string, Sample>();
  for (const sample of samples) {
    const key = JSON.stringify(Object.entries(sample.labels ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    const { value } = merged.get(key) ?? {};
    merged.set(
      key,
      value === undefined ? sample : { ...sample, value: together(merge, value, sample.value) },
    );
  }
  const all = [...merged.values()];
  if (merge !== 'worst') return all;
  const worst = all.findLastIndex(({ value }) => value === 1);
  return all.map((sample, index) => ({ ...sample, value: Number(index === worst) }));
}

function together(merge: Exclude<Merge, 'each'>, one: number, other: number): number {
  if (merge === 'sum') return one + other;
  return merge === 'min' ? Math.min(one, other) : Math.max(one, other);
}
