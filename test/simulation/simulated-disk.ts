import { constants } from 'node:fs';
import type { BigIntStats, Dir, Stats } from 'node:fs';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { DirectoryReader } from './directory-reader.js';
import { halfDone, last, openMode, phaseOf, statsOf, systemError } from './disk-calls.js';
import type { Callback, Descriptor, DiskCall } from './disk-calls.js';
import { DiskFaults } from './disk-faults.js';
import type { Method } from './disk-faults.js';
import { DiskTree } from './disk-tree.js';
import type { Random } from './random.js';
import { SimulatedDirectory } from './simulated-directory.js';
import { SimulatedFile } from './simulated-file.js';
import type { Odds } from './simulated-file.js';
import type { Tally } from './tally.js';
import type { Trace } from './trace.js';
import type { VirtualTime } from './virtual-time.js';

export interface Surroundings {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly tally: Tally;
  readonly trace: Trace;
  /**
   * Whether a flush that a kill interrupts leaves its pages to the next one, as a system does. Otherwise it counts as failed, which is
   * harsher.
   */
  killsLeaveDirty?: boolean;
  /** Whether most events take more than a block of the disk: only their files get smaller. */
  areEventsLarge?: boolean;
}

const SPIKE = 0.02;

/**
 * A disk in memory, under the calls of `node:fs` that the append log makes. Calls are answered later, in an
 * order that the seeded generator decides, and may fail. `powerCut` and `kill` give the disk that the next
 * process finds; this one is dead then, and never answers again.
 */
export class SimulatedDisk {
  readonly tree: DiskTree;
  readonly faults: DiskFaults;
  /** `O_DSYNC` where the system has it. */
  readonly dsync: number;
  /** How long a call takes, about. */
  latencyMs = 0.5;
  readonly #around: Surroundings;
  readonly #open = new Map<number, Descriptor>();
  readonly #underWay = new Set<DiskCall<unknown>>();
  #dead = false;
  #isKilled = false;
  /** Hears the path of each flush that failed. */
  heardFailedFlush: (path: string) => void = () => undefined;
  /** Hears of each file that another one takes the place of, at a path. */
  heardReplaced: (from: string, to: string) => void = () => undefined;

  constructor(around: Surroundings, tree: DiskTree = new DiskTree()) {
    this.#around = around;
    this.dsync = around.random.chance(0.5) ? constants.O_DSYNC : 0;
    this.tree = tree;
    this.faults = new DiskFaults(around.random, around.tally);
  }

  /** As the code under test takes it. `node:fs` has overloads that nobody here calls. */
  get fs(): FileSystem {
    return this as unknown as FileSystem;
  }

  get openFiles(): number {
    return this.#open.size;
  }

  /** Whether a file is open. */
  hasOpen(file: SimulatedFile): boolean {
    for (const { node } of this.#open.values()) if (node === file) return true;
    return false;
  }

  /** What the disk is doing. */
  phases(): Set<string> {
    const phases = new Set<string>();
    for (const call of this.#underWay) {
      const phase = phaseOf(call);
      if (phase !== null) phases.add(phase);
    }
    return phases;
  }

  /** What the next start finds after the power failed now. */
  powerCut(odds: Odds): SimulatedDisk {
    this.#die();
    const { random, tally } = this.#around;
    return new SimulatedDisk(this.#around, this.tree.afterPowerCut(random, odds, tally));
  }

  /** What the next start finds after the process was killed now: all that was written, flushed or not. */
  kill(): SimulatedDisk {
    this.#isKilled = this.#around.killsLeaveDirty === true;
    this.#die();
    return new SimulatedDisk(this.#around, this.tree);
  }

  open(path: string, flags: string | number, ...rest: [number, Callback<number>] | [Callback<number>]): void {
    const mode = openMode(flags);
    const find = (): Descriptor['node'] => {
      const existing = this.tree.find(path);
      if (existing !== null && mode.exclusive) throw systemError('EEXIST', 'open', path);
      if (existing instanceof SimulatedDirectory && mode.write) throw systemError('EISDIR', 'open', path);
      if (existing === null && !mode.create) throw systemError('ENOENT', 'open', path);
      if (existing instanceof SimulatedFile && mode.truncate) existing.truncate(0);
      if (existing !== null) return existing;
      const made = new SimulatedFile();
      this.tree.parent(path, 'open').set(this.tree.nameOf(path), made);
      return made;
    };
    const apply = (): number => {
      const node = find();
      let fd = 3;
      while (this.#open.has(fd)) fd++;
      this.#open.set(fd, { fd, path, node, dsync: mode.dsync, locked: null });
      return fd;
    };
    const fail = (share: number): void => {
      if (share > 0.5) find();
    };
    this.#submit({ method: 'open', path, adds: mode.create, apply, fail, done: last(rest) });
  }

  close(fd: number, done: Callback<void>): void {
    const { path } = this.#descriptor(fd);
    const apply = (): void => {
      this.#open.delete(fd);
    };
    // Linux closes it also where it gives an error
    this.#submit({ method: 'close', path, apply, fail: apply, done });
  }

  closeSync(fd: number): void {
    const { path } = this.#descriptor(fd);
    if (this.#dead) return;
    this.#open.delete(fd);
    const fault = this.faults.of('close', false, this.#around.time.nowMs);
    if (fault !== null) throw systemError(fault.code, 'close', path);
  }

  read(fd: number, into: Buffer, offset: number, length: number, at: number, done: Callback<number>): void {
    const { path } = this.#descriptor(fd);
    const apply = (): number => {
      if (this.faults.unreadable.has(path)) throw systemError('EIO', 'read', path);
      const bytes = this.#file(fd, 'read').read(at, this.faults.moved(length, 'read'));
      into.set(bytes, offset);
      return bytes.length;
    };
    this.#submit({ method: 'read', path, apply, done });
  }

  write(fd: number, from: Buffer, offset: number, length: number, at: number, done: Callback<number>): void {
    const { path, dsync } = this.#descriptor(fd);
    const { random, tally } = this.#around;
    const put = (count: number): SimulatedFile => {
      const file = this.#file(fd, 'write');
      file.write(from.subarray(offset, offset + count), at);
      return file;
    };
    const fail = (share: number): void => {
      const file = put(Math.floor(length * share));
      if (dsync && !this.#isKilled) file.failFlush(file.beginFlush(), random, tally);
    };
    const apply = (): number => {
      const room = this.#room(fd, at);
      if (room <= 0 && length > 0) throw systemError(this.faults.full(), 'write', path);
      const count = Math.min(this.faults.moved(length, 'write'), room);
      const file = put(count);
      if (dsync) file.endFlush(file.beginFlush());
      return count;
    };
    this.#submit({ method: 'write', path, adds: true, apply, fail, done });
  }

  fdatasync(fd: number, done: Callback<void>): void {
    this.#flush('fdatasync', fd, done);
  }

  fsync(fd: number, done: Callback<void>): void {
    this.#flush('fsync', fd, done);
  }

  fstat(
    fd: number,
    ...rest: [object, Callback<Stats | BigIntStats>] | [Callback<Stats | BigIntStats>]
  ): void {
    const { path, node } = this.#descriptor(fd);
    this.#submit({ method: 'fstat', path, apply: () => statsOf(node), done: last(rest) });
  }

  lstat(
    path: string,
    ...rest: [object, Callback<Stats | BigIntStats>] | [Callback<Stats | BigIntStats>]
  ): void {
    const apply = (): Stats => {
      const node = this.tree.find(path);
      if (node === null) throw systemError('ENOENT', 'lstat', path);
      return statsOf(node);
    };
    this.#submit({ method: 'lstat', path, apply, done: last(rest) });
  }

  ftruncate(fd: number, size: number, done: Callback<void>): void {
    const { path } = this.#descriptor(fd);
    const apply = (): void => {
      this.#file(fd, 'ftruncate').truncate(size);
    };
    this.#submit({ method: 'ftruncate', path, apply, done });
  }

  mkdir(path: string, _options: { recursive: true }, done: Callback<string | undefined>): void {
    this.#submit({ method: 'mkdir', path, adds: true, apply: () => this.tree.makeDirectories(path), done });
  }

  rmdir(path: string, done: Callback<void>): void {
    const apply = (): void => {
      const node = this.tree.find(path);
      if (!(node instanceof SimulatedDirectory)) throw systemError('ENOENT', 'rmdir', path);
      if (node.names.size > 0) throw systemError('ENOTEMPTY', 'rmdir', path);
      this.tree.parent(path, 'rmdir').set(this.tree.nameOf(path), null);
    };
    this.#submit({ method: 'rmdir', path, apply, done });
  }

  opendir(path: string, ...rest: [object, Callback<Dir>] | [Callback<Dir>]): void {
    const apply = (): Dir => {
      const node = this.tree.find(path);
      if (!(node instanceof SimulatedDirectory)) throw systemError('ENOENT', 'opendir', path);
      const later = (run: Callback<void>): void => {
        this.#submit({ method: 'opendir', path, apply: () => undefined, done: run });
      };
      return new DirectoryReader(node, this.#around.random, later).dir;
    };
    this.#submit({ method: 'opendir', path, apply, done: last(rest) });
  }

  unlink(path: string, done: Callback<void>): void {
    const apply = (): void => {
      const parent = this.tree.parent(path, 'unlink');
      if (!parent.names.has(this.tree.nameOf(path))) throw systemError('ENOENT', 'unlink', path);
      parent.set(this.tree.nameOf(path), null);
    };
    this.#submit({ method: 'unlink', path, apply, done });
  }

  /** Each name is durable by itself: with the new one the old one may come back at a power cut. */
  rename(from: string, to: string, done: Callback<void>): void {
    const apply = (): void => {
      const parent = this.tree.parent(from, 'rename');
      const node = parent.names.get(this.tree.nameOf(from));
      if (node === undefined) throw systemError('ENOENT', 'rename', from);
      if (this.tree.find(to) !== null) this.heardReplaced(from, to);
      this.tree.parent(to, 'rename').set(this.tree.nameOf(to), node);
      parent.set(this.tree.nameOf(from), null);
      if (to.endsWith('.gz')) this.#around.tally.count('compression', 'files that were compressed');
    };
    this.#submit({ method: 'rename', path: to, adds: true, apply, done });
  }

  tryLock(fd: number, isShared: boolean = false): boolean {
    const descriptor = this.#descriptor(fd);
    const lock = isShared ? 'shared' : 'exclusive';
    for (const { node, locked } of this.#open.values())
      if (node === descriptor.node && locked !== null && (locked !== 'shared' || !isShared)) return false;
    descriptor.locked = lock;
    return true;
  }

  #flush(method: 'fdatasync' | 'fsync', fd: number, done: Callback<void>): void {
    const { path, node } = this.#descriptor(fd);
    const { random, tally } = this.#around;
    let apply: () => void;
    let fail: () => void;
    if (node instanceof SimulatedDirectory) {
      const flush = node.beginFlush();
      apply = () => {
        node.endFlush(flush);
      };
      fail = () => {
        if (!this.#isKilled) node.failFlush(flush, random);
      };
    } else {
      const flush = node.beginFlush();
      apply = () => {
        node.endFlush(flush);
      };
      fail = () => {
        if (!this.#isKilled) node.failFlush(flush, random, tally);
      };
    }
    this.#submit({ method, path, apply, fail, done });
  }

  #submit<T>(call: DiskCall<T>): void {
    if (this.#dead) return; // the process that calls does not exist any more
    this.#underWay.add(call as DiskCall<unknown>);
    this.#answerLater(call, 0);
  }

  #answerLater<T>(call: DiskCall<T>, fromMs: number): void {
    const { time, random } = this.#around;
    const takesMs = this.latencyMs * (0.1 + 1.8 * random.next()) * (random.chance(SPIKE) ? 50 : 1);
    time.after(fromMs + takesMs, `${call.method} ${call.path}`, () => {
      const hungMs = this.faults.hungUntilMs - time.nowMs;
      if (hungMs > 0) {
        this.faults.hung();
        this.#answerLater(call, hungMs);
        return;
      }
      this.#underWay.delete(call as DiskCall<unknown>);
      this.#answer(call);
    });
  }

  #answer<T>(call: DiskCall<T>): void {
    const { time, trace } = this.#around;
    const fault = this.faults.of(call.method, call.adds ?? false, time.nowMs);
    if (fault !== null) {
      trace.add(`  fails: ${fault.code}, effect ${fault.effect.toFixed(2)}`);
      halfDone(call, fault.effect);
      if (call.method.endsWith('sync') || call.method === 'write') this.heardFailedFlush(call.path);
      call.done(systemError(fault.code, call.method, call.path));
      return;
    }
    let value: T;
    try {
      value = call.apply();
    } catch (error) {
      trace.add(`  fails: ${String(error)}`);
      call.done(error as Error);
      return;
    }
    call.done(null, value);
  }

  #die(): void {
    const { random } = this.#around;
    this.#dead = true;
    for (const call of random.shuffled(this.#underWay)) halfDone(call, random.pick([0, 1, random.next()]));
    this.#underWay.clear();
    this.#open.clear();
  }

  #descriptor(fd: number): Descriptor {
    const descriptor = this.#open.get(fd);
    if (descriptor === undefined) {
      this.#around.tally.count('misuse', 'calls with a file descriptor that is not open');
      throw Object.assign(new Error(`EBADF: simulated, file descriptor ${fd}`), { code: 'EBADF' });
    }
    return descriptor;
  }

  /** How many bytes fit at a place of a file. */
  #room(fd: number, at: number): number {
    const { capacityBytes } = this.faults;
    if (capacityBytes === Infinity) return Infinity;
    return capacityBytes - this.tree.bytes + Math.max(0, this.#file(fd, 'write').size - at);
  }

  #file(fd: number, method: Method): SimulatedFile {
    const { node, path } = this.#descriptor(fd);
    if (node instanceof SimulatedFile) return node;
    throw systemError('EISDIR', method, path);
  }
}
