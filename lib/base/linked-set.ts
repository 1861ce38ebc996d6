/** A member of a `LinkedSet`, of one at a time. */
export interface Links<T> {
  /** Kept by the set. */
  before: T | null;
  after: T | null;
}

/**
 * Members in the order in which they came, for what comes and goes with each request.
 *
 * Reason: a `Set` of V8 that is full of deleted entries moves on to a new table. The old one keeps its entries, and a
 * link to the new one. Once an old table is in the old generation, it keeps all later tables alive, with the requests
 * in them, until the next full collection (decision 72). A member that leaves here keeps no link to any other.
 */
export class LinkedSet<T extends Links<T>> {
  #first: T | null = null;
  #last: T | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The oldest member. */
  get first(): T | null {
    return this.#first;
  }

  /** All members as of now, oldest first. */
  get all(): T[] {
    const all: T[] = [];
    for (let member = this.#first; member !== null; member = member.after) all.push(member);
    return all;
  }

  /** @param member is in no other set */
  has(member: T): boolean {
    return member.before !== null || this.#first === member;
  }

  /** @param member is in no set */
  add(member: T): void {
    const last = this.#last;
    member.before = last;
    if (last === null) this.#first = member;
    else last.after = member;
    this.#last = member;
    this.#size++;
  }

  /** @returns whether it was a member */
  delete(member: T): boolean {
    if (!this.has(member)) return false;
    const { before, after } = member;
    member.before = null;
    member.after = null;
    if (before === null) this.#first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
    this.#size--;
    return true;
  }
}
