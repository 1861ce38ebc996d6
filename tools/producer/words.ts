/** Numbers for people. */

const INDENT = '  ';
/** In characters. */
const COMMA_NEAR = 16;

/** `1234567` as `1,234,567`. */
export function grouped(number: number): string {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** In at most five characters: `999`, `22.5k`, `1.2M`. */
export function short(number: number): string {
  if (number < 1000) return String(Math.round(number));
  const [unit, size] =
    number < 999_950
      ? (['k', 1e3] as const)
      : number < 999_950_000
        ? (['M', 1e6] as const)
        : (['G', 1e9] as const);
  const value = number / size;
  return `${value < 99.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
}

/** Milliseconds with as many digits as matter: `0.42`, `8.1`, `83`, `1,250`. */
export function msText(ms: number): string {
  if (ms >= 9.95) return grouped(ms);
  return ms < 0.995 ? ms.toFixed(2) : ms.toFixed(1);
}

/**
 * Breaks lines at a width, between words if possible, after a comma if one is near. The rest of a line follows
 * indented.
 */
export function wrapped(text: string, width: number): string {
  const lineOf = (line: string): string => {
    if (line.length <= width) return line;
    const comma = line.lastIndexOf(', ', width - 1);
    const at = comma > Math.max(INDENT.length, width - COMMA_NEAR) ? comma + 1 : line.lastIndexOf(' ', width);
    return at <= INDENT.length ? line : `${line.slice(0, at)}\n${lineOf(INDENT + line.slice(at + 1))}`;
  };
  return text.split('\n').map(lineOf).join('\n');
}

/** A time as on a clock: `0:05`, `12:00`, `1:00:00`. */
export function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number: number): string => String(number).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** `0.5 s`, `10 s`. */
export function secondsText(ms: number): string {
  return `${Number((ms / 1000).toFixed(1))} s`;
}
