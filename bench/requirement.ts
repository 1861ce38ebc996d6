import { median, spread } from './numbers.js';

/** What the project requires of a ratio or a number: one bound of the two. */
export type Bound = { readonly least: number } | { readonly most: number };

/**
 * A measurement beside what is required of it. The median is judged. It is said and not enforced: on a machine that
 * is not idle it says little.
 *
 * @param values one a round
 * @param digits how many digits after the point are printed
 */
export function requirement(what: string, values: readonly number[], bound: Bound, digits = 2): string {
  const value = median(values);
  const isMet = 'least' in bound ? value >= bound.least : value <= bound.most;
  const required = 'least' in bound ? `at least ${bound.least}` : `at most ${bound.most}`;
  return `${what}: ${spread(values, digits)}; required: ${required}: ${isMet ? 'met' : 'not met'}`;
}
