import type { Random } from './random.js';
import type { Odds, SimulatedFile } from './simulated-file.js';
import type { Tally } from './tally.js';

export type Node = SimulatedFile | SimulatedDirectory;

/** Directories in the log directory. */
const IN_LOG = new Set(['quarantine', 'dead-letters', 'id-window', 'retained']);

/** How many changes of each name a flush of the directory covers. */
export type DirectorySync = ReadonlyMap<string, number>;

/**
 * A directory: its names as calls see them, and as a power cut leaves them. A name that was made or deleted is
 * durable only after a flush of the directory; until then each change is kept or lost by itself, except that
 * the changes of one name keep their order.
 */
export class SimulatedDirectory {
  readonly names = new Map<string, Node>();
  readonly #durable = new Map<string, Node>();
  /** What each name stood for after each change since the last flush. */
  readonly #changes = new Map<string, (Node | null)[]>();

  /** A directory as it stands on the device. */
  static of(names: ReadonlyMap<string, Node>): SimulatedDirectory {
    const directory = new SimulatedDirectory();
    for (const [name, node] of names) {
      directory.names.set(name, node);
      directory.#durable.set(name, node);
    }
    return directory;
  }

  set(name: string, node: Node | null): void {
    if (node === null) this.names.delete(name);
    else this.names.set(name, node);
    const changes = this.#changes.get(name);
    if (changes === undefined) this.#changes.set(name, [node]);
    else changes.push(node);
  }

  beginFlush(): DirectorySync {
    return new Map([...this.#changes].map(([name, { length }]) => [name, length]));
  }

  endFlush(flush: DirectorySync): void {
    for (const [name, length] of flush) this.#settle(name, length, length);
  }

  /**
   * The flush failed: some of the changes are on the device, and the others count as flushed, as pages do. (A
   * journaling file system would remember them, one without a journal need not.) Only the log directory and those
   * above it are flushed by the next one: a start that could neither flush nor remove them leaves no trace by which
   * the next one could tell. Nor does a deletion leave one: it is flushed by the next flush as well.
   */
  failFlush(flush: DirectorySync, random: Random): void {
    for (const [name, length] of flush) {
      const kept = random.whole(0, length);
      const node = this.names.get(name);
      const isSpared = node === undefined || (node instanceof SimulatedDirectory && !IN_LOG.has(name));
      this.#settle(name, kept, isSpared ? kept : length);
    }
  }

  /** The names that a power cut leaves. */
  survivors(random: Random, odds: Odds, tally: Tally): Map<string, Node> {
    const survivors = new Map(this.#durable);
    for (const [name, changes] of this.#changes) {
      const kept = random.chance(odds.name) ? random.whole(1, changes.length) : 0;
      const before = survivors.get(name) ?? null;
      const after = kept === 0 ? before : (changes[kept - 1] ?? null);
      put(survivors, name, after);
      const wanted = changes.at(-1) ?? null;
      if (after === wanted) tally.count('device', 'unflushed names kept or deleted');
      else tally.count('device', wanted === null ? 'deleted names that came back' : 'new names lost');
    }
    return survivors;
  }

  #settle(name: string, kept: number, covered: number): void {
    const changes = this.#changes.get(name);
    if (changes === undefined) return;
    if (kept > 0) put(this.#durable, name, changes[kept - 1] ?? null);
    const later = covered === 0 ? changes : changes.slice(covered);
    if (later.length === 0) this.#changes.delete(name);
    else this.#changes.set(name, later);
  }
}

function put(names: Map<string, Node>, name: string, node: Node | null): void {
  if (node === null) names.delete(name);
  else names.set(name, node);
}
