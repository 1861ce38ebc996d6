/** Headers of an answer, with names in lower case. */
interface Headers {
  readonly 'retry-after'?: string | string[] | undefined;
  readonly date?: string | string[] | undefined;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const LONG_DAY = '(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day';
const MONTH = `(?<month>${MONTHS.join('|')})`;
const TIME = String.raw`(?<hour>[01]\d|2[0-3]):(?<minute>[0-5]\d):(?<second>[0-5]\d|60)`;

/** The three forms of an HTTP date (RFC 9110, 5.6.7), all in UTC. */
const DATES = [
  String.raw`${DAY}, (?<day>\d\d) ${MONTH} (?<year>\d{4}) ${TIME} GMT`,
  String.raw`${LONG_DAY}, (?<day>\d\d)-${MONTH}-(?<year>\d\d) ${TIME} GMT`,
  String.raw`${DAY} ${MONTH} (?<day>[ \d]\d) ${TIME} (?<year>\d{4})`,
].map((form) => new RegExp(`^${form}$`));

/**
 * How long an answer asks to wait (RFC 9110, 10.2.3), in milliseconds: its seconds, or the time until its date. The
 * time counts from the answer's own `Date`, because both are of one clock. `null` if it has none of these forms.
 *
 * @param nowMs the clock here, in milliseconds since 1970, for an answer without a date
 */
export function retryAfterMs(headers: Headers, nowMs: number = Date.now()): number | null {
  const text = first(headers['retry-after']);
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, Number.MAX_SAFE_INTEGER);
  const untilMs = dateMs(text, nowMs);
  if (untilMs === null) return null;
  return Math.max(0, untilMs - (dateMs(first(headers.date), nowMs) ?? nowMs));
}

function first(value: string | string[] | undefined): string {
  return [value].flat()[0]?.trim() ?? '';
}

/** In milliseconds since 1970; `null`: it is not an HTTP date. */
function dateMs(text: string, nowMs: number): number | null {
  for (const form of DATES) {
    const parts = form.exec(text)?.groups;
    if (parts === undefined) continue;
    const [day, hour, minute, second] = ['day', 'hour', 'minute', 'second'].map((part) =>
      Number(parts[part]),
    );
    const month = MONTHS.indexOf(parts['month'] ?? '');
    const year = fullYear(parts['year'] ?? '', nowMs);
    const ms = Date.UTC(year, month, day, hour, minute, second);
    return new Date(Date.UTC(year, month, day)).getUTCDate() === day ? ms : null;
  }
  return null;
}

/** Two digits that seem more than 50 years ahead mean the last year that ends with them. */
function fullYear(digits: string, nowMs: number): number {
  if (digits.length === 4) return Number(digits);
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(digits);
  return year > thisYear + 50 ? year - 100 : year;
}
