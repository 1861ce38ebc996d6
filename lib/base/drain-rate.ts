/** The weight of a delivery falls with its age: to half after 20 seconds. */
const TIME_CONSTANT_MS = 30_000;

/** After this long without a delivery the rate is 0, whatever the mean says. */
const STILL_MS = 60_000;

/** How fast bytes leave the disk, of all or of one client, over about the last half minute. */
export class DrainRate {
  readonly #bornMs = performance.now();
  #bytes = 0;
  #atMs = this.#bornMs;
  /** When it was stopped; `null`: it runs. */
  #heldMs: number | null = null;
  /** How long it was stopped before. */
  #heldForMs = 0;

  add(bytes: number): void {
    this.#bytes = this.#decayed() + bytes;
    this.#atMs = this.#nowMs;
  }

  /** While nothing may be delivered its time stops: what follows goes on at the rate of before. */
  hold(isHeld: boolean): void {
    const nowMs = performance.now();
    if (this.#heldMs !== null) this.#heldForMs += nowMs - this.#heldMs;
    this.#heldMs = isHeld ? nowMs : null;
  }

  get #nowMs(): number {
    return (this.#heldMs ?? performance.now()) - this.#heldForMs;
  }

  /** How long this many bytes take at this rate, in milliseconds; `Infinity` if nothing was delivered for a minute. */
  msFor(bytes: number): number {
    const ageMs = this.#nowMs - this.#bornMs;
    const windowMs = TIME_CONSTANT_MS * (1 - Math.exp(-ageMs / TIME_CONSTANT_MS));
    const left = this.#decayed();
    const isStill = this.#nowMs - this.#atMs > STILL_MS;
    return left < 1 || isStill ? Infinity : (bytes * windowMs) / left;
  }

  #decayed(): number {
    return this.#bytes * Math.exp((this.#atMs - this.#nowMs) / TIME_CONSTANT_MS);
  }
}
