import t from 'tap';
import type { EventContexts } from '../../lib/seams/event-contexts.js';
import { contextHeaders } from '../../lib/sinks/http/context-headers.js';

const traceOf = (n: number): string =>
  `00-${n.toString(16).padStart(32, 'a')}-${n.toString(16).padStart(16, 'b')}-01`;
const of = (...traces: readonly (number | null)[]): EventContexts =>
  traces.map((n) => (n === null ? null : { traceparent: traceOf(n), isReplay: false }));

void t.test('a trace that all events of a batch share is its traceparent', (t) => {
  t.same(contextHeaders(of(1, 1, 1), null), { traceparent: traceOf(1) });
  t.same(contextHeaders([], null), {});
  t.same(contextHeaders([{ traceparent: null, isReplay: true }], null), {});
  t.end();
});

void t.test('several are named with their events', (t) => {
  t.same(contextHeaders(of(1, 1, null, 2, 1), null), {
    'forebay-traces': `0-1 ${traceOf(1)}, 3 ${traceOf(2)}, 4 ${traceOf(1)}`,
  });
  t.same(contextHeaders(of(null, 2), null), { 'forebay-traces': `1 ${traceOf(2)}` });
  t.end();
});

void t.test('the span of the attempt goes first, and the events have theirs beside it', (t) => {
  t.same(contextHeaders(of(1, 1), traceOf(9)), {
    traceparent: traceOf(9),
    'forebay-traces': `0-1 ${traceOf(1)}`,
  });
  t.same(contextHeaders([], traceOf(9)), { traceparent: traceOf(9) });
  t.end();
});

void t.test('what does not fit into a head is counted', (t) => {
  const { 'forebay-traces': traces = '' } = contextHeaders(
    of(...Array.from({ length: 15_000 }, (_, n) => n)),
    null,
  );
  t.ok(traces.length < 2500, `${traces.length} characters`);
  t.ok(traces.startsWith(`0 ${traceOf(0)}, 1 ${traceOf(1)}, `));
  t.ok(traces.endsWith(`31 ${traceOf(31)}, more=${15_000 - 32}`));
  t.end();
});
