import type { Histogram } from '../../base/histogram.js';

/** A value of a metric, with its labels. */
export interface Sample {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A metric as it stands when it is asked for. A name in the plural of a base unit; a counter ends in `_total`. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly Sample[] | Histogram;
}

export function one(value: number): readonly Sample[] {
  return [{ value }];
}

export function counter(name: string, help: string, samples: number | readonly Sample[]): Family {
  return { name: `forebay_${name}_total`, help, type: 'counter', samples: asSamples(samples) };
}

/** @param samples `null`: it is not known, and left out */
export function gauge(name: string, help: string, samples: number | null | readonly Sample[]): Family {
  return { name: `forebay_${name}`, help, type: 'gauge', samples: asSamples(samples ?? []) };
}

export function histogram(name: string, help: string, samples: Histogram): Family {
  return { name: `forebay_${name}`, help, type: 'histogram', samples };
}

function asSamples(samples: number | readonly Sample[]): readonly Sample[] {
  return typeof samples === 'number' ? one(samples) : samples;
}

export function labelled(label: string, values: Iterable<readonly [string, number]>): readonly Sample[] {
  return [...values].map(([name, value]) => ({ value, labels: { [label]: name } }));
}
