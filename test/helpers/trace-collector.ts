import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { until } from './wait-for.js';

interface Value {
  readonly stringValue?: string;
  readonly intValue?: number | string;
}

interface KeyValue {
  readonly key: string;
  readonly value: Value;
}

/** A span as OTLP has it in JSON. */
interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: readonly KeyValue[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly droppedLinksCount?: number;
  readonly status?: { readonly code?: number };
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

/** A span that was sent. */
export interface SeenSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  readonly name: string;
  readonly kind: number;
  readonly attributes: Readonly<Record<string, string | number | undefined>>;
  /** `TRACE-SPAN` of each. */
  readonly links: readonly string[];
  readonly droppedLinks: number;
  readonly isError: boolean;
}

/** A collector that takes OTLP over HTTP, as JSON, written from its specification. */
export class TraceCollector {
  mode: 'take' | 'hang' | 'refuse' = 'take';
  /** What it says of the spans that it takes. */
  partialSuccess: object | null = null;
  readonly spans: SeenSpan[] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  resource: Readonly<Record<string, string | number | undefined>> = {};
  url = '';

  static async start(t: Test): Promise<TraceCollector> {
    const collector = new TraceCollector();
    const server = createServer((req, res) => {
      const pieces: Buffer[] = [];
      req.on('data', (piece: Buffer) => pieces.push(piece));
      req.on('end', () => {
        collector.headers.push(req.headers);
        if (collector.mode === 'hang') return;
        if (collector.mode === 'refuse') {
          res.writeHead(400).end('{}');
          return;
        }
        collector.#take(JSON.parse(Buffer.concat(pieces).toString()) as Export);
        const { partialSuccess } = collector;
        const answer = partialSuccess === null ? {} : { partialSuccess };
        res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
      });
    });
    await new Promise<void>((listening) => {
      server.listen(0, '127.0.0.1', listening);
    });
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    collector.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
    return collector;
  }

  /** Those with this name, once there are this many. */
  async named(name: string, most: number): Promise<SeenSpan[]> {
    const found = (): SeenSpan[] => this.spans.filter((span) => span.name === name);
    await until(() => found().length >= most, `${most} spans "${name}" are there, not ${found().length}`);
    return found();
  }

  #take({ resourceSpans }: Export): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      this.resource = valuesOf(resource.attributes);
      for (const span of scopeSpans.flatMap(({ spans }) => spans))
        this.spans.push({
          traceId: span.traceId,
          spanId: span.spanId,
          parentSpanId: span.parentSpanId ?? null,
          name: span.name,
          kind: span.kind,
          attributes: valuesOf(span.attributes),
          links: (span.links ?? []).map(({ traceId, spanId }) => `${traceId}-${spanId}`),
          droppedLinks: span.droppedLinksCount ?? 0,
          isError: span.status?.code === 2,
        });
    }
  }
}

function valuesOf(attributes: readonly KeyValue[]): Record<string, string | number | undefined> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? (value.intValue === undefined ? undefined : Number(value.intValue)),
    ]),
  );
}
