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

/** One decimal below a bound, unless it is 0. */
function short(value: number, below: number = 9.95): string {
  return (value < below ? Number(value.toFixed(1)) : Math.round(value)).toLocaleString('en-US');
}

/** Each digit. */
export function whole(value: number): string {
  return value.toLocaleString('en-US');
}

/** Per second: below ten one decimal says something. */
export function rate(value: number): string {
  return value < 9.95 ? short(value) : count(value);
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
    value: short(left, unit > 0 ? 9.95 : 0),
    unit: BYTES[unit] ?? '',
  };
}

export function milliseconds(value: number | null): Shown {
  if (value === null) return NOTHING;
  if (value < 9.95) return { value: short(value), unit: 'ms' };
  if (value < 999.5) return { value: String(Math.round(value)), unit: 'ms' };
  return { value: short(value / 1000), unit: 's' };
}

/** Two units at most. */
export function duration(seconds: number): string {
  if (seconds < 0.95) return `${short(seconds)} s`;
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

/** The time of day, here. */
export function clock(seconds: number): string {
  const at = new Date(seconds * 1000);
  return [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}

/** A batch in few letters; that of a worker starts with it, `worker-2/`. */
export function batchName(name: string): string {
  return name.replace(/^(worker-\d+\/)?batch_/, '$1').replace(/\.jsonl$/, '');
}

/** A path as a shell takes it. */
export function quoted(path: string): string {
  return /^[\w./:@%+,-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
