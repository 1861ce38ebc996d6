import type { IncomingMessage, ServerResponse } from 'node:http';
import { Registry } from 'prom-client';
import type { RegistryContentType } from 'prom-client';
import { asError } from '../errors.js';
import type { Forebay } from '../forebay.js';
import type { Histogram } from '../histogram.js';
import type { Door } from '../http/door.js';
import type { Route } from '../http/ingestion-server.js';
import { families } from './families.js';
import type { Family, Sample } from './families.js';
import { ProcessStatistics } from './process-statistics.js';

const OPEN_METRICS = /application\/openmetrics-text/;

export interface MetricsOptions {
  readonly forebay: Forebay;
  readonly door: Door;
}

/** `GET /metrics`: the text of Prometheus, or of OpenMetrics for those who ask for it. */
export function metricsRoute({ forebay, door }: MetricsOptions): Route {
  const process = new ProcessStatistics();
  const read = async (): Promise<Family[]> => {
    const disk = await forebay.diskUsage();
    // last and at once, with nothing to wait for up to the text: all numbers are of one moment
    const statistics = forebay.statistics();
    if (statistics === null || disk === null) return [];
    return families({ forebay, door, statistics, disk, process });
  };
  const answer = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const isOpen = OPEN_METRICS.test(req.headers.accept ?? '');
    const { text, contentType } = await exposition(await read(), isOpen);
    res.writeHead(200, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(text) });
    res.end(text);
  };
  return {
    methods: ['GET', 'HEAD'],
    handle: (req, res) => {
      req.resume();
      answer(req, res).catch((error: unknown) => {
        const text = `The metrics cannot be read: ${asError(error).message}\n`;
        res.writeHead(500, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(text) });
        res.end(text);
      });
    },
    stop: () => {
      process.close();
    },
  };
}

/** Families as text, as `prom-client` writes it. */
export async function exposition(
  all: readonly Family[],
  isOpen: boolean,
): Promise<{ text: string; contentType: string }> {
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
