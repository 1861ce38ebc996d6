import { createHistogram } from 'node:perf_hooks';
import t from 'tap';
import { countWithin, percentileText } from '../../tools/producer/percentile-file.js';
import { columnsIn, plotText } from '../../tools/producer/plot.js';
import { AnswerLog, sumOfOutcomes, Timeline } from '../../tools/producer/timeline.js';
import type { Column, Outcome } from '../../tools/producer/timeline.js';
import { clock, grouped, msText, secondsText, short, wrapped } from '../../tools/producer/words.js';

function column(
  accepted: number,
  backpressure: number,
  errors: number,
  p50: number | null,
  p99: number | null,
): Column {
  return { atMs: 0, lengthMs: 100, accepted, backpressure, errors, p50, p99 };
}

void t.test('the plot shows latency on a logarithmic scale and answers as stacked bars', (t) => {
  const columns = [
    column(800, 0, 0, 1, 2),
    column(800, 0, 0, 1, 1),
    column(400, 400, 0, 2, 128),
    column(0, 300, 500, null, null),
    column(100, 0, 0, 64, 128),
  ];
  t.equal(
    plotText(columns),
    `Latency in ms (o p50, * p99)
    128 |  * *
     64 |    o
     32 |
     16 |
    8.0 |
    4.0 |
    2.0 |* o
    1.0 |o*
        +-----
         0 s 0.5 s
Events a second (# 202, : 429, ! errors)
    800 |##:!
    700 |##:!
    600 |##:!
    500 |##:!
    400 |###!
    300 |###:
    200 |###:
    100 |###:#
        +-----
         0 s 0.5 s
`,
  );
  t.end();
});

void t.test('the plot of any run is no wider than asked for, and has no row without need', (t) => {
  for (const width of [30, 40, 80]) {
    for (const [accepted, p99] of [
      [0, null],
      [1, 0.02],
      [123_456, 5000],
    ] as const) {
      const columns = Array.from({ length: columnsIn(width) }, () => column(accepted, 0, 0, p99, p99));
      const lines = plotText(columns).trimEnd().split('\n');
      t.ok(lines.length <= 25, `${lines.length} lines`);
      for (const line of lines.filter((each) => !/^[A-Z]/.test(each))) t.ok(line.length < width, `${line}|`);
      t.match(lines.join('\n'), accepted === 0 ? 'none was accepted' : /\*{10}/);
    }
  }
  t.end();
});

/** A timeline of answers: outcome, due, answered (ms), events. */
function timelineOf(startMs: number, ...answers: [Outcome, number, number, number][]): Timeline {
  const log = new AnswerLog();
  for (const answer of answers) log.push(...answer);
  const timeline = new Timeline();
  const numbers = log.take();
  t.equal(log.take().length, 0, 'what is taken is gone');
  timeline.add(numbers, startMs);
  return timeline;
}

void t.test('an answer belongs to when it came, a latency to when its event was due', (t) => {
  const start = 50_000;
  const timeline = timelineOf(
    start,
    ['accepted', start, start + 10, 5],
    ['accepted', start + 20, start + 320, 1], // a hang of 300 ms
    ['backpressure', start + 150, start + 151, 3],
    ['errors', start + 250, start + 390, 2],
    ['again', start + 150, start + 160, 50], // their last answer counts
  );
  const columns = timeline.columns(start, start + 400, 60);
  t.same(
    columns.map(({ atMs, accepted, backpressure, errors }) => [atMs, accepted, backpressure, errors]),
    [
      [0, 50, 0, 0],
      [100, 0, 30, 0],
      [200, 0, 0, 0],
      [300, 10, 0, 20],
    ],
  );
  t.ok(Math.abs((columns[0]?.p99 ?? 0) - 300) < 3, 'the hang shows where it began');
  t.ok(Math.abs((columns[0]?.p50 ?? 0) - 10) < 0.2, 'each event of a request counts');
  t.same(
    columns.slice(1).map(({ p99 }) => p99),
    [null, null, null],
  );
  t.end();
});

void t.test('a long run has longer columns and the same sums, and takes no more memory', (t) => {
  const timeline = new Timeline();
  const log = new AnswerLog();
  for (let ms = 0; ms < 600_000; ms += 20) log.push('accepted', 7000 + ms, 7005 + ms, 2);
  timeline.add(log.take(), 7000);
  const columns = timeline.columns(7000, 607_000, 50);
  t.ok(columns.length > 25 && columns.length <= 50, `${columns.length} columns`);
  for (const { accepted, p50 } of columns) {
    t.ok(Math.abs(accepted - 100) <= 1, `${accepted} a second`);
    t.ok(Math.abs((p50 ?? 0) - 5) < 0.1);
  }
  t.ok(Math.abs(columns.reduce((sum, each) => sum + each.lengthMs, 0) - 600_000) < 1);
  t.ok(timeline.columns(7000, 607_000, 10_000).length <= 240);
  const [half] = timeline.columns(307_000, 607_000, 1);
  t.ok(Math.abs((half?.accepted ?? 0) - 100) <= 1, 'a part of the run, as after a warm-up');
  t.end();
});

void t.test('the last column is not so short that its rate says nothing', (t) => {
  const timeline = timelineOf(0, ['accepted', 0, 5, 1], ['accepted', 195, 203, 50]);
  t.same(
    timeline.columns(0, 205, 60).map(({ lengthMs, accepted }) => [lengthMs, accepted]),
    [
      [100, 10],
      [105, 476],
    ],
  );
  t.same(new Timeline().columns(0, 5, 60).length, 1, 'nothing was answered');
  t.end();
});

void t.test('a warm-up, and workers that begin one after another, make no column of their own', (t) => {
  for (const skewMs of [0.4, 20, 67]) {
    const timeline = new Timeline();
    const starts = [5000 + skewMs, 5000];
    for (const startMs of starts) {
      const log = new AnswerLog();
      for (let ms = -1000; ms < 1000; ms += 2) log.push('accepted', startMs + ms, startMs + ms + 1, 1);
      timeline.add(log.take(), startMs);
    }
    const columns = timeline.columns(5000, 6000 + skewMs, 60);
    const sum = columns.reduce((total, { accepted, lengthMs }) => total + (accepted * lengthMs) / 1000, 0);
    t.ok(Math.abs(sum - 1000) < 12, `${sum} of 1000, without the warm-up`);
    for (const { lengthMs, accepted } of columns) {
      t.ok(lengthMs >= 50, `${lengthMs} ms`);
      t.ok(accepted <= 1060, `${accepted} a second`);
    }
  }
  t.end();
});

void t.test('outcomes are summed up over events, not requests', (t) => {
  const log = new AnswerLog();
  log.push('accepted', 0, 1, 100);
  log.push('errors', 0, 1, 3);
  log.push('accepted', 1, 2, 7);
  log.push('backpressure', 1, 2, 20);
  log.push('again', 1, 2, 4);
  t.same(sumOfOutcomes(log.take()), { accepted: 107, backpressure: 20, errors: 3, again: 4 });
  t.end();
});

void t.test('the percentile file is that of an HdrHistogram', (t) => {
  const histogram = createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 });
  for (let value = 1; value <= 1000; value += 1) histogram.record(value);
  const lines = percentileText(histogram, 1000).split('\n');
  t.equal(lines[0], '       Value     Percentile TotalCount 1/(1-Percentile)');
  t.equal(lines[1], '');
  t.equal(lines[2], '       0.001 0.000000000000          1           1.00');
  t.equal(lines[3], '       0.100 0.100000000000        100           1.11');
  t.equal(lines[7], '       0.500 0.500000000000        500           2.00');
  t.equal(lines[8], '       0.550 0.550000000000        550           2.22');
  t.ok(lines.includes('       0.750 0.750000000000        750           4.00'));
  t.ok(lines.includes('       0.775 0.775000000000        775           4.44'));
  t.equal(lines.at(-5), '       1.000 1.000000000000       1000', 'the last has no 1/(1-Percentile)');
  t.equal(lines.at(-4), '#[Mean    =        0.500, StdDeviation   =        0.289]');
  t.equal(lines.at(-3), '#[Max     =        1.000, Total count    =         1000]');
  t.equal(lines.at(-2), '#[Buckets =           22, SubBuckets     =         2048]');
  t.equal(lines.at(-1), '');
  const rows = lines.slice(2, -4).map((line) => line.trim().split(/ +/).map(Number));
  for (const [index, [value = NaN, percentile = NaN, count = NaN]] of rows.entries()) {
    const [before = [0, -1, 0]] = rows.slice(Math.max(0, index - 1), index);
    t.ok(
      value >= (before[0] ?? 0) && percentile > (before[1] ?? 0) && count >= (before[2] ?? 0),
      'it only grows',
    );
    t.ok(count / 1000 >= percentile - 1e-9, 'so many values are no greater');
  }
  t.end();
});

void t.test('the percentile file counts equal values together, and may be empty', (t) => {
  const histogram = createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 });
  t.match(percentileText(histogram, 1000), /Percentile\)\n\n#\[Mean {4}= {8}0\.000/);
  for (let times = 0; times < 90; times += 1) histogram.record(5);
  for (let times = 0; times < 10; times += 1) histogram.record(70);
  const lines = percentileText(histogram, 1).split('\n');
  t.equal(lines[2], '       5.000 0.000000000000         90           1.00');
  t.notOk(lines.includes('      70.000 0.912500000000        100'));
  t.equal(lines.at(-5), '      70.000 1.000000000000        100');
  t.same(
    [4, 5, 69, 70].map((value) => countWithin(histogram, value)),
    [0, 90, 90, 100],
  );
  t.end();
});

void t.test('numbers are written as people read them', (t) => {
  t.same([0, 999, 1000, 1_234_567].map(grouped), ['0', '999', '1,000', '1,234,567']);
  t.same([0, 999, 1000, 22_511, 99_960, 999_949, 999_950, 12e6, 5e9].map(short), [
    '0',
    '999',
    '1.0k',
    '22.5k',
    '100k',
    '1000k',
    '1.0M',
    '12.0M',
    '5.0G',
  ]);
  t.same([0.004, 0.42, 0.999, 8.14, 9.96, 83, 1250].map(msText), [
    '0.00',
    '0.42',
    '1.0',
    '8.1',
    '10',
    '83',
    '1,250',
  ]);
  t.same([0, 5000, 65_999, 720_000, 3_600_000].map(clock), ['0:00', '0:05', '1:05', '12:00', '1:00:00']);
  t.same([500, 10_000, 12_345].map(secondsText), ['0.5 s', '10 s', '12.3 s']);
  t.end();
});

void t.test('what is longer than a terminal is broken between words', (t) => {
  t.equal(wrapped('Total sent: 5\nErrors: 0\n', 40), 'Total sent: 5\nErrors: 0\n');
  t.equal(wrapped('a place was free, and yet late', 12), 'a place was\n  free,\n  and yet\n  late');
  t.equal(wrapped('exactly ten', 11), 'exactly ten');
  t.equal(
    wrapped(`${'='.repeat(40)}\nhttp://long/and-longer`, 10),
    `${'='.repeat(40)}\nhttp://long/and-longer`,
  );
  t.equal(wrapped('due (ms): p50 3.8, p90 23.6, p99 91.3', 34), 'due (ms): p50 3.8, p90 23.6,\n  p99 91.3');
  for (let width = 1; width < 60; width += 1) {
    const words = wrapped('Latency from when each was due (ms): p50 3.8, p90 23.6', width).split(/\s+/);
    t.equal(words.join(' '), 'Latency from when each was due (ms): p50 3.8, p90 23.6');
  }
  t.end();
});
