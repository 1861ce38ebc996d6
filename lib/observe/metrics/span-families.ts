import type { SpanCounts } from '../../seams/tracer.js';
import { counter } from './family.js';
import type { Family } from './family.js';

/** The metrics of spans. They have no samples if there are none (`--trace-url`). */
export function spanFamilies(spans: SpanCounts | null): Family[] {
  const samples = spans === null ? null : Object.entries(spans);
  return [
    counter(
      'spans',
      'Spans of requests and of attempts at the sink, by what became of them: the collector has those that were sent.',
      samples && samples.map(([outcome, value]) => ({ value: Number(value), labels: { outcome } })),
    ),
  ];
}
