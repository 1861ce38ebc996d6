import type { Comparison, Difference } from './comparison.js';

const BYTES_SHOWN = 2000;

/** What differs, and how to see it again. */
export function reportOf({ sample, what, bytes, ways, outcomes }: Difference, seed: number): string {
  const shown = bytes.length > BYTES_SHOWN ? `${bytes.slice(0, BYTES_SHOWN)}… (${bytes.length})` : bytes;
  return [
    `DIFFERS: ${sample}: ${what}`,
    `  ${ways[0]}: ${outcomes[0]}`,
    `  ${ways[1]}: ${outcomes[1]}`,
    `  ${shown}`,
    `  to repeat it: npm run differential -- --seed ${seed} --only ${JSON.stringify(sample)}`,
  ].join('\n');
}

export function tally(comparison: Comparison, ms: number): string {
  const { samples, sendings, events, handedOver, pieces, allowed, statuses, differences } = comparison;
  const answers = [...statuses].toSorted(([a], [b]) => a - b).map(([status, count]) => `${status}×${count}`);
  const may = Object.entries(allowed).map(([why, count]) => `${why} ${count}`);
  return [
    `${samples} requests, sent ${sendings} times in ${Math.round(ms / 1000)} s; ${events} events stored`,
    `${handedOver} connections went to node:http; answers: ${answers.join(' ')}`,
    `pieces that were read alone: ${pieces.alone}, perhaps not: ${pieces.together}`,
    `differences that may be: ${may.join(', ')}; others: ${differences.length}`,
  ].join('\n');
}
