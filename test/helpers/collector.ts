import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as (how?: { readonly type: 'minor' }) => void;

/** A full collection. */
export function collect(): void {
  gc();
}

/** A collection of what is young: what lives through two of them is old, and stays until a full one. */
export function scavenge(): void {
  gc({ type: 'minor' });
}

/** Whether someone holds an object, as far as the garbage collector knows. */
export async function isHeld(object: WeakRef<object>): Promise<boolean> {
  await nextTurn(); // a WeakRef holds its object for as long as the turn in which it was made or asked
  collect();
  return object.deref() !== undefined;
}
