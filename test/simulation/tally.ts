/** What happened in a run, counted by group and name. */
export class Tally {
  readonly #groups = new Map<string, Map<string, number>>();

  count(group: string, name: string, times: number = 1): void {
    let names = this.#groups.get(group);
    if (names === undefined) this.#groups.set(group, (names = new Map()));
    names.set(name, (names.get(name) ?? 0) + times);
  }

  of(group: string, name: string): number {
    return this.#groups.get(group)?.get(name) ?? 0;
  }

  total(group: string): number {
    let total = 0;
    for (const times of this.#groups.get(group)?.values() ?? []) total += times;
    return total;
  }

  /** The names of a group, most frequent first. */
  rows(group: string): [string, number][] {
    return [...(this.#groups.get(group) ?? [])].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  }
}
