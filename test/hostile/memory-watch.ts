import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const EVERY_MS = 50;
const KIB = 1024;

/** Looks at the resident memory of a process. */
export class MemoryWatch {
  /** In bytes, since the last `mark`. */
  peak = 0;
  before = 0;
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #isLooking = false;

  /** @param onLook called with the growth since the last `mark`, in bytes */
  constructor(pid: number, onLook: (growth: number) => void) {
    this.#pid = pid;
    this.#timer = setInterval(() => {
      void this.#look().then(() => {
        onLook(this.growth);
      });
    }, EVERY_MS);
  }

  get growth(): number {
    return this.peak - this.before;
  }

  /** Measures growth from now on. */
  async mark(): Promise<void> {
    this.before = await residentBytes(this.#pid);
    this.peak = this.before;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.peak = Math.max(this.peak, await residentBytes(this.#pid));
    this.#isLooking = false;
  }
}

/** 0: the process is gone. */
async function residentBytes(pid: number): Promise<number> {
  try {
    if (process.platform === 'linux') {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * KIB;
    }
    const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)]);
    return Number(stdout) * KIB;
  } catch {
    return 0;
  }
}
