const PATTERN = /^batch_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)_(\d+)\.jsonl$/;

/** Beyond this, numbers are not exact, and no next one can be given. */
const N_MAX = 2 ** 52;
/** The last second that a name can hold. */
const SECOND_MAX = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000;

/** The parts of a batch file's name: `batch_YYYYMMDD_HHMMSS_N.jsonl`. */
interface BatchName {
  /** The time, in seconds since 1970 (UTC in the name). */
  readonly second: number;
  /** Counts up within a run of the server. */
  readonly n: number;
}

function format({ second, n }: BatchName): string {
  const [day, time] = new Date(second * 1000).toISOString().slice(0, 19).split('T') as [string, string];
  return `batch_${day.replaceAll('-', '')}_${time.replaceAll(':', '')}_${n}.jsonl`;
}

/** `null` for any name that the log would not give. */
function parse(name: string): BatchName | null {
  const parts = PATTERN.exec(name);
  if (parts === null) return null;
  const [year, month, day, hour, minute, second, n] = parts.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const parsed = { second: Date.UTC(year, month - 1, day, hour, minute, second) / 1000, n };
  return n < N_MAX && format(parsed) === name ? parsed : null;
}

export function isBatchName(name: string): boolean {
  return parse(name) !== null;
}

/** The time in a batch name, in milliseconds since 1970. */
export function timeOf(name: string): number {
  return (parse(name)?.second ?? 0) * 1000;
}

const TIME_END = 'batch_YYYYMMDD_HHMMSS'.length;

/** The order of delivery: time, then N as a number. Both must be batch names; what files have after that does not count. */
export function compareBatchNames(a: string, b: string): number {
  const [left, right] = [a.slice(0, TIME_END), b.slice(0, TIME_END)];
  if (left !== right) return left < right ? -1 : 1;
  return numberOf(a) - numberOf(b);
}

function numberOf(name: string): number {
  return Number(name.slice(TIME_END + 1, name.indexOf('.', TIME_END)));
}

/**
 * Gives each new batch file a name that comes after all earlier names and all names in the directory, even if the
 * clock goes back (N6). A name of an earlier run may come again once its file is gone; a batch is identified by its
 * key, which starts with the run (batch-key.ts).
 */
export class BatchNames {
  #last: BatchName;
  readonly #nowMs: () => number;

  /** @param newest the newest name in the directory, if there is any */
  constructor(newest: string | null, nowMs: () => number = Date.now) {
    const left = newest === null ? null : parse(newest);
    this.#nowMs = nowMs;
    const second = this.#second();
    this.#last = left !== null && left.second >= second ? left : { second, n: 0 };
  }

  /** No name that was given, and none in the directory, comes after this one. */
  get last(): string {
    return format(this.#last);
  }

  /** No name comes again that an earlier run gave, as far as it is known. */
  leaveOut(given: string): void {
    if (compareBatchNames(given, this.last) > 0) this.#last = parse(given) ?? this.#last;
  }

  /** @throws Error if there is none */
  next(): string {
    const second = Math.max(this.#second(), this.#last.second);
    const n = this.#last.n + 1;
    const next = n < N_MAX ? { second, n } : { second: Math.max(second, this.#last.second + 1), n: 1 };
    if (next.second > SECOND_MAX) throw new Error(`no name comes after ${this.last}: move that file away`);
    this.#last = next;
    return format(this.#last);
  }

  #second(): number {
    return Math.min(SECOND_MAX, Math.floor(this.#nowMs() / 1000));
  }
}
