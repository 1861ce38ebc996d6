import t from 'tap';
import { findMax, foundSentence, holds, nextRate, stepText } from '../../tools/producer/find-max.js';
import type { Found, Measured } from '../../tools/producer/find-max.js';
import { measuredOf, rateMinOf, settingsAt, startRateOf } from '../../tools/producer/measure.js';
import { PRODUCER_SETTINGS } from '../../tools/producer/producer-settings.js';
import type { Run } from '../../tools/producer/producer.js';
import { statisticsOf } from '../../tools/producer/statistics.js';
import { newTally, recordAccepted } from '../../tools/producer/tally.js';
import { Timeline } from '../../tools/producer/timeline.js';
import { readOptions } from '../../lib/settings/option-table.js';
import { answer, endOf, idOf, listen, run, start } from '../helpers/producer-run.js';

const GOOD: Measured = {
  rate: 100,
  lengthMs: 5000,
  p99Ms: 31,
  inTime: 1,
  refused: 0,
  refusal: null,
  isProducerBehind: false,
  isStopped: false,
};
const TOO_LONG = { p99Ms: 83, inTime: 0.9 };

interface Step {
  readonly rate: number;
  readonly lengthMs: number;
}

/** Searches over a server that holds up to a rate; gives the steps that were measured. */
async function searched(
  startRate: number,
  measure: (rate: number, lengthMs: number, step: number) => Partial<Measured>,
  rateMin = 1,
): Promise<{ found: Found; steps: Step[] }> {
  const steps: Step[] = [];
  const found = await findMax({
    startRate,
    rateMin,
    stepMs: 5000,
    measure: async (rate, lengthMs) => {
      steps.push({ rate, lengthMs });
      if (steps.length > 100) throw new Error('it does not end');
      return { ...GOOD, rate, lengthMs, ...measure(rate, lengthMs, steps.length - 1) };
    },
  });
  return { found, steps };
}

void t.test('the search doubles, then bisects, and confirms with a longer run', async (t) => {
  const { found, steps } = await searched(100, (rate) => (rate <= 4300 ? {} : TOO_LONG));
  t.same(
    steps.map(({ rate }) => rate),
    [100, 200, 400, 800, 1600, 3200, 6400, 6400, 4800, 4800, 4000, 4400, 4400, 4200, 4200],
    'what does not hold is tried twice',
  );
  t.same(new Set(steps.slice(0, -1).map(({ lengthMs }) => lengthMs)), new Set([5000]));
  t.equal(steps.at(-1)?.lengthMs, 10_000);
  t.match(found, { held: { rate: 4200, lengthMs: 10_000 }, exceeded: { rate: 4400 }, ended: null });
  t.equal(
    foundSentence(found, 50),
    'Highest rate with p99 below 50 ms: 4,200 events/s (p99 31 ms over 10 s; at 4,400 it was 83 ms)',
  );
});

void t.test('whatever a server can take, the answer is right within 5 %', async (t) => {
  for (const most of [1, 2, 3, 7, 50, 99, 100, 101, 777, 12_345, 400_000]) {
    for (const startRate of [1, 100, 3333, 50_000.5]) {
      const { found, steps } = await searched(startRate, (rate) => (rate <= most ? {} : TOO_LONG));
      const rate = found.held?.rate ?? 0;
      t.ok(rate <= most && (most / rate <= 1.06 || most - rate < 1), `${rate} of ${most}, from ${startRate}`);
      t.ok((found.exceeded?.rate ?? 0) > most);
      t.ok(steps.length < 40);
    }
  }
});

void t.test('a rate that fails once and then holds has held', async (t) => {
  const failed = new Set<number>();
  const { found } = await searched(100, (rate) => {
    if (rate > 1000 || failed.has(rate)) return rate <= 1000 ? {} : TOO_LONG;
    failed.add(rate);
    return TOO_LONG;
  });
  t.equal(found.held?.rate, 1000);
});

void t.test('when the longer run does not hold, the search goes on below', async (t) => {
  const { found, steps } = await searched(100, (rate, lengthMs) =>
    rate <= (lengthMs === 10_000 ? 460 : 1000) ? {} : TOO_LONG,
  );
  t.match(found, { held: { rate: 450, lengthMs: 10_000 }, exceeded: { lengthMs: 10_000 }, ended: null });
  t.ok((found.exceeded?.rate ?? 0) <= 1.05 * 450 + 1, `${found.exceeded?.rate}`);
  t.ok(steps.length < 40, `${steps.length} steps`);
  const none = await searched(100, (_, lengthMs) => (lengthMs === 10_000 ? TOO_LONG : { inTime: 1 }));
  t.match(none.found, { held: null, exceeded: { rate: 1 } });
});

void t.test('a rate that does not hold at first is halved, down to one event a second', async (t) => {
  const { found } = await searched(100, (rate) => (rate <= 20 ? {} : TOO_LONG));
  t.equal(found.held?.rate, 20);
  const none = await searched(100, () => TOO_LONG);
  t.equal(none.found.held, null);
  t.equal(none.steps.at(-1)?.rate, 1);
  t.equal(foundSentence(none.found, 50), 'No rate with p99 below 50 ms was found (at 1 it was 83 ms)');
});

void t.test('no rate is measured at which a step has too few requests', async (t) => {
  const bulk = readOptions(PRODUCER_SETTINGS, ['--bulk', '1000', '--workers', '2']);
  t.equal(rateMinOf(bulk, 5000), 8000, 'twenty requests of each worker');
  t.equal(rateMinOf(readOptions(PRODUCER_SETTINGS, []), 5000), 1);
  const held = await searched(100, (rate) => (rate <= 50_000 ? {} : TOO_LONG), 8000);
  t.equal(held.steps[0]?.rate, 8000);
  const none = await searched(30_000, () => TOO_LONG, 8000);
  t.same(new Set(none.steps.map(({ rate }) => rate)), new Set([30_000, 15_000, 8000]));
  t.equal(foundSentence(none.found, 50), 'No rate with p99 below 50 ms was found (at 8,000 it was 83 ms)');
});

void t.test('--find-max with --bulk finds a rate of a server that takes it', async (t) => {
  const url = await listen(t, ({ res }) => res.writeHead(202).end('{"count":100}'));
  const flags = ['--url', url, '--find-max', '--p99', '500ms', '--step', '5s', '--bulk', '100', '--json'];
  const child = start(flags);
  child.stdin.end();
  // after the first step; a second signal would end it without a result
  child.stderr.once('data', function onText(text: Buffer) {
    if (text.includes('\n')) child.kill('SIGINT');
    else child.stderr.once('data', onText);
  });
  const { stdout } = await endOf(child);
  t.match(JSON.parse(stdout), { findMax: { held: { rate: 400 } }, errors: 0 });
});

void t.test('where the producer fell behind, the sentence says so', async (t) => {
  const { found, steps } = await searched(100, (rate) =>
    rate <= 1000 ? {} : { ...TOO_LONG, isProducerBehind: true },
  );
  t.equal(steps.filter(({ rate }) => rate === 1600).length, 3, 'and it was measured three times');
  t.equal(
    foundSentence(found, 50),
    'Highest rate with p99 below 50 ms: at least 1,000 events/s (p99 31 ms over 10 s; at 1,050 the producer itself fell behind: the server may take more)',
  );
});

void t.test('refused and failed events are not in time', async (t) => {
  const { found } = await searched(100, (rate) =>
    rate <= 300 ? {} : { inTime: 0.95, refused: 0.0312, refusal: '429' },
  );
  t.equal(
    foundSentence(found, 50),
    'Highest rate with p99 below 50 ms: 300 events/s (p99 31 ms over 10 s; at 313 3.1 % were refused or failed (429))',
  );
});

void t.test('a server that accepts nothing ends the search', async (t) => {
  const dead = { p99Ms: null, inTime: 0, refused: 1, refusal: 'ECONNREFUSED' };
  const never = await searched(100, () => dead);
  t.equal(never.steps.length, 1);
  t.equal(
    foundSentence(never.found, 50),
    'No rate with p99 below 50 ms was found (at 100 no event was accepted (ECONNREFUSED))',
  );
  const later = await searched(100, (rate) => (rate < 800 ? {} : dead));
  t.equal(later.found.ended, 'no event was accepted');
  t.match(
    foundSentence(later.found, 50),
    /: at least 400 events\/s \(.*; at 800 no event was accepted \(ECONNREFUSED\)\)$/,
  );
});

void t.test('a search that is stopped tells what it knows', async (t) => {
  for (const [at, pattern] of [
    [0, /^No rate with p99 below 50 ms was found \(stopped before the search was done\)$/],
    [3, /: at least 400 events\/s \(p99 31 ms over 5 s; stopped/],
    [8, /: at least 800 events\/s \(p99 31 ms over 5 s; at 1,200 it was 83 ms; stopped/],
    [11, /: at least 900 events\/s \(.*; at 1,000 it was 83 ms; stopped/],
  ] as const) {
    const { found, steps } = await searched(100, (rate, _, step) => ({
      ...(rate < 1000 ? {} : TOO_LONG),
      isStopped: step === at,
    }));
    t.equal(steps.length, at + 1);
    t.equal(found.ended, 'stopped');
    t.match(foundSentence(found, 50), pattern);
  }
});

void t.test('a rate that a longer run disproved is not what a stopped search tells', async (t) => {
  const { found } = await searched(100, (rate, lengthMs) => ({
    ...(rate > 1000 || (lengthMs === 10_000 && rate > 900) ? TOO_LONG : {}),
    isStopped: lengthMs === 10_000 && rate === 800,
  }));
  t.match(found, { held: { rate: 800, lengthMs: 5000 }, exceeded: { rate: 1000 }, ended: 'stopped' });
});

void t.test('the next rate lies between the two, or there is none', (t) => {
  t.equal(nextRate(1, null), 2);
  t.equal(nextRate(1, 2), null, 'between 1 and 2 is no whole number');
  t.equal(nextRate(1, 3), 2);
  t.equal(nextRate(null, 1), null);
  t.equal(nextRate(1000, 1050), null);
  t.equal(nextRate(1000, 1051), 1030);
  t.equal(nextRate(1e7, null), null);
  t.end();
});

void t.test('each step says in a line what it found', (t) => {
  t.equal(stepText({ ...GOOD, rate: 12_300 }, 50), '   12,300 events/s for 5 s: p99 31 ms, holds');
  t.match(stepText({ ...GOOD, ...TOO_LONG }, 50), /: p99 83 ms, too long$/);
  t.match(stepText({ ...GOOD, ...TOO_LONG, p99Ms: 50.3 }, 50), /: p99 50\.3 ms, too long$/, 'and says why');
  t.match(stepText({ ...GOOD, p99Ms: 49.96 }, 50), /: p99 49\.96 ms, holds$/);
  t.match(
    stepText({ ...GOOD, ...TOO_LONG, isProducerBehind: true }, 50),
    /: p99 83 ms, the producer itself fell behind/,
  );
  t.match(
    stepText({ ...GOOD, inTime: 0.5, refused: 0.5, refusal: '429' }, 50),
    /: p99 31 ms, 50 % were refused or failed \(429\)$/,
  );
  const full = { inTime: 0.4, refused: 0.6, refusal: '429', isProducerBehind: true };
  t.match(stepText({ ...GOOD, ...full }, 50), /: p99 31 ms, 60 % were refused or failed \(429\)$/);
  t.match(stepText({ ...GOOD, ...full, refusal: 'never sent' }, 50), /the producer itself fell behind/);
  t.match(
    stepText({ ...GOOD, inTime: 0.985, refused: 0.005, refusal: '429' }, 50),
    /: p99 31 ms, 1.5 % were late, refused or failed \(429\)$/,
  );
  t.match(stepText({ ...GOOD, p99Ms: null, inTime: 0, refused: 1 }, 50), /: no event was accepted$/);
  t.match(stepText({ ...GOOD, isStopped: true }, 50), /: stopped$/);
  t.end();
});

/** A run of 100 events: so many accepted within 40 ms, the others accepted late or refused. */
function runOf(
  inTime: number,
  late: number,
  refused: number,
  ownDelayMs: number,
  neverSent = 0,
  busy = 0,
): Run {
  const tally = newTally();
  tally.sent = inTime + late + refused;
  tally.backpressure = refused;
  if (inTime > 0) recordAccepted(tally, 40, inTime);
  if (late > 0) recordAccepted(tally, 400, late);
  for (let times = 0; times < 100; times += 1) tally.ownDelayUs.record(Math.max(1, ownDelayMs * 1000));
  const statistics = statisticsOf(tally, 5000, neverSent, busy);
  return {
    statistics,
    latencyUs: tally.latencyUs,
    timeline: new Timeline(),
    startMs: 0,
    endMs: 5000,
    failure: null,
  };
}

void t.test('a rate holds when 99 of 100 events were accepted within the bound', (t) => {
  const measured = (...args: Parameters<typeof runOf>): Measured =>
    measuredOf(runOf(...args), 100, 50, 5000, false);
  t.ok(holds(measured(99, 1, 0, 1)));
  t.notOk(holds(measured(98, 2, 0, 1)), 'too late');
  t.equal(Math.round(measured(98, 2, 0, 1).p99Ms ?? 0), 400, 'and the number says so');
  t.equal(Math.round(measured(99, 1, 0, 1).p99Ms ?? 0), 40);
  for (let late = 0; late <= 5; late += 1)
    for (let all = 60; all < 500; all += 7)
      t.equal(
        holds(measured(all - late, late, 0, 1)),
        (measured(all - late, late, 0, 1).p99Ms ?? 0) < 50,
        `${late} of ${all}`,
      );
  t.ok(holds(measured(99, 0, 1, 1)));
  t.notOk(holds(measured(98, 0, 2, 1)), 'refused');
  t.notOk(holds(measured(98, 1, 1, 1)), 'both together');
  t.notOk(holds(measured(99, 1, 0, 1, 5)), 'never sent');
  t.match(measured(90, 0, 6, 1, 4), { refused: 10 / 100, refusal: '429' });
  t.match(measured(90, 0, 0, 1, 10), { refusal: 'never sent' });
  t.match(measured(100, 0, 0, 1), { refused: 0, refusal: null, isProducerBehind: false });
  t.ok(measured(100, 0, 0, 30).isProducerBehind, 'more than half of the bound is the producer');
  t.ok(measured(100, 0, 0, 1, 0, 0.95).isProducerBehind, 'or that its thread had no time');
  t.notOk(measured(100, 0, 0, 1, 0, 0.85).isProducerBehind);
  t.equal(measured(0, 0, 100, 1).p99Ms, null);
  t.end();
});

void t.test('the workers share the rate of a step, warm-up included', (t) => {
  const settings = readOptions(PRODUCER_SETTINGS, ['--workers', '4', '--rate', '50']);
  t.equal(startRateOf(settings), 200);
  t.match(settingsAt(settings, 1000, 5000), { rate: [{ from: 250, to: 250 }], durationMs: 6000, workers: 4 });
  t.match(settingsAt(settings, 2, 5000), { rate: [{ from: 1 }], workers: 2 });
  t.equal(startRateOf(readOptions(PRODUCER_SETTINGS, [])), 100);
  t.end();
});

void t.test('--find-max ends with one sentence, and the statistics are those of its rate', async (t) => {
  // each run has ids of its own: a server that takes the first eleven of a run holds one event a second for ten
  const url = await listen(t, ({ res, body }) =>
    answer(res, Number(idOf(body).split('-').at(-1)) < 11 ? 202 : 429),
  );
  const flags = ['--url', url, '--rate', '1', '--find-max', '--p99', '500ms', '--step', '5s'];
  const [plain, json] = await Promise.all([run(flags), run([...flags, '--json'])]);
  t.equal(plain.code, 0);
  t.match(
    plain.stdout.trimEnd().split('\n').at(-1),
    /^Highest rate with p99 below 500 ms: 1 events\/s \(p99 [\d.]+ ms over 10 s; at 2 10 % were refused or failed \(429\)\)$/,
  );
  t.match(
    plain.stdout.replaceAll(/^ +1 .* (?:too long|the server may take more)\n/gm, ''), // the machine was busy
    /^ {8}1 events\/s for 5 s: p99 [\d.]+ ms, holds\n( {8}2 events\/s for 5 s: p99 [\d.,]+ ms, (?:10 % were refused or failed \(429\)|too long)\n){2} {8}1 events\/s for 10 s: p99 [\d.]+ ms, holds\n/,
  );
  t.match(plain.stdout, '\nProducer Statistics\n');
  t.match(plain.stdout, 'Total sent: 10\nAccepted (202): 10\n', 'without the warm-up');
  t.match(json.stdout, /^\{[^\n]*\}\n$/);
  t.match(json.stderr, / {8}1 events\/s for 5 s: /);
  const { findMax } = JSON.parse(json.stdout) as { findMax: { sentence: string } };
  t.match(findMax, { sentence: /^Highest rate with p99 below 500 ms/, ended: null });
});

void t.test('--find-max against a server that is not there ends at once: exit code 1', async (t) => {
  const flags = ['--url', 'http://127.0.0.1:1/events', '--find-max', '--p99', '50ms', '--step', '500ms'];
  const { code, stdout } = await run(flags);
  t.equal(code, 1);
  t.match(
    stdout,
    /\nNo rate with p99 below 50 ms was found \(at 100 no event was accepted \(ECONNREFUSED\)\)\n$/,
  );
});

void t.test('SIGINT ends a search with what is known: exit code 130', async (t) => {
  let requests = 0;
  const url = await listen(t, ({ res }) => {
    requests += 1;
    answer(res, 202);
    if (requests === 10) child.kill('SIGINT');
  });
  const child = start(['--url', url, '--find-max', '--p99', '50ms']);
  const { code, stdout } = await endOf(child);
  t.equal(code, 130);
  t.match(stdout, /\nProducer Statistics\n/);
  t.match(stdout, /\nNo rate with p99 below 50 ms was found \(stopped before the search was done\)\n$/);
});
