/** Something that will happen. `run` is `null` once it has happened or was taken back. */
export interface Happening {
  atMs: number;
  order: number;
  readonly label: string;
  /** The process that it happens in; `null`: in none. */
  readonly owner: Owner | null;
  run: (() => void) | null;
}

/** One of several processes in the same world. */
export interface Owner {
  readonly name: string;
  /** Frozen: what happens in it happens when it goes on. Dead: never. */
  state: 'runs' | 'frozen' | 'dead';
  /** What has its time while it is frozen. */
  kept: Happening[];
}

/** A clock that only moves when something happens: a queue of what will happen, earliest first (a binary heap). */
export class VirtualTime {
  /** Milliseconds since 1970. It never goes back. */
  nowMs: number;
  /** How much the clock on the wall is ahead of it; a step of that clock changes it. */
  wallOffsetMs = 0;
  /** The process in which the present step happens: what follows from it happens there as well. */
  owner: Owner | null = null;
  #heap: Happening[] = [];
  #orders = 0;

  constructor(startMs: number) {
    this.nowMs = startMs;
  }

  /** What the clock on the wall says, in milliseconds since 1970. */
  get wallMs(): number {
    return this.nowMs + this.wallOffsetMs;
  }

  after(delayMs: number, label: string, run: () => void, owner: Owner | null = this.owner): Happening {
    const happening: Happening = { atMs: this.nowMs + delayMs, order: this.#orders++, label, owner, run };
    this.#add(happening);
    return happening;
  }

  /** A frozen process goes on: what it has missed happens now. */
  thaw(owner: Owner): void {
    if (owner.state !== 'frozen') return;
    owner.state = 'runs';
    for (const happening of owner.kept.splice(0)) {
      happening.atMs = this.nowMs;
      happening.order = this.#orders++;
      this.#add(happening);
    }
  }

  /** Takes the earliest happening out and moves the clock to it; `null` where nothing is left. */
  next(): Happening | null {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return null;
      const last = this.#heap.pop();
      if (last !== undefined && last !== first) {
        this.#heap[0] = last;
        this.#down(0);
      }
      if (first.run === null) continue;
      const { owner } = first;
      if (owner?.state === 'frozen') owner.kept.push(first);
      if (owner !== null && owner.state !== 'runs') continue;
      this.nowMs = Math.max(this.nowMs, first.atMs);
      this.owner = owner;
      return first;
    }
  }

  /** The process is gone, and with it everything it waited for. */
  forgetAll(): void {
    for (const happening of this.#heap) happening.run = null;
    this.#heap = [];
    this.owner = null;
  }

  #add(happening: Happening): void {
    this.#heap.push(happening);
    this.#up(this.#heap.length - 1);
  }

  #up(from: number): void {
    for (let index = from; index > 0;) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfLater(parent, index)) return;
      index = parent;
    }
  }

  #down(from: number): void {
    for (let index = from; ;) {
      const left = 2 * index + 1;
      const right = left + 1;
      const child = right < this.#heap.length && this.#isLater(left, right) ? right : left;
      if (child >= this.#heap.length || !this.#swapIfLater(index, child)) return;
      index = child;
    }
  }

  #isLater(a: number, b: number): boolean {
    const [left, right] = [this.#heap[a], this.#heap[b]];
    if (left === undefined || right === undefined) return false;
    return left.atMs === right.atMs ? left.order > right.order : left.atMs > right.atMs;
  }

  #swapIfLater(a: number, b: number): boolean {
    const [left, right] = [this.#heap[a], this.#heap[b]];
    if (left === undefined || right === undefined || !this.#isLater(a, b)) return false;
    this.#heap[a] = right;
    this.#heap[b] = left;
    return true;
  }
}
