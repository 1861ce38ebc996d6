import { Registry } from 'prom-client';
import type { RegistryContentType } from 'prom-client';
import type { Forebay } from '../../forebay.js';
import type { Histogram } from '../../base/histogram.js';
import { sendAnswer } from '../../door/answers.js';
import type { Door } from '../../door/door.js';
import type { Route } from '../../door/router.js';
import { families } from './families.js';
import type { Family, Sample } from './family.js';
import { ProcessStatistics } from './process-statistics.js';

const OPEN_METRICS = /application\/openmetrics-text/;
const METRICS_HEADERS = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

export interface MetricsOptions {
  readonly forebay: Forebay;
  readonly door: Door;
  /** How long the numbers are reused for further requests, in milliseconds; 1000 by default. */
  readonly sharedMs?: number;
}

/** `GET /metrics`: the text of Prometheus, or of OpenMetrics for those who ask for it. */
export function metricsRoute({ forebay, door, sharedMs = 1000 }: MetricsOptions): Route {
  const process = new ProcessStatistics();
  const read = async (): Promise<Family[]> => {
    const disk = await forebay.diskUsage();
    // last and at once, with nothing to wait for up to the text: all numbers are of one moment
    const statistics = forebay.statistics();
    if (statistics === null || disk === null) return [];
    return families({ forebay, door, statistics, disk, process });
  };
  /** What was made within the last second, or is being made, by format. */
  const made = new Map<boolean, { readonly atMs: number; readonly exposition: Promise<Shared> }>();
  const shared = (isOpen: boolean): Promise<Shared> => {
    const last = made.get(isOpen);
    if (last !== undefined && performance.now() - last.atMs < sharedMs) return last.exposition;
    const exposed = read()
      .then((all) => exposition(all, isOpen))
      .then(({ text, contentType }) => ({ bytes: Buffer.from(text), contentType }));
    made.set(isOpen, { atMs: performance.now(), exposition: exposed });
    return exposed;
  };
  return {
    methods: ['GET', 'HEAD'],
    handle: async (req, res) => {
      req.resume();
      const { bytes, contentType } = await shared(OPEN_METRICS.test(req.headers.accept ?? ''));
      const headers = { ...METRICS_HEADERS, 'Content-Type': contentType };
      sendAnswer(res, { status: 200, headers, body: bytes });
    },
    stop: () => {
      process.close();
    },
  };
}

interface Shared {
  readonly bytes: Buffer;
  readonly contentType: string;
}

/** The numbers as text. */
interface Exposition {
  readonly text: string;
  readonly contentType: string;
}

/** Families as text, as `prom-client` writes it. */
export async function exposition(all: readonly Family[], isOpen: boolean): Promise<Exposition> {
  const registry = new Registry<RegistryContentType>();
  if (isOpen) registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  for (const family of all) {
    // in OpenMetrics `_total` is no part of a counter's name; prom-client puts it back
    const name = isOpen && family.type === 'counter' ? family.name.replace(/_total$/, '') : family.name;
    const values = Array.isArray(family.samples)
      ? (family.samples as readonly Sample[]).map(({ value, labels = {} }) => ({ value, labels }))
      : bucketValues(family.name, family.samples as Histogram);
    const metric = { name, help: family.help, type: family.type, values, aggregator: 'sum' };
    // what prom-client asks a metric for; its own classes would have to be told each number as it changes
    registry.registerMetric({ ...metric, get: () => metric } as unknown as Parameters<
      typeof registry.registerMetric
    >[0]);
  }
  return { text: await registry.metrics(), contentType: registry.contentType };
}

function bucketValues(
  name: string,
  { bounds, counts, sum }: Histogram,
): { metricName: string; value: number; labels: Record<string, string> }[] {
  let total = 0;
  const buckets = counts.map((count, index) => {
    total += count;
    const le = index < bounds.length ? String(bounds[index]) : '+Inf';
    return { metricName: `${name}_bucket`, value: total, labels: { le } };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, value: sum, labels: {} },
    { metricName: `${name}_count`, value: total, labels: {} },
  ];
}
