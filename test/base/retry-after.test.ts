import t from 'tap';
import { retryAfterMs } from '../../lib/base/retry-after.js';

const DATE = 'Sun, 06 Nov 1994 08:49:07 GMT';

void t.test(
  'Retry-After has seconds, or a date in one of three forms, counted from the answer itself',
  (t) => {
    const cases: [string, number | null][] = [
      ['0', 0],
      ['7', 7000],
      ['9'.repeat(400), Number.MAX_SAFE_INTEGER],
      [' 120 ', 120_000],
      ['Sun, 06 Nov 1994 08:49:37 GMT', 30_000],
      ['Sunday, 06-Nov-94 08:49:37 GMT', 30_000],
      ['Sun Nov  6 08:49:37 1994', 30_000],
      ['Sun, 06 Nov 1994 08:48:37 GMT', 0],
      // nothing else
      ['', null],
      ['soon', null],
      ['-1', null],
      ['+1', null],
      ['1.5', null],
      ['1e3', null],
      ['7, 8', null],
      ['7s', null],
      ['after 2099', null],
      ['2099', 2_099_000],
      ['2099-01-01', null],
      ['2099-01-01T00:00:00Z', null],
      ['Sun, 06 Nov 1994 08:49:37', null],
      ['Sun, 06 Nov 1994 08:49:37 PST', null],
      ['Sun, 06 Nov 1994 08:49:37 +0100', null],
      ['06 Nov 1994 08:49:37 GMT', null],
      ['sun, 06 nov 1994 08:49:37 gmt', null],
      ['Sun, 6 Nov 1994 08:49:37 GMT', null],
      ['Sun, 31 Feb 1994 08:49:37 GMT', null],
      ['Sun, 06 Nov 1994 24:49:37 GMT', null],
      ['Sun, 06 Nov 1994 08:60:37 GMT', null],
      ['Sun Nov 6 08:49:37 1994', null],
    ];
    for (const [value, expected] of cases)
      t.equal(retryAfterMs({ 'retry-after': value, date: DATE }), expected, JSON.stringify(value));
    t.equal(retryAfterMs({}), null);
    t.equal(retryAfterMs({ 'retry-after': ['7', '9'] }), 7000, 'the first of several');
    t.end();
  },
);

void t.test("a date is counted from the answer's own date, whatever the clock here says", (t) => {
  const nowMs = Date.UTC(2026, 10, 29, 12);
  const asked = (aheadMs: number, date?: string): number | null =>
    retryAfterMs(
      { 'retry-after': new Date(nowMs + aheadMs).toUTCString(), ...(date !== undefined && { date }) },
      nowMs,
    );
  const ahead = 20 * 60_000;
  t.equal(asked(ahead + 5000, new Date(nowMs + ahead).toUTCString()), 5000, 'a clock that is ahead');
  t.equal(asked(5000 - ahead, new Date(nowMs - ahead).toUTCString()), 5000, 'or behind');
  t.equal(asked(5000), 5000, 'without a date the clock here');
  t.equal(asked(5000, 'today'), 5000, 'nor one that is none');
  t.end();
});

void t.test('two digits of a year are the last such year, unless that is not 50 years ahead', (t) => {
  const nowMs = Date.UTC(2026, 10, 29, 12);
  const asked = (value: string): number | null => retryAfterMs({ 'retry-after': value }, nowMs);
  t.equal(asked('Sunday, 29-Nov-26 12:00:10 GMT'), 10_000);
  t.equal(asked('Monday, 29-Nov-27 12:00:00 GMT'), 365 * 86_400_000);
  t.equal(asked('Sunday, 06-Nov-94 08:49:37 GMT'), 0, '1994, not 2094');
  t.end();
});
