/** The folder of the id window in the log directory. */
export const ID_WINDOW = 'id-window';

const PATTERN = /^ids_\d{8}_\d{6}_\d{9}\.jsonl$/;
const NUMBER = /_(\d{9})\.jsonl$/;

export function isSegmentName(name: string): boolean {
  return PATTERN.test(name);
}

/** Gives each new segment a name that comes after all earlier ones, even if the clock goes back. */
export class SegmentNames {
  #last: string;

  /** @param newest the newest name in the directory; `null`: there is none */
  constructor(newest: string | null) {
    this.#last = newest ?? '';
  }

  next(): string {
    const [day = '', time = ''] = new Date(Date.now())
      .toISOString()
      .slice(0, 19)
      .replaceAll(/[-:]/g, '')
      .split('T');
    const now = `ids_${day}_${time}`;
    const stem = this.#last.slice(0, now.length) > now ? this.#last.slice(0, now.length) : now;
    const n = this.#last.startsWith(stem) ? Number(NUMBER.exec(this.#last)?.[1] ?? 0) + 1 : 1;
    this.#last = `${stem}_${String(n).padStart(9, '0')}.jsonl`;
    return this.#last;
  }
}
