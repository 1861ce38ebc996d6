import { readdirSync, readFileSync } from 'node:fs';

/** Whether the system says what a process has computed. */
export const KNOWS_TIME = process.platform === 'linux';

/** Linux tells times in hundredths of a second, whatever the processor. */
const TICK_MS = 10;

interface Stat {
  readonly parent: number;
  readonly cpuMs: number;
}

/**
 * How long a process has computed so far, with all its threads and the processes below it that live, in milliseconds.
 * What else the machine does changes it little: less than it changes how long something takes.
 *
 * @throws where the system has no `/proc`, or the process has ended
 */
export function cpuMsOf(pid: number | undefined): number {
  const root = pid === undefined ? null : statOf(pid);
  if (pid === undefined || root === null) throw new Error(`no process ${pid} in /proc`);
  const stats = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), stat: statOf(Number(name)) }));
  const below = (of: number): number =>
    stats.reduce(
      (sum, { pid: child, stat }) => (stat?.parent === of ? sum + stat.cpuMs + below(child) : sum),
      0,
    );
  return root.cpuMs + below(pid);
}

/** `null` if the process has ended. */
function statOf(pid: number): Stat | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  // after the name, which may hold anything: the state, the parent, 9 numbers, the time in the program, and in the system
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS };
}
