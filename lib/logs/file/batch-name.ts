const PATTERN = /^batch_\d{8}_\d{6}_(0|[1-9]\d*)\.jsonl$/;

/** Beyond this, numbers are not exact, and no next one can be given. */
const N_MAX = 2 ** 52;
const ZERO = '0'.charCodeAt(0);
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/** `Date.UTC` takes earlier ones for years of the twentieth century. */
const YEAR_MIN = 100;
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

/** `null` for any name that the log would not give. A start reads a million names, so no date is made of each. */
function parse(name: string): BatchName | null {
  if (!PATTERN.test(name)) return null;
  const [year, month, day] = [
    twoDigits(name, 6) * 100 + twoDigits(name, 8),
    twoDigits(name, 10),
    twoDigits(name, 12),
  ];
  const [hour, minute, second] = [twoDigits(name, 15), twoDigits(name, 17), twoDigits(name, 19)];
  const n = numberOf(name);
  const isTime = hour < 24 && minute < 60 && second < 60;
  if (n >= N_MAX || !isTime || year < YEAR_MIN || day < 1 || day > daysIn(year, month)) return null;
  return { second: Date.UTC(year, month - 1, day, hour, minute, second) / 1000, n };
}

function twoDigits(text: string, at: number): number {
  return text.charCodeAt(at) * 10 + text.charCodeAt(at + 1) - 11 * ZERO;
}

/** 0 if there is no such month. */
function daysIn(year: number, month: number): number {
  const isLeapYear = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 && isLeapYear ? 29 : (DAYS[month - 1] ?? 0);
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
