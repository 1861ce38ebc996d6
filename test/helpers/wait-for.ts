import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE_MS = 60_000;

/** Waits until a condition holds. @throws Error with `what` if it does not in a minute */
export async function waitFor(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const endMs = performance.now() + PATIENCE_MS; !(await condition());) {
    if (performance.now() > endMs) throw new Error(`waited in vain: ${what}`);
    await sleep(10);
  }
}
