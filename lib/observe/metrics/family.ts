import type { Histogram } from '../../base/histogram.js';

/** A value of a metric, with its labels. */
export interface Sample {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/**
 * How the values of several workers become one: `worst` keeps one sample at 1, the last in order that is 1 for any of
 * them; `each` keeps all, with a label.
 */
export type Merge = 'sum' | 'max' | 'min' | 'worst' | 'each';

/** The values of a histogram. */
export type Buckets = Pick<Histogram, 'bounds' | 'counts' | 'sum'>;

/** A metric with its values at the moment. A name in the plural of a base unit; a counter ends in `_total`. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly merge: Merge;
  readonly samples: readonly Sample[] | Buckets;
}

/** `null`: it is not known, and left out. */
type Samples = number | null | readonly Sample[];

export function counter(name: string, help: string, samples: Samples, merge: Merge = 'sum'): Family {
  return { name: `${prefixed(name)}_total`, help, type: 'counter', merge, samples: asSamples(samples) };
}

export function gauge(name: string, help: string, samples: Samples, merge: Merge = 'sum'): Family {
  return { name: prefixed(name), help, type: 'gauge', merge, samples: asSamples(samples) };
}

export function histogram(name: string, help: string, samples: Buckets): Family {
  return { name: prefixed(name), help, type: 'histogram', merge: 'sum', samples };
}

export function labelled(label: string, values: Iterable<readonly [string, number]>): readonly Sample[] {
  return [...values].map(([name, value]) => ({ value, labels: { [label]: name } }));
}

function asSamples(samples: Samples): readonly Sample[] {
  return typeof samples === 'number' ? [{ value: samples }] : (samples ?? []);
}

/** Names that all programs share have no prefix. */
function prefixed(name: string): string {
  return /^(?:process|nodejs)_/.test(name) ? name : `forebay_${name}`;
}
