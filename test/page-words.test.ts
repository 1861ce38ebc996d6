import t from 'tap';
import { bytes, count, duration, milliseconds, plain, plural, rate } from '../lib/page/browser/format.js';
import { verdict } from '../lib/page/browser/verdict.js';
import type { Snapshot } from '../lib/page/messages.js';

const WELL: Snapshot = {
  version: '1',
  upSeconds: 100,
  isHealthy: true,
  refusal: null,
  events: { accepted: 10, delivered: 10, deadLettered: 0, quarantined: 0, pending: 0, unreadBatches: 0 },
  door: {
    inPerSecond: 0,
    refusedPerSecond: 0,
    backlogFullPerSecond: 0,
    failedPerSecond: 0,
    p50Ms: 1,
    p99Ms: 2,
    connections: 1,
  },
  queue: { events: 0, eventsMax: 10_000, bytes: 0, bytesMax: 2 ** 26 },
  disk: {
    bytes: 0,
    bytesMax: 2 ** 30,
    oldestSeconds: 0,
    drainSeconds: 0,
    freeBytes: 2 ** 36,
    sizeBytes: 2 ** 37,
    quarantineFiles: 0,
  },
  sink: {
    outPerSecond: 0,
    breaker: 'closed',
    troubleSeconds: null,
    running: 0,
    concurrency: 1,
    failuresInARow: 0,
    failedAttempts: 0,
    lastError: null,
  },
  batches: [],
  deadLetters: { isFull: false, files: 0, bytes: 0, lately: 0, reasons: [] },
  point: {
    atSeconds: 1,
    in: 0,
    out: 0,
    refused: 0,
    p50Ms: null,
    p99Ms: null,
    backlogBytes: 0,
    drainSeconds: 0,
    deadLettered: 0,
  },
};

/** Changes of some parts, worst first: each also has all that stand below it. */
const CASES: readonly [Record<string, unknown>, string, string, string | null][] = [
  [{ isHealthy: false }, 'trouble', 'The pipeline broke', null],
  [{ refusal: 'LOG_FAILED' }, 'trouble', 'The disk takes no events', 'disk'],
  [{ door: { failedPerSecond: 1 } }, 'trouble', 'The disk takes no events', 'disk'],
  [{ refusal: 'NOT_RUNNING' }, 'trouble', 'The server takes no events', null],
  [{ refusal: 'BACKLOG_FULL' }, 'trouble', 'The backlog is full: clients get 429', 'sink'],
  [{ door: { backlogFullPerSecond: 1 } }, 'trouble', 'The backlog is full: clients get 429', 'sink'],
  [{ deadLetters: { isFull: true } }, 'trouble', 'The dead letters are full', 'sink'],
  [{ sink: { breaker: 'half-open' } }, 'trouble', 'The sink is down', 'sink'],
  [{ sink: { breaker: 'open', troubleSeconds: 3 } }, 'trouble', 'The sink is down', 'sink'],
  [{ refusal: 'QUEUE_FULL' }, 'attention', 'Clients get 429: more comes in than the disk takes', 'disk'],
  [
    { door: { refusedPerSecond: 1 } },
    'attention',
    'Clients get 429: more comes in than the disk takes',
    'disk',
  ],
  [{ disk: { freeBytes: 2 ** 29 } }, 'attention', 'The disk is nearly full', 'disk'],
  [{ sink: { failuresInARow: 2 } }, 'attention', 'The sink fails now and then', 'sink'],
  [
    { disk: { oldestSeconds: 11, drainSeconds: null }, sink: { running: 1 } },
    'attention',
    'Nothing is delivered',
    'sink',
  ],
  [
    { disk: { oldestSeconds: 11 }, door: { inPerSecond: 9 } },
    'attention',
    'The sink is slower than what comes in',
    'sink',
  ],
  [{ events: { unreadBatches: 3 } }, 'attention', 'The sink catches up', 'sink'],
  [{ deadLetters: { lately: 2, files: 1 } }, 'attention', 'The sink refused 2 events for good', null],
  [{ deadLetters: { files: 2 } }, 'attention', 'There are dead letters', null],
  [{ disk: { quarantineFiles: 1 } }, 'attention', 'Damaged data was set aside', null],
  [{ door: { inPerSecond: 9 } }, 'well', 'All is well', null],
  [{}, 'well', 'All is well', null],
];

function changed(change: Readonly<Record<string, unknown>>): Snapshot {
  const entries = Object.entries(change).map(([key, value]) => {
    const before = WELL[key as keyof Snapshot];
    return [key, typeof value === 'object' ? { ...(before as object), ...value } : value];
  });
  return { ...WELL, ...(Object.fromEntries(entries) as Partial<Snapshot>) };
}

void t.test('the page says whether all is well, and what the bottleneck is', (t) => {
  for (const [change, level, headline, bottleneck] of CASES) {
    const said = verdict(changed(change));
    const what = JSON.stringify(change);
    t.match(said, { level, headline, bottleneck }, what);
    t.match(said.detail, /^[A-Z\d].*\.$/, what);
    t.notMatch(said.detail, /NaN|null|undefined|Infinity/, what);
  }
  const all = verdict(
    changed({ refusal: 'QUEUE_FULL', sink: { breaker: 'open' }, deadLetters: { lately: 1, files: 1 } }),
  );
  t.equal(all.headline, 'The sink is down', 'the worst is said');
  t.match(
    verdict(changed({ events: { pending: 0, unreadBatches: 1 }, disk: { drainSeconds: null } })).detail,
    '1 batch of an earlier run waits on disk, the oldest for 0 s. No attempt runs now.',
  );
  t.match(
    verdict(changed({ events: { pending: 2, unreadBatches: 3 }, sink: { breaker: 'open' } })).detail,
    '2 events and 3 batches of an earlier run wait safely on disk',
  );
  t.end();
});

void t.test('numbers are as long as they can be read', (t) => {
  t.same([0, 999.6, 99_999, 100_000, 12_345_678].map(count), ['0', '1,000', '99,999', '100k', '12M']);
  t.same([0, 0.04, 0.25, 9.94, 9.96, 4980.4].map(rate), ['0', '0', '0.3', '9.9', '10', '4,980']);
  t.same(
    [0, 1023, 1024, 1536, 20_480, 2 ** 30, 1.5 * 2 ** 40].map((value) => plain(bytes(value))),
    ['0 B', '1,023 B', '1 KiB', '1.5 KiB', '20 KiB', '1 GiB', '1.5 TiB'],
  );
  t.same(
    [null, 0.42, 9.94, 12.3, 999.6, 61_000].map((value) => plain(milliseconds(value))),
    ['–', '0.4 ms', '9.9 ms', '12 ms', '1 s', '61 s'],
  );
  t.same([0, 0.3, 1.2, 59, 119, 125, 7100, 7260, 40_000, 10 ** 6].map(duration), [
    '0 s',
    '0.3 s',
    '1 s',
    '59 s',
    '119 s',
    '2 min',
    '118 min',
    '2 h 1 min',
    '11 h',
    '12 days',
  ]);
  t.same([plural(1, 'event'), plural(2, 'batch', 'batches')], ['1 event', '2 batches']);
  t.match(
    verdict(changed({ events: { pending: 2, unreadBatches: 3 }, sink: { breaker: 'open' } })).detail,
    '2 events and 3 batches of an earlier run wait safely on disk',
  );
  t.end();
});
