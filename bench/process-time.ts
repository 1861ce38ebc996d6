import { readFileSync } from 'node:fs';

/** Linux tells times in hundredths of a second, whatever the processor. */
const TICK_MS = 10;

/**
 * How long a process has computed so far, all its threads together, in milliseconds. What else the machine does changes
 * it little: less than it changes how long something takes.
 *
 * @throws where the system has no `/proc`
 */
export function cpuMsOf(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // behind the name, which may hold anything: the state, and 10 numbers before the time in the program and in the system
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) * TICK_MS;
}
