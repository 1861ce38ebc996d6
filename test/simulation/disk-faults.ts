import type { Random } from './random.js';
import type { Tally } from './tally.js';

export const METHODS = [
  'open',
  'close',
  'read',
  'write',
  'fdatasync',
  'fsync',
  'fstat',
  'lstat',
  'ftruncate',
  'mkdir',
  'rmdir',
  'opendir',
  'unlink',
  'rename',
] as const;
export type Method = (typeof METHODS)[number];

/** A fault: the error, and how much of the call's effect is there all the same (0: none, 1: all). */
export interface Fault {
  readonly code: string;
  readonly effect: number;
}

const CODES: Readonly<Record<Method, readonly string[]>> = {
  open: ['EMFILE', 'EIO', 'ENOSPC', 'EROFS'],
  close: ['EIO'],
  read: ['EIO'],
  write: ['ENOSPC', 'EIO', 'EROFS'],
  fdatasync: ['EIO', 'ENOSPC'],
  fsync: ['EIO', 'ENOSPC'],
  fstat: ['EIO'],
  lstat: ['EIO'],
  ftruncate: ['EIO', 'EROFS'],
  mkdir: ['EIO', 'ENOSPC', 'EROFS'],
  rmdir: ['EIO', 'EROFS'],
  opendir: ['EMFILE', 'EIO'],
  unlink: ['EIO', 'EROFS'],
  rename: ['EIO', 'ENOSPC', 'EROFS'],
};

/** With these the system has looked at the call and turned it down. */
const WITHOUT_EFFECT = new Set(['EMFILE', 'EROFS']);

/** What goes wrong on a disk, switchable while it runs. */
export class DiskFaults {
  /** How likely a call of each method fails. */
  readonly rates: Partial<Record<Method, number>> = {};
  /** How likely a read or a write moves fewer bytes than asked for. */
  short = 0;
  /** No byte and no name can be added until then; deleting and cutting work. */
  fullUntilMs = 0;
  /** Nothing is answered until then. */
  hungUntilMs = 0;
  /** The disk holds at most this many bytes. It is no fault that is cleared with the others. */
  capacityBytes = Infinity;
  /** The paths of files that cannot be read. It is no fault that is cleared with the others, nor one that is counted. */
  unreadable: ReadonlySet<string> = new Set();
  /** How many calls have failed. */
  happened = 0;
  readonly #random: Random;
  readonly #tally: Tally;

  constructor(random: Random, tally: Tally) {
    this.#random = random;
    this.#tally = tally;
  }

  clear(): void {
    for (const method of METHODS) delete this.rates[method];
    this.short = 0;
    this.fullUntilMs = 0;
    this.hungUntilMs = 0;
  }

  /** Whether this call fails. `adds`: it needs space. */
  of(method: Method, adds: boolean, nowMs: number): Fault | null {
    // a full disk may still have room for a name
    if (adds && nowMs < this.fullUntilMs && (method === 'write' || this.#random.chance(0.3))) {
      const effect = method === 'write' ? this.#random.next() : 0;
      return this.#count({ code: 'ENOSPC', effect }, `${method}: ENOSPC, the disk is full for a while`);
    }
    const rate = this.rates[method] ?? 0;
    if (rate === 0 || !this.#random.chance(rate)) return null;
    const codes = CODES[method].filter((each) => adds || each !== 'ENOSPC' || method.endsWith('sync'));
    const code = this.#random.pick(codes);
    const partial = method === 'write' ? this.#random.next() : Number(this.#random.chance(0.3));
    return this.#count({ code, effect: WITHOUT_EFFECT.has(code) ? 0 : partial }, `${method}: ${code}`);
  }

  /** How many of these bytes the system moves. */
  moved(bytes: number, method: Method): number {
    if (bytes < 2 || this.short === 0 || !this.#random.chance(this.short)) return bytes;
    this.#tally.count('faults', `${method}: fewer bytes than asked for`);
    return this.#random.whole(1, bytes - 1);
  }

  /** A write that finds no room at all. */
  full(): string {
    return this.#count({ code: 'ENOSPC', effect: 0 }, 'write: ENOSPC, the disk has no room').code;
  }

  hung(): void {
    this.#tally.count('faults', 'answers held up by a hanging disk');
  }

  #count(fault: Fault, name: string): Fault {
    this.happened++;
    this.#tally.count('faults', name);
    return fault;
  }
}
