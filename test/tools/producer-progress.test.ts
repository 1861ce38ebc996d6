import t from 'tap';
import { ProgressDisplay } from '../../tools/producer/progress-display.js';
import { progressLine, ProgressMeter, progressText } from '../../tools/producer/progress.js';
import type { Progress } from '../../tools/producer/progress.js';
import { AnswerLog } from '../../tools/producer/timeline.js';
import type { Outcome } from '../../tools/producer/timeline.js';

const HALF: Progress = {
  accepted: 22_511,
  backpressure: 12,
  errors: 3,
  again: 0,
  rate: 4998.4,
  elapsedMs: 4600,
  part: 0.5,
  leftMs: 4300,
};

void t.test('the line of a terminal has all the numbers, and a bar where there is room', (t) => {
  t.equal(
    progressLine(HALF, 120),
    '[###############---------------] 50%  4,998/s  accepted 22,511  refused 12  errors 3  0:05 left',
  );
  t.equal(
    progressLine(HALF, 79),
    '[#######-------] 50%  4,998/s  accepted 22,511  refused 12  errors 3  0:05 left',
  );
  t.equal(progressLine(HALF, 64), '[#####-----] 50%  5.0k/s  202 22.5k  429 12  errors 3  0:05 left');
  t.equal(progressLine(HALF, 39), '50% 5.0k/s 202 22.5k 429 12 err 3 0:05');
  t.equal(progressLine(HALF, 36), '5.0k/s 202 22.5k 429 12 err 3 0:05', 'the time left goes last');
  t.equal(progressLine(HALF, 30), '5.0k/s 202 22.5k 429 12 err 3');
  t.equal(progressLine(HALF, 28), '202 22.5k 429 12 err 3', 'no number is cut off');
  t.equal(progressLine(HALF, 20), '429 12 err 3', 'and what went wrong is shown longest');
  t.equal(progressLine(HALF, 10), 'err 3');
  t.equal(progressLine(HALF, 4), '');
  t.end();
});

void t.test('what is sent again shows as soon as there is any', (t) => {
  const again = { ...HALF, again: 12_345 };
  t.match(progressLine(again, 120), / errors 3 {2}again 12,345 {2}0:05 left$/);
  t.match(progressLine(again, 70), / errors 3 {2}again 12.3k {2}0:05 left$/);
  t.equal(progressLine(again, 44), '5.0k/s 202 22.5k 429 12 err 3 again 12.3k');
  t.match(progressText(again), /, errors 3, sent again 12,345, 50 %/);
  t.end();
});

void t.test('where nobody knows how much there is, the line says how long it has been', (t) => {
  const file = { ...HALF, part: null, leftMs: null };
  t.equal(progressLine(file, 79), '0:04  4,998/s  accepted 22,511  refused 12  errors 3');
  t.equal(progressLine(file, 39), '0:04 5.0k/s 202 22.5k 429 12 err 3');
  t.equal(progressText(file), 'after 0:04, 4,998 events/s, accepted 22,511, refused 12, errors 3');
  t.equal(
    progressText(HALF),
    'after 0:04, 4,998 events/s, accepted 22,511, refused 12, errors 3, 50 %, 0:05 left',
  );
  t.end();
});

void t.test('the line is never wider than the terminal, whatever the numbers', (t) => {
  for (let width = 0; width <= 130; width += 1) {
    for (const factor of [0, 1, 1000, 1e6]) {
      for (const part of [0, 0.999, 1, null]) {
        const progress = {
          ...HALF,
          part,
          rate: 4998 * factor,
          accepted: 22_511 * factor,
          leftMs: 4300 * factor,
        };
        t.ok(progressLine(progress, width).length <= width, `${width}: ${progressLine(progress, width)}`);
      }
    }
  }
  t.end();
});

/** What is written to a terminal or a file. */
function written(
  isTTY: boolean,
  columns: number,
  show: (display: ProgressDisplay) => void,
  label = '',
): string {
  let all = '';
  const write = (part: string): void => void (all += part);
  const display = new ProgressDisplay({ isTTY, columns, write }, label);
  show(display);
  display.clear();
  return all;
}

void t.test('on a terminal the line is drawn in place, and one column stays free', (t) => {
  const show = (display: ProgressDisplay): void => display.show(HALF);
  t.equal(written(true, 80, show), `\r${progressLine(HALF, 79)}\x1b[K\r\x1b[K`);
  t.equal(
    written(true, 0, show),
    `\r${progressLine(HALF, 79)}\x1b[K\r\x1b[K`,
    'a terminal without a known width',
  );
  t.equal(written(true, 40, show, '800/s: '), `\r800/s: ${progressLine(HALF, 32)}\x1b[K\r\x1b[K`);
  t.equal(written(true, 4, show, '800/s: '), '\r800\x1b[K\r\x1b[K');
  t.end();
});

void t.test('elsewhere there is a line every five seconds, and none in a short run', (t) => {
  const shown = written(false, 80, (display) => {
    for (let elapsedMs = 0; elapsedMs < 11_000; elapsedMs += 100) display.show({ ...HALF, elapsedMs });
  });
  t.equal(
    shown,
    ['0:05', '0:10'].map((at) => `forebay-producer: ${progressText(HALF).replace('0:04', at)}\n`).join(''),
  );
  t.equal(
    written(false, 80, (display) => display.show({ ...HALF, elapsedMs: 4999 })),
    '',
  );
  t.equal(
    written(false, 80, (display) => display.show({ ...HALF, elapsedMs: 5001 }), '800/s: '),
    '',
    'a step has its own line',
  );
  t.end();
});

function answers(outcome: Outcome, events: number): Float64Array {
  const log = new AnswerLog();
  log.push(outcome, 0, 0, events);
  return log.take();
}

void t.test('the meter tells the rate of the last second, and the time left by plan and backlog', (t) => {
  const meter = new ProgressMeter({
    events: 1000,
    lengthMs: 10_000,
    endMs: Infinity,
    dueBefore: (ms) => Math.min(1000, ms / 10),
  });
  t.equal(meter.read(400), null, 'it has not begun');
  meter.add(new Float64Array(), 500);
  t.match(meter.read(500), { accepted: 0, rate: 0, elapsedMs: 0, part: 0, leftMs: 10_000 });
  for (let nowMs = 600; nowMs <= 2500; nowMs += 100) {
    meter.add(answers('accepted', 10), nowMs);
    meter.read(nowMs);
  }
  t.match(meter.read(2500), { accepted: 200, rate: 100, elapsedMs: 2000, part: 0.2, leftMs: 8000 });
  // then nothing is answered for a second: 100 events are due and not answered
  for (let nowMs = 2600; nowMs < 3500; nowMs += 100) meter.read(nowMs);
  t.match(meter.read(3500), { accepted: 200, rate: 0, leftMs: null }, 'nobody knows when it goes on');
  meter.add(answers('backpressure', 30), 3600);
  meter.add(answers('errors', 20), 3600);
  const progress = meter.read(3600);
  t.match(progress, { accepted: 200, backpressure: 30, errors: 20, part: 0.25 });
  t.equal(progress?.rate, 50);
  t.equal(
    progress?.leftMs,
    (750 * 1000) / 50,
    'more than a second behind: all that is left comes at its rate',
  );
  for (let nowMs = 3700; nowMs <= 4600; nowMs += 100) {
    meter.add(answers('accepted', 15), nowMs);
    meter.read(nowMs);
  }
  t.equal(
    meter.read(4600)?.leftMs,
    5900 + (10 * 1000) / 150,
    'else what is due and not answered comes on top',
  );
  t.end();
});

void t.test('a run that ends by time is as far as its time, however slow the server', (t) => {
  const meter = new ProgressMeter({
    events: 1000,
    lengthMs: 9990,
    endMs: 10_000,
    dueBefore: (ms) => ms / 10,
  });
  meter.add(answers('accepted', 0), 0);
  for (let nowMs = 100; nowMs <= 9000; nowMs += 100) {
    meter.add(answers('accepted', 1), nowMs);
    meter.read(nowMs);
  }
  t.match(meter.read(9000), { part: 0.9, leftMs: 2000 }, 'a second after its end the rest is given up');
  t.match(meter.read(11_500), { part: 1, leftMs: null }, 'and what has left has its --timeout');
  const burst = new ProgressMeter({
    events: 100,
    lengthMs: 1000,
    endMs: 3_600_000,
    dueBefore: (ms) => Math.min(100, ms / 10),
  });
  burst.add(answers('accepted', 0), 0);
  burst.add(answers('accepted', 90), 900);
  t.match(burst.read(900), { part: 0.9 }, 'or as far as its events, if they end it before');
  t.end();
});

void t.test('the meter of a file without end has neither part nor time left', (t) => {
  const meter = new ProgressMeter({
    events: Infinity,
    lengthMs: Infinity,
    endMs: Infinity,
    dueBefore: () => Infinity,
  });
  meter.add(answers('accepted', 10), 0);
  t.match(meter.read(100), { accepted: 10, rate: 100, part: null, leftMs: null });
  const timed = new ProgressMeter({
    events: Infinity,
    lengthMs: 1000,
    endMs: 1000,
    dueBefore: () => Infinity,
  });
  timed.add(answers('accepted', 10), 0);
  t.match(timed.read(250), { part: 0.25, leftMs: 750 });
  t.end();
});
