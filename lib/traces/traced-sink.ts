import { asError } from '../base/errors.js';
import { CUSTOM_SINK } from '../seams/sink.js';
import type { Sink } from '../seams/sink.js';
import type { Tracer } from '../seams/tracer.js';

/** A sink whose attempts have spans. */
export function tracedSink(sink: Sink, tracer: Tracer): Sink {
  const { description = CUSTOM_SINK } = sink;
  return {
    description,
    async deliver(batch, signal) {
      const span = tracer.deliver(batch, description);
      try {
        await sink.deliver(batch, signal, span?.traceparent);
        span?.end(null);
      } catch (error) {
        span?.end(asError(error));
        throw error;
      }
    },
    ...(sink.reload && { reload: async () => sink.reload?.() }),
    ...(sink.close && { close: async () => sink.close?.() }),
  };
}
