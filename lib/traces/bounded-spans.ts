import { BatchSpanProcessor } from '@opentelemetry/sdk-trace';
import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import type { Logger } from '../base/reporter.js';
import { count } from '../base/words.js';
import type { SpanCounts } from '../seams/tracer.js';
import { listenToPartialSuccess, takeRejection } from './partial-success.js';

/** At most this many spans are in memory: a collector that is slow or gone costs some megabytes, and no more. */
const SPANS_MAX = 2048;
const BATCH_SPANS = 512;
/** How long a span waits for others, in milliseconds. */
const DELAY_MS = 1000;
/** The log says at most this often that spans are lost, in milliseconds. */
const SAY_MS = 60_000;

/** The name of this code is in a package that is none of the four. */
const SUCCESS = 0;

type ExportDone = Parameters<SpanExporter['export']>[1];

/** Sends spans in batches, and counts those that are lost: there was no place for them, or the collector did not take them. */
export class BoundedSpans implements SpanProcessor, SpanExporter {
  sent = 0;
  lost = 0;
  readonly #exporter: SpanExporter;
  readonly #batches: BatchSpanProcessor;
  readonly #logger: Logger;
  readonly #place: string;
  /** Spans that have ended, and whose fate is open. */
  #open = 0;
  #saidLost = 0;
  #saidMs = -Infinity;
  #reason = '';

  /**
   * @param exportMs longer than the exporter takes to give up
   * @param place of the collector, for the log
   */
  constructor(exporter: SpanExporter, exportMs: number, place: string, logger: Logger) {
    listenToPartialSuccess();
    this.#exporter = exporter;
    this.#logger = logger;
    this.#place = place;
    this.#batches = new BatchSpanProcessor({
      exporter: this,
      maxQueueSize: SPANS_MAX,
      maxExportBatchSize: BATCH_SPANS,
      scheduledDelayMillis: DELAY_MS,
      exportTimeoutMillis: exportMs,
    });
  }

  get counts(): SpanCounts {
    return { sent: this.sent, lost: this.lost };
  }

  onStart(): void {
    // nothing is to be done before its end
  }

  onEnd(span: ReadableSpan): void {
    if (this.#open >= SPANS_MAX) {
      this.#lose(1, 'it does not take them as fast as they come');
      return;
    }
    this.#open++;
    this.#batches.onEnd(span);
  }

  export(spans: ReadableSpan[], done: ExportDone): void {
    this.#exporter.export(spans, (result) => {
      this.#open -= spans.length;
      const { code }: { readonly code: number } = result;
      const rejection = takeRejection();
      if (code === SUCCESS) {
        const rejected = Math.min(spans.length, rejection?.spans ?? 0);
        this.sent += spans.length - rejected;
        if (rejection !== null) this.#lose(rejected, rejection.reason);
      } else this.#lose(spans.length, result.error?.message ?? 'it did not take them');
      done(result);
    });
  }

  async forceFlush(): Promise<void> {
    await this.#batches.forceFlush();
  }

  /** Called twice: by its owner, and by the batches that it owns. */
  async shutdown(): Promise<void> {
    await this.#exporter.shutdown();
  }

  /** Sends what is left, for at most this many milliseconds; the rest is lost. */
  async close(waitMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, waitMs));
      const sent = this.#batches.shutdown().catch(() => undefined);
      void sent.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    if (this.#open > 0) this.#lose(this.#open, 'the server stops');
    this.#open = 0;
    this.#say();
  }

  #lose(spans: number, reason: string): void {
    this.lost += spans;
    this.#reason = reason;
    if (performance.now() - this.#saidMs >= SAY_MS) this.#say();
  }

  #say(): void {
    const lost = this.lost - this.#saidLost;
    if (lost === 0) return;
    this.#saidLost = this.lost;
    this.#saidMs = performance.now();
    const text = `${count(lost, 'span')} lost: the collector ${this.#place}: ${this.#reason}`;
    this.#logger.warn({ code: 'SPANS_LOST', spans: lost }, text);
  }
}
