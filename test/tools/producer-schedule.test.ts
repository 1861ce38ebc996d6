import t from 'tap';
import { planOf } from '../../tools/producer/load.js';
import { Pace } from '../../tools/producer/pace.js';
import { Schedule } from '../../tools/producer/schedule.js';
import type { Segment } from '../../tools/producer/schedule.js';
import { duration, ramp, rateSteps } from '../../tools/producer/shape-checks.js';

const constant = (rate: number): Segment => ({ from: rate, to: rate, durationMs: null });

/** When each event is due, up to a bound that no test reaches. */
function dues(schedule: Schedule): number[] {
  const found: number[] = [];
  for (let n = 0; n < 1e6; n += 1) {
    const dueMs = schedule.dueMs(n);
    if (dueMs === null) return found;
    found.push(dueMs);
  }
  throw new Error('it has no end');
}

void t.test('at a constant rate event n is due after n / rate', (t) => {
  t.same(dues(new Schedule([constant(100)], null, 4)), [0, 10, 20, 30]);
  t.same(dues(new Schedule([constant(100)], 35, null)), [0, 10, 20, 30]);
  t.same(
    dues(new Schedule([constant(100)], 30, null)),
    [0, 10, 20],
    'what is due at the end is not before it',
  );
  t.same(dues(new Schedule([constant(100)], 1000, 2)), [0, 10], 'whichever ends first');
  t.same(dues(new Schedule([constant(100)], 15, 50)), [0, 10]);
  t.equal(new Schedule([constant(1)], 1500, null).dueMs(1.75), null, 'nor is a moment between two events');
  t.equal(new Schedule([constant(100)], null, null).events, Infinity);
  t.equal(new Schedule([constant(100)], null, null).lengthMs, Infinity);
  t.equal(new Schedule([constant(100)], null, 4).lengthMs, 30);
  t.end();
});

void t.test('steps follow each other, each with its rate, and the last ends the run', (t) => {
  const steps = rateSteps('100:50ms,1000:5ms,50:100ms');
  const expected = [0, 10, 20, 30, 40, 50, 51, 52, 53, 54, 55, 75, 95, 115, 135];
  t.same(dues(new Schedule(steps, null, null)), expected);
  t.equal(new Schedule(steps, null, null).events, 15);
  t.same(
    dues(new Schedule(rateSteps('100:20ms,1000'), null, 5)),
    [0, 10, 20, 21, 22],
    'an open one does not',
  );
  t.same(
    dues(new Schedule(rateSteps('100:20ms'), 45, null)),
    [0, 10, 20, 30, 40],
    'a longer duration keeps the rate',
  );
  t.end();
});

void t.test('in a ramp the rate is at each moment what the ramp says', (t) => {
  for (const text of ['100:5000:3s', '5000:100:3s', '0:2000:2s', '2000:0:2s', '300:300:1s']) {
    const [segment] = ramp(text);
    const { from, to, durationMs } = segment as Segment & { durationMs: number };
    const schedule = new Schedule(ramp(text), null, null);
    const moments = dues(schedule);
    t.equal(moments.length, (((from + to) / 2) * durationMs) / 1000, `${text}: the area under the ramp`);
    t.equal(schedule.events, moments.length, text);
    // between events n and n + 10 the mean rate is that of the middle: a straight line has no other
    for (let n = 20; n + 20 < moments.length; n += 97) {
      const [a, b] = [moments[n] ?? 0, moments[n + 10] ?? 0];
      const expected = from + ((to - from) * (a + b)) / 2 / durationMs;
      t.ok(Math.abs(10_000 / (b - a) / expected - 1) < 1e-6, `${text}: ${10_000 / (b - a)} at event ${n}`);
    }
  }
  t.end();
});

void t.test('a ramp stays at its last rate where a run is longer', (t) => {
  const moments = dues(new Schedule(ramp('100:1000:1s'), 1010, null));
  t.same(moments.slice(550), [1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009]);
  t.equal(dues(new Schedule(ramp('100:0:1s'), 5000, null)).length, 50, 'down to 0 it ends');
  t.equal(dues(new Schedule(ramp('100:1000:1s'), null, 3)).length, 3);
  t.equal(new Schedule(ramp('100:1000:1s'), null, 2000).lengthMs, 2449, 'events end it');
  t.end();
});

void t.test('as many are due before a moment as have an earlier one', (t) => {
  for (const segments of [
    rateSteps('100:50ms,1000:5ms,50:100ms'),
    ramp('10:900:2s'),
    rateSteps('33.3:30s'),
  ]) {
    const schedule = new Schedule(segments, null, null);
    const moments = dues(schedule);
    for (let ms = 0.5; ms < 3000; ms += 13) {
      t.equal(schedule.countBefore(ms), moments.filter((dueMs) => dueMs < ms).length, `${ms} ms`);
    }
    t.equal(schedule.countBefore(Infinity), moments.length);
    t.equal(schedule.countBefore(0), 0);
  }
  t.end();
});

void t.test('workers take turns, and events of a request are due together', async (t) => {
  const { signal } = new AbortController();
  const schedule = new Schedule([constant(1000)], null, 25);
  const pace = new Pace(schedule, signal, 10, 0.5);
  const moments: (number | null)[] = [];
  for (let n = 0; n < 4; n += 1) moments.push(await pace.next());
  const [first, second, third, fourth] = moments.map((ms) =>
    ms === null ? null : Math.round(ms - pace.startMs),
  );
  t.same([first, second, fourth], [5, 15, null]);
  t.equal(third, 20, 'the last request, of five events, has no room for half of a turn');
});

void t.test('when its time is over nothing more leaves, and what was due is counted', async (t) => {
  const pace = new Pace(new Schedule([constant(1000)], 20, null), new AbortController().signal);
  await pace.next();
  const startMs = pace.startMs;
  while (performance.now() < startMs + 20 + 1001);
  t.equal(await pace.next(), null);
  t.ok(pace.isOver);
  t.equal(pace.leftAt(performance.now()), 19);
  t.equal(pace.leftAt(startMs + 10), 9);
  const whole = new Pace(new Schedule([constant(1000)], null, 2), new AbortController().signal);
  for (let n = 0; n < 3; n += 1) await whole.next();
  t.equal(whole.leftAt(performance.now()), 0);
  t.notOk(whole.isOver);
});

void t.test('requests of many events are due as a whole, with their turn, and without the warm-up', (t) => {
  const { signal } = new AbortController();
  // ten events each 10 ms, half of that later
  const pace = new Pace(new Schedule([constant(1000)], null, 35), signal, 10, 0.5);
  const left = (ms: number, fromMs?: number): number =>
    pace.leftAt(pace.startMs + ms, fromMs === undefined ? undefined : pace.startMs + fromMs);
  t.same(
    [1, 4, 7, 14, 17, 27, 1000].map((ms) => left(ms)),
    [0, 0, 10, 10, 20, 30, 35],
  );
  t.same([left(27, 12), left(27, 27), left(1000, 17)], [20, 0, 15]);
  t.end();
});

void t.test('the plan of a run is that of all its workers', (t) => {
  const none = { rate: null, ramp: null, burst: null, durationMs: null, file: null };
  const whole = planOf({ ...none, workers: 3 });
  t.equal(whole.events, 500, 'without anything else, 500 events');
  t.equal(whole.lengthMs, 1660);
  t.equal(whole.dueBefore(1000), 300);
  t.equal(planOf({ ...none, burst: 2, workers: 3 }).events, 2);
  t.equal(planOf({ ...none, durationMs: 10_000, workers: 2 }).events, 2000);
  t.equal(planOf({ ...none, ramp: ramp('0:100:10s'), workers: 2 }).events, 1000);
  const file = planOf({ ...none, file: 'events.jsonl', workers: 1 });
  t.same([file.events, file.lengthMs], [Infinity, Infinity]);
  t.equal(planOf({ ...none, file: '-', durationMs: 500, workers: 1 }).lengthMs, 490);
  t.end();
});

void t.test('times and shapes have one form, and anything else is refused', (t) => {
  t.same(['500ms', '1.5s', '2m', '2min', '1h'].map(duration), [500, 1500, 120_000, 120_000, 3_600_000]);
  t.same(rateSteps('0.5'), [{ from: 0.5, to: 0.5, durationMs: null }]);
  t.same(rateSteps(100), [{ from: 100, to: 100, durationMs: null }]);
  for (const given of ['30', '', 's', '-1s', '0s', '1d', '1e3s', '9999h', 30, null])
    t.throws(() => duration(given), String(given));
  for (const given of [
    '',
    '0',
    '-1',
    'many',
    '1e9',
    '0x10',
    ' 5',
    '100:10s,',
    '100,200',
    '100:10',
    '100:1s:2s',
    ',5',
    'Infinity',
  ])
    t.throws(() => rateSteps(given), given);
  for (const given of ['', '100:200', '100:200:30', '0:0:1s', '-1:5:1s', 'a:b:1s', '1:2:3s:4', '1::3s'])
    t.throws(() => ramp(given), given);
  t.end();
});
