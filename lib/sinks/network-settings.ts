import { milliseconds, optional, text } from '../settings/checks.js';
import type { OptionTable } from '../settings/option-table.js';

/** Settings that all sinks on a network share. */
export const NETWORK_SETTINGS = {
  sinkTimeoutMs: {
    flag: 'sink-timeout',
    initial: 30_000,
    unit: 'MS',
    help: 'http, postgres: how long an attempt may take',
    check: milliseconds(1),
  },
  sinkCa: {
    flag: 'sink-ca',
    initial: null,
    unit: 'FILE',
    help: "http, postgres: certificates to trust instead of the system's, as PEM",
    check: optional(text),
  },
} as const satisfies OptionTable;
