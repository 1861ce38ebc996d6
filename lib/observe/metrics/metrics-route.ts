import { AggregatorRegistry, Registry } from 'prom-client';
import type { RegistryContentType } from 'prom-client';
import type { Forebay } from '../../forebay.js';
import { Histogram } from '../../base/histogram.js';
import { sendAnswer } from '../../door/answers.js';
import type { Door } from '../../door/door.js';
import type { Route } from '../../door/router.js';
import { families } from './families.js';
import type { Family } from './family.js';
import { ProcessStatistics } from './process-statistics.js';

const OPEN_METRICS = /application\/openmetrics-text/;
const METRICS_HEADERS = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

export interface MetricsOptions {
  readonly forebay: Forebay;
  readonly door: Door;
  /** How long the numbers are reused for further requests, in milliseconds; 1000 by default. */
  readonly sharedMs?: number;
}

/** `GET /metrics`: the text of Prometheus, or of OpenMetrics if it is asked for. */
export function metricsRoute({ forebay, door, sharedMs = 1000 }: MetricsOptions): Route {
  const process = new ProcessStatistics();
  const read = async (): Promise<Family[]> => {
    const disk = await forebay.diskUsage();
    // last, and then nothing waits until all is read: the numbers are of one moment
    const statistics = forebay.statistics();
    if (statistics === null || disk === null) return [];
    return families({ forebay, door, statistics, disk, process });
  };
  /** The text of the last second, which may still be on its way, by format. */
  const made = new Map<boolean, { readonly atMs: number; readonly exposition: Promise<Shared> }>();
  const shared = (isOpen: boolean): Promise<Shared> => {
    const last = made.get(isOpen);
    if (last !== undefined && performance.now() - last.atMs < sharedMs) return last.exposition;
    const exposed = read().then((all) => exposition(all, isOpen));
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

/** Families as text. To prom-client they are numbers that another process has counted (`getMetricsAsJSON`). */
async function exposition(all: readonly Family[], isOpen: boolean): Promise<Shared> {
  const metrics = all.map(({ name, help, type, samples }) => ({
    // in OpenMetrics `_total` is not part of a counter's name; prom-client adds it to the samples
    name: isOpen && type === 'counter' ? name.replace(/_total$/, '') : name,
    help,
    type,
    aggregator: 'first',
    values:
      samples instanceof Histogram
        ? bucketValues(name, samples)
        : samples.map(({ value, labels = {} }) => ({ value, labels })),
  }));
  const registry = AggregatorRegistry.aggregate<RegistryContentType>([metrics]);
  if (isOpen) registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  return { bytes: Buffer.from(await registry.metrics()), contentType: registry.contentType };
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
