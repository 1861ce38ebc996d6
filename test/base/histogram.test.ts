import t from 'tap';
import { EVENTS, Histogram, LONG_SECONDS, SECONDS } from '../../lib/base/histogram.js';

void t.test('a value counts in the first bucket whose bound it does not exceed', (t) => {
  const histogram = new Histogram([1, 2, 5]);
  for (const value of [0, 1, 1.5, 2, 2.001, 5, 5.1, Infinity]) histogram.observe(value);
  t.same(histogram.counts, [2, 2, 2, 2]);
  t.end();
});

void t.test('the sum is that of all values, also of those seen more than once', (t) => {
  const histogram = new Histogram([1, 2]);
  t.equal(histogram.sum, 0);
  t.same(histogram.counts, [0, 0, 0]);
  histogram.observe(0.5);
  histogram.observe(1.5, 3);
  histogram.observe(7, 2);
  histogram.observe(9, 0);
  t.same(histogram.counts, [1, 3, 2]);
  t.equal(histogram.sum, 0.5 + 4.5 + 14);
  t.end();
});

void t.test('histograms with the same bounds count each for itself', (t) => {
  const [one, other] = [new Histogram(SECONDS), new Histogram(SECONDS)];
  one.observe(1);
  t.equal(one.sum, 1);
  t.equal(other.sum, 0);
  t.ok(other.counts.every((count) => count === 0));
  t.end();
});

void t.test('the bounds ascend', (t) => {
  for (const bounds of [SECONDS, LONG_SECONDS, EVENTS]) {
    t.same(
      [...bounds].toSorted((a, b) => a - b),
      bounds,
    );
    t.equal(new Set<number>(bounds).size, bounds.length);
  }
  t.end();
});
