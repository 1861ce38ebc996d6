/** The steps of a run: the last ones as text, and all of them as a hash that two runs can be compared by. */
export class Trace {
  readonly #kept: number;
  readonly #last: string[] = [];
  #steps = 0;
  #low = 0x811c9dc5;
  #high = 0x9e3779b9;

  /** @param kept how many of the last steps are kept as text */
  constructor(kept: number) {
    this.#kept = kept;
  }

  add(step: string): void {
    this.#last[this.#steps % this.#kept] = step;
    this.#steps++;
    for (let index = 0; index < step.length; index++) {
      const code = step.charCodeAt(index);
      this.#low = Math.imul(this.#low ^ code, 0x01000193);
      this.#high = Math.imul(this.#high ^ code, 0x85ebca6b) + 1;
    }
  }

  get steps(): number {
    return this.#steps;
  }

  /** FNV-1a and a second one with another multiplier. */
  get hash(): string {
    const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, '0');
    return hex(this.#low) + hex(this.#high);
  }

  last(): string[] {
    const from = Math.max(0, this.#steps - this.#kept);
    return Array.from(
      { length: this.#steps - from },
      (_each, index) => this.#last[(from + index) % this.#kept] ?? '',
    );
  }
}
