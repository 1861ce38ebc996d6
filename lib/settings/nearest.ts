/** If more than this share of its letters is wrong, it is another name. */
const WRONG_MAX = 0.4;

/** The name that the user may have meant; `null` if none is similar. */
export function nearest(given: string, names: readonly string[]): string | null {
  const wanted = folded(given);
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(wanted.length * WRONG_MAX)) + 1;
  for (const name of names) {
    const distance = editDistance(wanted, folded(name));
    if (distance >= bestDistance) continue;
    best = name;
    bestDistance = distance;
  }
  return best;
}

/** Makes `batchSize`, `batch_size` and `batch-size` equal. */
export function folded(name: string): string {
  return name.replaceAll(/[-_]/g, '').toLowerCase().slice(0, 64);
}

/** How many letters must be changed, added, removed or swapped with their neighbour (F. Damerau, 1964). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_each, index) => index);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const steps = [(row[j] ?? 0) + Number(a[i] !== b[j]), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1];
      if (j > 0 && a[i] === b[j - 1] && a[i - 1] === b[j]) steps.push((before[j - 1] ?? Infinity) + 1);
      next.push(Math.min(...steps));
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}
