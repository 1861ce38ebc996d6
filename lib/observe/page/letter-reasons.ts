import type { LetterLook } from '../../seams/dead-letters.js';
import type { LetterReason } from './messages.js';

const REASONS_MAX = 6;
const REASON_LENGTH_MAX = 300;

/** Dead letters by reason, in the order in which they come. */
export function letterReasons(letters: readonly LetterLook[]): LetterReason[] {
  const found = new Map<string, { -readonly [Key in keyof LetterReason]: LetterReason[Key] }>();
  for (const { reason: whole, ...letter } of letters) {
    const reason = whole.slice(0, REASON_LENGTH_MAX);
    const known = found.get(reason);
    if (known !== undefined) known.letters++;
    else if (found.size < REASONS_MAX) found.set(reason, { reason, ...letter, letters: 1 });
  }
  return [...found.values()];
}
