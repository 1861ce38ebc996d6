import { httpUrl, optional, ratio } from './checks.js';
import type { OptionTable, Values } from './option-table.js';

/** Where spans go. */
export const TRACE_SETTINGS = {
  traceUrl: {
    flag: 'trace-url',
    initial: null,
    unit: 'URL',
    help: 'where spans of requests and of attempts at the sink go, as OTLP: http://collector:4318/v1/traces; without: there are none',
    check: optional(httpUrl),
  },
  traceSample: {
    flag: 'trace-sample',
    initial: 1,
    unit: '0..1',
    help: 'the share of traces that start here and are sent; a traceparent says itself whether its trace is',
    check: ratio,
  },
} as const satisfies OptionTable;

export type TraceSettings = Values<typeof TRACE_SETTINGS>;
