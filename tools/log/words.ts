const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const;

/** A time in seconds, in its two largest units: `3h 20m`. */
export function duration(seconds: number): string {
  let left = Math.max(0, Math.floor(seconds));
  const first = UNITS.findIndex(([, length]) => left >= length);
  const parts = UNITS.slice(Math.max(0, first === -1 ? UNITS.length - 1 : first)).slice(0, 2);
  const words: string[] = [];
  for (const [unit, length] of parts) {
    words.push(`${Math.floor(left / length)}${unit}`);
    left %= length;
  }
  return words.join(' ');
}
