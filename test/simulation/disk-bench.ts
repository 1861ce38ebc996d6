import type { Callback } from './disk-calls.js';
import { Random } from './random.js';
import { SimulatedDisk } from './simulated-disk.js';
import type { Odds } from './simulated-file.js';
import { Tally } from './tally.js';
import { Trace } from './trace.js';
import { VirtualTime } from './virtual-time.js';

const EVEN: Odds = { page: 0.5, torn: 0.5, size: 0.5, name: 0.5 };

/** A simulated disk by itself, for tests of the disk: each call is answered before the next one. */
export class DiskBench {
  disk: SimulatedDisk;
  readonly tally = new Tally();
  readonly #time = new VirtualTime(0);

  constructor(seed: number) {
    const around = {
      time: this.#time,
      random: new Random(seed),
      tally: this.tally,
      trace: new Trace(100),
    };
    this.disk = new SimulatedDisk(around);
  }

  /** One call to its answer. @throws what the disk answers */
  call<T>(start: (done: Callback<T>) => void): T {
    let answer: { error: Error | null; value: T | undefined } | null = null;
    const took = (): { error: Error | null; value: T | undefined } | null => answer;
    start((error, value) => {
      answer = { error, value };
    });
    this.settle(() => took() !== null);
    const { error, value } = took() ?? { error: new Error('the disk did not answer'), value: undefined };
    if (error !== null) throw error;
    return value as T;
  }

  /** Lets everything happen that is under way, or until something holds. */
  settle(until: () => boolean = () => false): void {
    while (!until()) {
      const next = this.#time.next();
      if (next === null) return;
      next.run?.();
    }
  }

  create(path: string): number {
    return this.call<number>((done) => {
      this.disk.open(path, 'wx', 0o640, done);
    });
  }

  write(fd: number, bytes: Buffer, at: number): void {
    this.call<number>((done) => {
      this.disk.write(fd, bytes, 0, bytes.length, at, done);
    });
  }

  flush(fd: number): void {
    this.call<void>((done) => {
      this.disk.fdatasync(fd, done);
    });
  }

  flushDirectory(path: string): void {
    const fd = this.call<number>((done) => {
      this.disk.open(path, 'r', done);
    });
    this.call<void>((done) => {
      this.disk.fsync(fd, done);
    });
  }

  unlink(path: string): void {
    this.call<void>((done) => {
      this.disk.unlink(path, done);
    });
  }

  rename(from: string, to: string): void {
    this.call<void>((done) => {
      this.disk.rename(from, to, done);
    });
  }

  powerCut(odds: Odds = EVEN): void {
    this.disk = this.disk.powerCut(odds);
  }

  kill(): void {
    this.disk = this.disk.kill();
  }

  /** The content of a file in `/`; `null` where it is not there. */
  content(name: string): Buffer | null {
    return this.disk.tree.files('/').get(name)?.content() ?? null;
  }
}
