import t from 'tap';
import { EVENTS, Histogram } from '../../lib/base/histogram.js';
import type { HealthAnswer } from '../../lib/door/probes.js';
import { noDoor } from '../../lib/door/door.js';
import { counter, gauge, histogram } from '../../lib/observe/metrics/family.js';
import type { Family } from '../../lib/observe/metrics/family.js';
import { countedBy, mergeFamilies } from '../../lib/observe/metrics/merge-families.js';
import { mergeProbes } from '../../lib/observe/together/merge-probes.js';
import { mergeSpaces, mergeStatistics } from '../../lib/observe/together/merge-statistics.js';
import { OwnReports } from '../../lib/observe/together/own-reports.js';
import type { PageReport, Report, ReportOf } from '../../lib/observe/together/report.js';
import { Whole } from '../../lib/observe/together/whole.js';
import { eventText, startForebay, until } from '../helpers/running-forebay.js';
import type { RunningForebay } from '../helpers/running-forebay.js';
import type { Test } from 'tap';

const merged = (...all: readonly Family[][]): Family[] =>
  mergeFamilies(all.map((families, index) => ({ worker: String(index + 1), families })));
const labelled = (...values: readonly number[]) =>
  values.map((value, index) => ({ value, labels: { of: String(index) } }));

void t.test('counters add up, label by label, whoever has them', (t) => {
  const [family] = merged(
    [counter('events', 'Help.', labelled(1, 2))],
    [counter('events', 'Help.', [{ value: 10, labels: { of: '1' } }])],
    [],
    [counter('events', 'Help.', [{ value: 100, labels: { of: 'new' } }])],
  );
  t.match(family, { name: 'forebay_events_total', type: 'counter', help: 'Help.' });
  t.same(family?.samples, [...labelled(1, 12), { value: 100, labels: { of: 'new' } }]);
  const both = { a: 'x', b: 'y' };
  const [ordered] = merged(
    [counter('events', '', [{ value: 1, labels: both }])],
    [counter('events', '', [{ value: 2, labels: { b: 'y', a: 'x' } }])],
  );
  t.same(ordered?.samples, [{ value: 3, labels: both }], 'in whatever order the labels come');
  t.end();
});

void t.test('histograms add up bucket by bucket', (t) => {
  const [one, other] = [new Histogram(EVENTS), new Histogram(EVENTS)];
  one.observe(3, 2);
  other.observe(3);
  other.observe(1e6);
  const all = new Histogram(EVENTS);
  all.observe(3, 3);
  all.observe(1e6);
  // as they come from another process: without their class
  const copy = structuredClone({ bounds: other.bounds, counts: other.counts, sum: other.sum });
  const [family] = merged([histogram('size', '', one)], [histogram('size', '', copy)]);
  t.same(family?.samples, { bounds: all.bounds, counts: all.counts, sum: all.sum });
  t.end();
});

void t.test('gauges have a rule each', (t) => {
  const by = (merge: 'sum' | 'max' | 'min' | 'worst' | 'each') =>
    merged([gauge('g', '', labelled(1, 0, 0), merge)], [gauge('g', '', labelled(0, 1, 0), merge)])[0]
      ?.samples;
  t.same(by('sum'), labelled(1, 1, 0));
  t.same(by('max'), labelled(1, 1, 0));
  t.same(by('min'), labelled(0, 0, 0));
  t.same(by('worst'), labelled(0, 1, 0), 'one state, the last in order');
  const process = merged([gauge('g', '', 7, 'each')], [gauge('g', '', 8, 'each')]);
  t.same(process[0]?.samples, [
    { value: 7, labels: { worker: '1' } },
    { value: 8, labels: { worker: '2' } },
  ]);
  t.same(merged([gauge('g', '', null, 'min')], [gauge('g', '', 5, 'min')])[0]?.samples, [{ value: 5 }]);
  t.end();
});

void t.test('of a process that has ended its counts stay, and nothing else', (t) => {
  const ended = countedBy([
    counter('events', '', 5),
    counter('process_cpu_seconds', '', 9, 'each'),
    gauge('queue', '', 7),
    histogram('size', '', new Histogram(EVENTS)),
  ]);
  t.same(
    ended.map(({ name }) => name),
    ['forebay_events_total', 'forebay_size'],
  );
  const after = merged(ended, [counter('events', '', 1), gauge('queue', '', 2)]);
  t.same(
    after.filter(({ type }) => type !== 'histogram').map(({ samples }) => samples),
    [[{ value: 6 }], [{ value: 2 }]],
  );
  t.end();
});

/** A pipeline with pending and delivered events, and its report. */
async function reported(
  t: Test,
  events: number,
): Promise<RunningForebay & { report: () => Promise<Report> }> {
  const running = await startForebay(t, { batchSize: 1, sinkConcurrency: 2 });
  const { forebay, sink } = running;
  for (let n = 0; n < events; n++) await forebay.write(eventText(`a${n}`));
  await until(() => forebay.counts().delivered === events, 'they are delivered');
  sink.held = true;
  await forebay.write(eventText('held'));
  await until(() => sink.attempts.length > events, 'one is on its way');
  const reports = new OwnReports(forebay, noDoor(forebay), async () => []);
  t.teardown(() => {
    reports.close();
  });
  return { ...running, report: async () => structuredClone(await reports.report(0, 'page')) };
}

async function two(t: Test): Promise<{ reports: ReportOf[]; pages: PageReport[] }> {
  const made = [await reported(t, 2), await reported(t, 3)];
  const reports = await Promise.all(
    made.map(async ({ report }, index) => ({ worker: index + 1, report: await report() })),
  );
  return { reports, pages: reports.flatMap(({ report }) => report.page ?? []) };
}

void t.test('what is counted adds up, and of ages and states the worst is shown', async (t) => {
  const { pages } = await two(t);
  const [one, other] = pages.map(({ statistics }) => statistics);
  if (one === undefined || other === undefined) throw new Error('two reports');
  const all = mergeStatistics([
    { ...one, oldestPendingSeconds: 5, drainSeconds: Infinity, sink: { ...one.sink, breaker: 'half-open' } },
    {
      ...other,
      oldestPendingSeconds: 9,
      drainSeconds: 1,
      sink: { ...other.sink, breaker: 'open', openings: 2 },
    },
  ]);
  t.same(all.events, {
    accepted: 7,
    delivered: 5,
    deadLettered: 0,
    quarantined: 0,
    pending: 2,
    unreadBatches: 0,
    duplicates: 0,
  });
  t.equal(all.pendingBytes, one.pendingBytes + other.pendingBytes);
  t.equal(
    all.ackSeconds.counts.reduce((sum, each) => sum + each),
    7,
  );
  t.match(all, { oldestPendingSeconds: 9, drainSeconds: Infinity, sealedBy: { size: 7 } });
  t.match(all.sink, { breaker: 'open', openings: 2, concurrency: 4, attempts: { taken: 5, running: 2 } });
});

void t.test('the disk is one, and what is on it adds up', (t) => {
  const space = {
    deadLetterFiles: 1,
    deadLetterBytes: 10,
    quarantineFiles: 0,
    quarantineBytes: 0,
    freeBytes: 100,
    sizeBytes: 1000,
    freeInodes: null,
    inodes: null,
    newestLetters: null,
  };
  t.match(mergeSpaces([space, { ...space, deadLetterFiles: 2, freeBytes: 90, freeInodes: 5 }]), {
    deadLetterFiles: 3,
    deadLetterBytes: 20,
    freeBytes: 90,
    sizeBytes: 1000,
    freeInodes: 5,
    inodes: null,
  });
  t.equal(
    mergeSpaces([space, { ...space, deadLetterFiles: null }]).deadLetterFiles,
    null,
    'no sum of a part',
  );
  t.end();
});

void t.test('the page sees one server', async (t) => {
  const { reports, pages } = await two(t);
  const whole = new Whole('./log', { kind: 'test' });
  t.equal(whole.statistics(), null, 'before the first look');
  // what is left in other directories counts, and bounds nothing
  const [first] = reports;
  if (first === undefined) throw new Error('a report');
  whole.update([{ ...first, worker: 0 }, ...reports]);
  t.equal(whole.statistics()?.events.accepted, 3 + 3 + 4);
  t.equal(whole.statistics()?.sink.concurrency, 4);
  t.match(whole.settings, { logDir: './log', queueSize: 20_000, backlogBytesMax: 2 ** 31 });
  const { states } = whole.recentBatches();
  t.equal(states.length, 10);
  t.equal(states.filter(({ name }) => name.startsWith('worker-2/')).length, 4);
  t.equal(states.filter(({ name }) => name.startsWith('batch_')).length, 3, 'of no worker');
  t.equal(whole.refusal(), null);
  const [page] = pages;
  if (page === undefined) throw new Error('a report');
  const full = { code: 'QUEUE_FULL', message: 'Full' } as const;
  const refusing = { ...first, worker: 2, report: { ...first.report, page: { ...page, refusal: full } } };
  whole.update([first, refusing]);
  t.same(whole.refusal(), { code: 'QUEUE_FULL', message: 'Worker 2: Full' });
  whole.update([{ ...refusing, worker: 0 }]);
  t.equal(whole.refusal(), null, 'a directory without a worker refuses nothing');
});

void t.test('the server is well if every worker is', async (t) => {
  const { reports } = await two(t);
  const changed = (worker: number, probes: object): ReportOf[] =>
    reports.map((each) =>
      each.worker === worker
        ? { worker, report: { ...each.report, probes: { ...each.report.probes, ...probes } } }
        : each,
    );
  t.match(mergeProbes('health', reports, []), {
    status: 200,
    body: { status: 'ok', events: { accepted: 7 }, workers: { number: 2, missing: [] } },
  });
  t.match(mergeProbes('ready', reports, []), { status: 200, body: { status: 'ready' } });
  const [{ report }] = reports as [ReportOf];
  const ill: HealthAnswer = {
    ...report.probes.health,
    status: 503,
    body: { ...report.probes.health.body, status: 'failed', log: { writable: false, reason: 'EIO' } },
  };
  t.match(mergeProbes('health', changed(2, { health: ill }), []), {
    status: 503,
    body: { status: 'failed', worker: 2, log: { writable: false, reason: 'EIO' }, events: { accepted: 6 } },
  });
  const full = {
    status: 503,
    body: { status: 'not ready', code: 'QUEUE_FULL' },
    headers: { 'Retry-After': '3' },
  };
  t.match(mergeProbes('ready', changed(2, { ready: full }), []), {
    status: 503,
    body: { status: 'not ready', code: 'QUEUE_FULL', worker: 2 },
    headers: { 'Retry-After': '3' },
  });
  const left = changed(2, { ready: full }).map((each) => ({ ...each, worker: each.worker - 2 }));
  t.equal(
    mergeProbes(
      'ready',
      left.filter(({ worker }) => worker === 0),
      [],
    ).status,
    200,
    'it has no door',
  );
  for (const which of ['health', 'ready'] as const) {
    t.match(mergeProbes(which, reports.slice(0, 1), [{ worker: 2, why: 'is being started' }]), {
      status: 503,
      body: { worker: 2, code: 'WORKER_ENDED', reason: 'Worker 2 is being started', workers: { number: 2 } },
    });
  }
});
