import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Whether someone holds an object, as far as the garbage collector knows. */
export async function isHeld(object: WeakRef<object>): Promise<boolean> {
  await nextTurn(); // a WeakRef holds its object for as long as the turn in which it was made or asked
  collect();
  return object.deref() !== undefined;
}
