import type { Statistics } from '../../statistics.js';
import { gauge } from './family.js';
import type { Family } from './family.js';

export function pauseFamilies({ paused }: Pick<Statistics, 'paused'>): Family[] {
  return [
    gauge(
      'delivery_paused',
      '1 while delivery is paused by an operator: events are taken and wait.',
      Number(paused !== null),
      'max',
    ),
    gauge(
      'delivery_paused_timestamp_seconds',
      'When that pause started, in seconds since 1970; 0: delivery is not paused.',
      (paused?.sinceMs ?? 0) / 1000,
      'max',
    ),
  ];
}
