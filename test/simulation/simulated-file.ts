import type { Random } from './random.js';
import type { Tally } from './tally.js';

export const PAGE = 4096;

/** How likely what was not flushed survives a power cut, and how likely a page that does is torn. */
export interface Odds {
  readonly page: number;
  readonly torn: number;
  readonly size: number;
  readonly name: number;
}

/** What a flush has promised to put on the device: the pages that were dirty when it was asked for. */
export interface Flush {
  readonly pages: ReadonlyMap<number, Buffer>;
  readonly size: number;
  readonly change: number;
}

/**
 * A file as POSIX promises it: what reads see (the page cache), and what a power cut leaves (the device).
 *
 * - A written page is dirty until it is flushed. At a power cut each dirty page survives or not by itself, in no
 *   order, and one that survives may be torn: a prefix of the new bytes, the rest old. That a torn page holds
 *   only old or new bytes, never garbage, is the "powersafe overwrite" assumption; an append that rewrites the
 *   begin of its page with the same bytes loses nothing by it.
 * - The size is flushed like a page of its own: the file may be shorter than its pages, or end in zeros.
 * - After a failed flush the pages are clean although they are not on the device, and the next flush does not
 *   write them ("fsyncgate"); reads give the new bytes all the same until the power cut.
 */
export class SimulatedFile {
  size = 0;
  #cached = Buffer.alloc(0);
  #durable = Buffer.alloc(0);
  #durableSize = 0;
  /** Dirty pages and the number of the change that touched each last. */
  readonly #dirty = new Map<number, number>();
  #sizeChange = 0;
  #sizeIsDirty = false;
  #changes = 0;

  static of(content: Uint8Array): SimulatedFile {
    const file = new SimulatedFile();
    file.#cached = Buffer.from(content);
    file.#durable = Buffer.from(content);
    file.size = file.#durableSize = content.length;
    return file;
  }

  content(): Buffer {
    return this.#cached.subarray(0, this.size);
  }

  /** What is certain to be there after a power cut. */
  durableContent(): Buffer {
    return padded(this.#durable, this.#durableSize).subarray(0, this.#durableSize);
  }

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    if (this.#cached.length < end)
      this.#cached = padded(this.#cached, Math.max(end, 2 * this.#cached.length));
    this.#cached.set(bytes, position);
    this.#changes++;
    for (let page = Math.floor(position / PAGE); page * PAGE < end; page++)
      this.#dirty.set(page, this.#changes);
    // with the last bytes the system writes the size, also if it failed to do so before
    if (end > this.size || (end === this.size && end > this.#durableSize)) this.#setSize(end);
  }

  read(position: number, length: number): Buffer {
    return this.#cached.subarray(position, Math.max(position, Math.min(this.size, position + length)));
  }

  truncate(size: number): void {
    this.#changes++;
    if (size < this.size) {
      this.#cached.fill(0, size, this.size);
      for (const page of this.#dirty.keys()) if (page * PAGE >= size) this.#dirty.delete(page);
      if (size % PAGE > 0) this.#dirty.set(Math.floor(size / PAGE), this.#changes);
    } else if (this.#cached.length < size) {
      this.#cached = padded(this.#cached, size);
    }
    if (size !== this.size) this.#setSize(size);
  }

  /** What a flush that is asked for now must put on the device. What is written later is not its business. */
  beginFlush(): Flush {
    const pages = new Map<number, Buffer>();
    for (const page of this.#dirty.keys()) {
      pages.set(page, Buffer.from(this.#cached.subarray(page * PAGE, (page + 1) * PAGE)));
    }
    return { pages, size: this.#sizeIsDirty ? this.size : this.#durableSize, change: this.#changes };
  }

  endFlush(flush: Flush): void {
    for (const [page, bytes] of flush.pages) this.#putOnDevice(page, bytes, bytes.length);
    this.#markClean(flush);
    this.#setDurableSize(flush.size);
  }

  /** The flush failed: some of it is on the device, and all of it counts as clean. */
  failFlush(flush: Flush, random: Random, tally: Tally): void {
    for (const [page, bytes] of flush.pages) {
      if (random.chance(0.4))
        this.#putOnDevice(page, bytes, random.chance(0.2) ? tear(bytes, random) : bytes.length);
      else tally.count('device', 'pages that a failed flush left clean and not written');
    }
    this.#markClean(flush);
    if (random.chance(0.5)) this.#setDurableSize(flush.size);
  }

  /** The file as it is after a power cut. */
  afterPowerCut(random: Random, odds: Odds, tally: Tally): SimulatedFile {
    const survivor = new SimulatedFile();
    survivor.#durable = Buffer.from(this.#durable);
    survivor.#durableSize = this.#durableSize;
    let size = this.#durableSize;
    if (this.#sizeIsDirty && random.chance(odds.size)) {
      const least = Math.min(size, this.size);
      const most = Math.max(size, this.size);
      size = random.chance(0.6) ? this.size : random.whole(least, most);
    }
    for (const page of random.shuffled(this.#dirty.keys())) {
      const bytes = this.#cached.subarray(page * PAGE, (page + 1) * PAGE);
      if (!random.chance(odds.page)) {
        tally.count('device', page * PAGE < size ? 'unflushed pages lost' : 'unflushed ends lost');
      } else if (random.chance(odds.torn)) {
        survivor.#putOnDevice(page, bytes, tear(bytes, random));
        tally.count('device', 'pages torn');
      } else {
        survivor.#putOnDevice(page, bytes, bytes.length);
        tally.count('device', 'unflushed pages kept');
      }
    }
    survivor.#setDurableSize(size);
    survivor.#cached = Buffer.from(survivor.durableContent());
    survivor.size = size;
    return survivor;
  }

  /** Turns one bit, in the cache and on the device. */
  flipBit(position: number, bit: number): void {
    for (const bytes of [this.#cached, this.#durable]) {
      const byte = bytes[position];
      if (byte !== undefined) bytes[position] = byte ^ (1 << bit);
    }
  }

  #setSize(size: number): void {
    this.size = size;
    this.#sizeIsDirty = true;
    this.#sizeChange = this.#changes;
  }

  #markClean(flush: Flush): void {
    for (const page of flush.pages.keys()) {
      if ((this.#dirty.get(page) ?? 0) <= flush.change) this.#dirty.delete(page);
    }
    if (this.#sizeChange <= flush.change) this.#sizeIsDirty = false;
  }

  #putOnDevice(page: number, bytes: Uint8Array, length: number): void {
    const position = page * PAGE;
    if (this.#durable.length < position + length) this.#durable = padded(this.#durable, position + length);
    this.#durable.set(bytes.subarray(0, length), position);
  }

  #setDurableSize(size: number): void {
    if (this.#durable.length > size) this.#durable = this.#durable.subarray(0, size);
    this.#durableSize = size;
    this.#durable = padded(this.#durable, size);
  }
}

function tear(bytes: Uint8Array, random: Random): number {
  return random.whole(1, Math.max(1, bytes.length - 1));
}

function padded(bytes: Buffer, length: number): Buffer<ArrayBuffer> {
  const longer = Buffer.alloc(Math.max(bytes.length, length));
  longer.set(bytes);
  return longer;
}
