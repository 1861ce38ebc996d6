import { newRunId } from '../run-mark.js';

const PREFIX = 'forebay.copy-';
const PATTERN = /^forebay\.copy-[\da-f]{16}$/;

/**
 * The name of a file in which a run makes a copy, until the copy takes the place of another file. No other run gives it: a
 * server that has lost the lock meanwhile must not take the copy of another one, half written, for its own.
 */
export function newCopyName(): string {
  return `${PREFIX}${newRunId()}`;
}

/** Whether it is such a name. A copy that is still there at a start is of a killed run, and worth nothing. */
export function isCopyName(name: string): boolean {
  return PATTERN.test(name);
}
