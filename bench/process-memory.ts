import { readFileSync } from 'node:fs';

/** Resident memory of a process, in megabytes (10^6 bytes): what is in use, and the most that ever was. */
export interface ProcessMemory {
  readonly rssMb: number;
  readonly peakMb: number;
}

/** Whether the system says what memory another process has. */
export const KNOWS_MEMORY = process.platform === 'linux';

export function memoryOf(pid: number | undefined): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mb = (field: string): number =>
    (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / 1e6;
  return { rssMb: mb('VmRSS'), peakMb: mb('VmHWM') };
}
