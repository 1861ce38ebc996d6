/** Loaded only if `--trace-url` is given, with the packages that it imports. */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags } from '@opentelemetry/api';
import type { Link, Span, SpanContext, Tracer as ApiTracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { AlwaysOnSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Logger } from '../base/reporter.js';
import { VERSION } from '../base/version.js';
import type { Batch } from '../seams/batch.js';
import { SinkError } from '../seams/sink-error.js';
import type { SinkDescription } from '../seams/sink.js';
import type { AcceptSpan, DeliverSpan, SpanCounts, TracedRequest, Tracer } from '../seams/tracer.js';
import { BoundedSpans } from './bounded-spans.js';

/** The exporter gives up after this long, in milliseconds, and spans in memory are lost. */
const EXPORT_MS = 5000;
/** Never reached: the exporter gives up before. */
const EXPORT_MS_MAX = 2 * EXPORT_MS;
/** More links of a span are dropped, and counted in it. */
const LINKS_MAX = 128;
const SERVER_ERROR = 500;
const SYSTEM = { 'messaging.system': 'forebay' } as const;

export interface OtlpTracerOptions {
  readonly url: URL;
  /** The share of traces that start here and are sent. */
  readonly sample: number;
  readonly logger: Logger;
}

/** Sends spans to a collector, by OTLP over HTTP. */
export class OtlpTracer implements Tracer {
  readonly #spans: BoundedSpans;
  readonly #tracer: ApiTracer;
  readonly #sample: number;

  constructor({ url, sample, logger }: OtlpTracerOptions) {
    this.#sample = sample;
    // credentials are in OTEL_EXPORTER_OTLP_HEADERS, which it reads
    const exporter = new OTLPTraceExporter({ url: url.href, timeoutMillis: EXPORT_MS, concurrencyLimit: 4 });
    this.#spans = new BoundedSpans(exporter, EXPORT_MS_MAX, url.origin, logger);
    const resource = resourceFromAttributes({ 'service.name': 'forebay', 'service.version': VERSION });
    const provider = new TracerProvider({
      // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go first
      resource: resource.merge(detectResources({ detectors: [envDetector] })),
      // which spans are sent is decided before they are made
      sampler: new AlwaysOnSampler(),
      spanLimits: { linkCountLimit: LINKS_MAX },
      spanProcessors: [this.#spans],
    });
    this.#tracer = provider.getTracer('forebay', VERSION);
  }

  get counts(): SpanCounts {
    return this.#spans.counts;
  }

  accept({ source, path, isTls, context }: TracedRequest): AcceptSpan | null {
    const { traceparent = null } = context ?? {};
    const parent = traceparent === null ? null : spanContextOf(traceparent);
    if (!this.#isSent(parent === null ? [] : [parent])) return null;
    const attributes = {
      ...SYSTEM,
      'messaging.operation.name': 'accept',
      'messaging.destination.name': source,
      'http.request.method': 'POST',
      'http.route': path,
      'url.path': path,
      'url.scheme': isTls ? 'https' : 'http',
    };
    const around = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
    const span = this.#tracer.startSpan(`POST ${path}`, { kind: SpanKind.SERVER, attributes }, around);
    return {
      took(block) {
        span.setAttribute('messaging.batch.message_count', block.length);
        const isReplay = block.context?.isReplay === true;
        block.context = { traceparent: traceparentOf(span.spanContext()), isReplay };
      },
      end(status) {
        if (status > 0) span.setAttribute('http.response.status_code', status);
        if (status >= SERVER_ERROR || status === 0)
          failed(span, status === 0 ? 'aborted' : String(status), undefined);
        span.end();
      },
    };
  }

  deliver(batch: Batch, { kind, target }: SinkDescription): DeliverSpan | null {
    const links = linksTo(batch);
    if (!this.#isSent(links.map(({ context }) => context))) return null;
    const attributes = {
      ...SYSTEM,
      'messaging.operation.name': 'deliver',
      'messaging.operation.type': 'send',
      'messaging.destination.name': target ?? kind,
      'messaging.batch.message_count': batch.events,
      'forebay.batch': batch.name,
      'forebay.sink': kind,
    };
    const about = { kind: SpanKind.CLIENT, attributes, links };
    const span = this.#tracer.startSpan(`deliver ${kind}`, about, ROOT_CONTEXT);
    return {
      traceparent: traceparentOf(span.spanContext()),
      end(error) {
        if (error !== null) {
          const { status = null } = error instanceof SinkError ? error : {};
          failed(span, String(status ?? error.name), refusalOf(error));
        }
        span.end();
      },
    };
  }

  /** By the traces that a span belongs to, or if there is none by the share. */
  #isSent(traces: readonly SpanContext[]): boolean {
    if (traces.length === 0) return Math.random() < this.#sample;
    return traces.some(({ traceFlags }) => (traceFlags & TraceFlags.SAMPLED) !== 0);
  }

  async close(waitMs: number): Promise<void> {
    await this.#spans.close(waitMs);
  }
}

/** A text of the sink may hold events, so the span has none. */
function failed(span: Span, type: string, refused: number | string | undefined): void {
  span.setAttribute('error.type', type);
  if (refused !== undefined) span.setAttribute('forebay.refused', refused);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

function refusalOf(error: Error): number | string | undefined {
  if (!(error instanceof SinkError) || error.refused === null) return undefined;
  return error.refused === 'all' ? 'all' : error.refused.length;
}

/** One link for each trace and parent, however many events have it. */
function linksTo({ contexts }: Batch): Link[] {
  const known = new Set<string>();
  return contexts.flatMap((context) => {
    const { traceparent = null } = context ?? {};
    if (traceparent === null || known.has(traceparent)) return [];
    known.add(traceparent);
    return [{ context: spanContextOf(traceparent) }];
  });
}

function spanContextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}
