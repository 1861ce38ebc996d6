/** A number as people read it, and its unit. */
export interface Shown {
  readonly value: string;
  readonly unit: string;
}

export const NOTHING: Shown = { value: '–', unit: '' };

export function count(value: number): string {
  if (value < 100_000) return Math.round(value).toLocaleString('en-US');
  if (value < 10_000_000) return `${Math.round(value / 1000).toLocaleString('en-US')}k`;
  return `${Math.round(value / 1e6).toLocaleString('en-US')}M`;
}

/** Per second: below ten one decimal tells something. */
export function rate(value: number): string {
  return value > 0 && value < 9.95 ? value.toFixed(1) : count(value);
}

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function bytes(value: number): Shown {
  let left = value;
  let unit = 0;
  while (left >= 1023.5 && unit < BYTES.length - 1) {
    left /= 1024;
    unit++;
  }
  return {
    value: left < 9.95 && unit > 0 ? left.toFixed(1) : String(Math.round(left)),
    unit: BYTES[unit] ?? '',
  };
}

export function milliseconds(value: number | null): Shown {
  if (value === null) return NOTHING;
  if (value < 9.95) return { value: value.toFixed(1), unit: 'ms' };
  if (value < 999.5) return { value: String(Math.round(value)), unit: 'ms' };
  return { value: (value / 1000).toFixed(value < 9950 ? 1 : 0), unit: 's' };
}

/** Two units at most. */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds < 0.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 119.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(seconds / 3600);
  if (hours < 48)
    return minutes % 60 === 0 || hours >= 10
      ? `${hours} h`
      : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.round(seconds / 86_400).toLocaleString('en-US')} days`;
}

export function plain({ value, unit }: Shown): string {
  return unit === '' ? value : `${value} ${unit}`;
}

export function plural(number: number, one: string, many: string = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}
