import { AggregatorRegistry, Registry } from 'prom-client';
import type { RegistryContentType } from 'prom-client';
import type { Forebay } from '../../forebay.js';
import { sendAnswer } from '../../door/answers.js';
import type { Door } from '../../door/door.js';
import type { Route } from '../../door/router.js';
import { families, leftoverFamilies } from './families.js';
import type { Buckets, Family } from './family.js';
import { isBuckets, mergeFamilies } from './merge-families.js';
import { ProcessStatistics } from './process-statistics.js';

const OPEN_METRICS = /application\/openmetrics-text/;
const METRICS_HEADERS = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

export interface MetricsOptions {
  readonly forebay: Forebay;
  readonly door: Door;
  /** Those that deliver what is left in other log directories: their counts are part of the sums. */
  readonly leftovers?: readonly Forebay[];
  /** How long the numbers are reused for further requests, in milliseconds; 1000 by default. */
  readonly sharedMs?: number;
}

/** `GET /metrics`: the text of Prometheus, or of OpenMetrics if it is asked for. */
export function metricsRoute({ sharedMs = 1000, ...options }: MetricsOptions): Route {
  const reader = new FamiliesReader(options);
  /** The text of the last second, which may still be on its way, by format. */
  const made = new Map<boolean, { readonly atMs: number; readonly exposition: Promise<Exposition> }>();
  return metricsAt(
    async (isOpen) => {
      const last = made.get(isOpen);
      if (last !== undefined && performance.now() - last.atMs < sharedMs) return last.exposition;
      const exposed = reader.read().then((all) => exposition(all, isOpen));
      made.set(isOpen, { atMs: performance.now(), exposition: exposed });
      return exposed;
    },
    () => {
      reader.close();
    },
  );
}

/** @param read the metrics as text, of OpenMetrics if it is asked for */
export function metricsAt(read: (isOpen: boolean) => Promise<Exposition>, stop?: () => void): Route {
  return {
    methods: ['GET', 'HEAD'],
    handle: async (req, res) => {
      req.resume();
      const { text, contentType } = await read(OPEN_METRICS.test(req.headers.accept ?? ''));
      const headers = { ...METRICS_HEADERS, 'Content-Type': contentType };
      sendAnswer(res, { status: 200, headers, body: Buffer.from(text) });
    },
    ...(stop && { stop }),
  };
}

/** Reads the metrics of this process. */
export class FamiliesReader {
  readonly #options: Omit<MetricsOptions, 'sharedMs'>;
  readonly #process = new ProcessStatistics();

  constructor(options: Omit<MetricsOptions, 'sharedMs'>) {
    this.#options = options;
  }

  /** Empty before the start. */
  async read(): Promise<Family[]> {
    const { forebay, door, leftovers = [] } = this.#options;
    const disk = await forebay.diskUsage();
    const others = await leftoversRead(leftovers);
    // last, and then nothing waits until all is read: the numbers are of one moment
    const statistics = forebay.statistics();
    if (statistics === null || disk === null) return [];
    const own = families({ forebay, door, statistics, disk, process: this.#process });
    if (others.length === 0) return own;
    return mergeFamilies([own, ...others].map((each) => ({ worker: '', families: each })));
  }

  close(): void {
    this.#process.close();
  }
}

/** The metrics of logs whose leftovers are delivered. */
export async function leftoversRead(leftovers: readonly Forebay[]): Promise<Family[][]> {
  const disks = await Promise.all(leftovers.map(async (each) => each.diskUsage()));
  return leftovers.flatMap((forebay, index) => {
    const statistics = forebay.statistics();
    const disk = disks[index] ?? null;
    return statistics === null || disk === null ? [] : [leftoverFamilies({ forebay, statistics, disk })];
  });
}

/** Metrics as text. */
export interface Exposition {
  readonly text: string;
  readonly contentType: string;
}

/** Families as text. To prom-client they are numbers that another process has counted (`getMetricsAsJSON`). */
export async function exposition(all: readonly Family[], isOpen: boolean): Promise<Exposition> {
  const metrics = all.map(({ name, help, type, samples }) => ({
    // in OpenMetrics `_total` is not part of a counter's name; prom-client adds it to the samples
    name: isOpen && type === 'counter' ? name.replace(/_total$/, '') : name,
    help,
    type,
    aggregator: 'first',
    values: isBuckets(samples)
      ? bucketValues(name, samples)
      : samples.map(({ value, labels = {} }) => ({ value, labels })),
  }));
  const registry = AggregatorRegistry.aggregate<RegistryContentType>([metrics]);
  if (isOpen) registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  return { text: await registry.metrics(), contentType: registry.contentType };
}

function bucketValues(
  name: string,
  { bounds, counts, sum }: Buckets,
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
