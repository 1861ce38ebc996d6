import { milliseconds, ratio } from '../../settings/checks.js';
import type { OptionTable, Values } from '../../settings/option-table.js';
import type { SinkKind } from '../../seams/sink-kind.js';

const SETTINGS = {
  sinkLatencyMs: {
    flag: 'sink-latency',
    initial: 5,
    unit: 'MS',
    help: 'simulated: how long a batch takes, give or take a half',
    check: milliseconds(0),
  },
  sinkFailureRate: {
    flag: 'sink-failure-rate',
    initial: 0,
    unit: '0..1',
    help: 'simulated: the share of attempts that fail',
    check: ratio,
  },
} as const satisfies OptionTable;

export const simulatedKind = {
  name: 'simulated',
  settings: SETTINGS,
  ignorable: ['sinkLatencyMs', 'sinkFailureRate'],
  open: async ({ sinkLatencyMs, sinkFailureRate }, { logger }) => {
    logger.warn(
      { code: 'SINK_SIMULATED' },
      'The simulated sink keeps nothing: events are gone once it has them (--sink file keeps them)',
    );
    const { SimulatedSink } = await import('./simulated-sink.js');
    return new SimulatedSink({ latencyMs: sinkLatencyMs, failureRate: sinkFailureRate });
  },
} as const satisfies SinkKind<Values<typeof SETTINGS>>;
