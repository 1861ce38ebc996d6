/** The weight of a delivery falls with its age: to half after 20 seconds. */
const TIME_CONSTANT_MS = 30_000;

/** After this long without a delivery the rate is 0, whatever the mean says. */
const STILL_MS = 60_000;

/** How fast bytes leave the disk, of all or of one client, over about the last half minute. */
export class DrainRate {
  readonly #bornMs = performance.now();
  #bytes = 0;
  #atMs = this.#bornMs;

  add(bytes: number): void {
    this.#bytes = this.#decayed() + bytes;
    this.#atMs = performance.now();
  }

  /** How long this many bytes take at this rate, in milliseconds; `Infinity` if nothing was delivered for a minute. */
  msFor(bytes: number): number {
    const ageMs = performance.now() - this.#bornMs;
    const windowMs = TIME_CONSTANT_MS * (1 - Math.exp(-ageMs / TIME_CONSTANT_MS));
    const left = this.#decayed();
    const isStill = performance.now() - this.#atMs > STILL_MS;
    return left < 1 || isStill ? Infinity : (bytes * windowMs) / left;
  }

  #decayed(): number {
    return this.#bytes * Math.exp((this.#atMs - performance.now()) / TIME_CONSTANT_MS);
  }
}
