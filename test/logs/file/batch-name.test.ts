import fc from 'fast-check';
import t from 'tap';
import { isBatchName, timeOf } from '../../../lib/logs/file/batch-name.js';
import { SEED } from '../../helpers/seed.js';

const digits = (value: number, length: number): string => String(value).padStart(length, '0');
const whole = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });

/** What `Date` says of it. */
function timeByDate(name: string): number | null {
  const [, year, month, day, hour, minute, second] =
    /^batch_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)_\d+\.jsonl$/.exec(name) ?? [];
  const text = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text ? ms : null;
}

void t.test('a name has a time that there is, for which no date is made', async (t) => {
  const time = fc.tuple(
    fc.integer({ min: 100, max: 9999 }),
    whole(13),
    whole(32),
    whole(25),
    whole(61),
    whole(61),
  );
  fc.assert(
    fc.property(time, ([year, month, day, hour, minute, second]) => {
      const date = `${digits(year, 4)}${digits(month, 2)}${digits(day, 2)}`;
      const name = `batch_${date}_${digits(hour, 2)}${digits(minute, 2)}${digits(second, 2)}_7.jsonl`;
      const expected = timeByDate(name);
      return isBatchName(name) === (expected !== null) && timeOf(name) === (expected ?? 0);
    }),
    { seed: SEED, numRuns: 5000 },
  );
  for (const year of [1900, 2000, 2023, 2024, 2100])
    t.equal(
      isBatchName(`batch_${year}0229_000000_1.jsonl`),
      [2000, 2024].includes(year),
      `29 February ${year}`,
    );
});

void t.test('a number is written as the log writes it, and can be counted on', async (t) => {
  const isName = (n: string): boolean => isBatchName(`batch_20261201_120000_${n}.jsonl`);
  for (const n of ['0', '1', '10', String(2 ** 52 - 1)]) t.ok(isName(n), n);
  for (const n of ['', '01', '00', '-1', '1.5', '1e3', ' 1', String(2 ** 52), '9'.repeat(400)])
    t.notOk(isName(n), n);
  t.notOk(isBatchName('batch_20261201_120000_1.jsonl.gz'));
  t.notOk(isBatchName('a_batch_20261201_120000_1.jsonl'));
  t.notOk(isBatchName('batch_00990101_000000_1.jsonl'), 'Date.UTC takes this for 1999');
});
