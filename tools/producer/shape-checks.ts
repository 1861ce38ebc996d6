import { CheckError } from '../../lib/settings/checks.js';
import type { Segment } from './schedule.js';

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 } as const;
const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|min|h)$/;
const NUMBER = /^\d+(?:\.\d+)?(?:e\d+)?$/i;
/** No machine reaches this rate: it is a typing error. */
const RATE_MAX = 1e8;

/** A time with its unit, `500ms`, `30s`, `5m`, `1h`, in milliseconds. */
export function duration(given: unknown): number {
  const ms = typeof given === 'string' ? durationMs(given) : null;
  if (ms !== null) return ms;
  throw new CheckError('must be a time with its unit, like 500ms, 30s, 5m or 1h');
}

/** `100`, or steps `100:10s,500:10s,1000`; the last may have no end. */
export function rateSteps(given: unknown): readonly Segment[] {
  const steps = String(given).split(',');
  return steps.map((step, index) => {
    const [rateText = '', lastsText, ...more] = step.split(':');
    const rate = rateOf(rateText);
    const lastsMs = lastsText === undefined ? null : durationMs(lastsText);
    const isOpen = lastsText === undefined && index === steps.length - 1;
    if (rate !== null && rate > 0 && more.length === 0 && (isOpen || lastsMs !== null)) {
      return { from: rate, to: rate, durationMs: lastsMs };
    }
    throw new CheckError('must be a number above 0, or steps like 100:10s,500:10s,1000');
  });
}

/** `FROM:TO:DURATION`. */
export function ramp(given: unknown): readonly Segment[] {
  const [fromText = '', toText = '', lastsText = '', ...more] = String(given).split(':');
  const [from, to, lastsMs] = [rateOf(fromText), rateOf(toText), durationMs(lastsText)];
  if (from !== null && to !== null && lastsMs !== null && from + to > 0 && more.length === 0) {
    return [{ from, to, durationMs: lastsMs }];
  }
  throw new CheckError('must be FROM:TO:DURATION, like 100:5000:30s');
}

function rateOf(text: string): number | null {
  const rate = NUMBER.test(text) ? Number(text) : NaN;
  return rate >= 0 && rate <= RATE_MAX ? rate : null;
}

/** Above 0, and at most as long as `setTimeout` can wait. */
function durationMs(text: string): number | null {
  const [, amount, unit] = DURATION.exec(text) ?? [];
  const ms = Number(amount) * UNITS_MS[(unit ?? 'ms') as keyof typeof UNITS_MS];
  return ms > 0 && ms < 2 ** 31 ? ms : null;
}
