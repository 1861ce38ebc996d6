import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { calledAs } from '../../lib/base/called-as.js';
import { SERVER_SETTINGS } from '../../lib/cli/server-settings.js';
import { noBatches } from '../../lib/observe/page/browser/batch-words.js';
import {
  batchName,
  bytes,
  count,
  duration,
  milliseconds,
  plain,
  plural,
  rate,
} from '../../lib/observe/page/browser/format.js';
import { windowWords } from '../../lib/observe/page/browser/source-words.js';
import { verdict } from '../../lib/observe/page/browser/verdict.js';
import type { Snapshot, SourceState, WindowState } from '../../lib/observe/page/messages.js';
import { readOptions } from '../../lib/settings/option-table.js';
import { tempDir } from '../helpers/temp-dir.js';

const WELL: Snapshot = {
  version: '1',
  upSeconds: 100,
  isHealthy: true,
  workers: null,
  logDir: './append-log',
  tools: { log: 'node bin/log.js', deadLetters: 'node bin/dead-letters.js', control: 'node bin/control.js' },
  logFlags: null,
  resuming: { toolFrom: 'this machine', pid: 12 },
  refusal: null,
  events: {
    accepted: 10,
    delivered: 10,
    deadLettered: 0,
    quarantined: 0,
    pending: 0,
    unreadBatches: 0,
    duplicates: 0,
  },
  door: {
    inPerSecond: 0,
    refusedPerSecond: 0,
    backlogFullPerSecond: 0,
    connectionsFullPerSecond: 0,
    failedPerSecond: 0,
    p50Ms: 1,
    p99Ms: 2,
    connections: 1,
  },
  queue: { events: 0, eventsMax: 10_000, bytes: 0, bytesMax: 2 ** 26, drainMs: 500 },
  disk: {
    bytes: 0,
    bytesMax: 2 ** 30,
    oldestSeconds: 0,
    drainSeconds: 0,
    roomSeconds: null,
    freeBytes: 2 ** 36,
    sizeBytes: 2 ** 37,
    replicas: null,
    retained: null,
    quarantineFiles: 0,
  },
  sink: {
    kind: 'http',
    target: 'https://x.example/in',
    keepsNothing: false,
    nextAttemptSeconds: null,
    outPerSecond: 0,
    breaker: 'closed',
    misconfigured: false,
    troubleSeconds: null,
    running: 0,
    concurrency: 1,
    paused: null,
    failuresInARow: 0,
    failedAttempts: 0,
    lastError: null,
  },
  batches: [],
  deadLetters: {
    isFull: false,
    batchesAside: 0,
    isolatedEvents: 0,
    files: 0,
    bytes: 0,
    lately: 0,
    reasons: [],
  },
  sources: { shown: [], more: 0, stray: [], codes: {} },
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

function refused(code: string): NonNullable<Snapshot['refusal']> {
  return { code, reason: 'The server is starting' };
}

/** A source that has refused an event just now. */
function refusing(retry: boolean, acceptedAgoSeconds: number | null, agoSeconds: number): Partial<Snapshot> {
  const bank: SourceState = {
    name: 'bank',
    path: '/in/bank',
    inPerSecond: 0,
    accepted: 0,
    acceptedAgoSeconds,
    refused: 1,
    isRefusing: true,
    refusals: [{ code: 'SOME_CODE', number: 1, agoSeconds }],
    window: null,
    newest: [],
  };
  const codes = { SOME_CODE: { text: 'Some words', retry } };
  return { sources: { shown: [bank], more: 0, stray: [], codes } };
}

const PAUSED = { forSeconds: 300, by: 'ann@in-1', reason: 'the database moves', leftSeconds: 3600 };

/** Changes of some parts, worst first: each also has all that stand below it. */
const CASES: readonly [Record<string, unknown>, string, string, string | null][] = [
  [{ isHealthy: false }, 'trouble', 'The pipeline broke', null],
  [
    { workers: { number: 4, missing: [{ worker: 2, why: 'does not answer' }] } },
    'trouble',
    'Worker 2 of 4 does not answer',
    null,
  ],
  [{ workers: { number: 4, missing: [] } }, 'well', 'All is well', null],
  [{ refusal: refused('LOG_FAILED') }, 'trouble', 'The disk takes no events', 'disk'],
  [{ refusal: refused('LOG_DIR_LOST') }, 'trouble', 'The log directory was lost', 'disk'],
  [{ door: { failedPerSecond: 1 } }, 'trouble', 'The disk takes no events', 'disk'],
  [{ refusal: refused('NOT_RUNNING') }, 'trouble', 'The server takes no events', null],
  [{ refusal: refused('BACKLOG_FULL') }, 'trouble', 'The backlog is full: clients get 429', 'sink'],
  [{ door: { backlogFullPerSecond: 1 } }, 'trouble', 'The backlog is full: clients get 429', 'sink'],
  [{ sink: { breaker: 'half-open' } }, 'trouble', 'The sink is down', 'sink'],
  [{ sink: { breaker: 'open', troubleSeconds: 3 } }, 'trouble', 'The sink is down', 'sink'],
  [{ sink: { breaker: 'open', misconfigured: true } }, 'trouble', 'The sink is set up wrongly', 'sink'],
  [{ deadLetters: { isFull: true, batchesAside: 3 } }, 'trouble', 'The dead letters are full', 'sink'],
  [{ deadLetters: { batchesAside: 3 } }, 'trouble', 'The disk takes no dead letters', 'disk'],
  [{ deadLetters: { isolatedEvents: 1 } }, 'trouble', 'The sink fails at 1 event', 'sink'],
  [{ refusal: refused('DRAINING') }, 'attention', 'The server is about to stop', null],
  [
    { refusal: refused('QUEUE_FULL') },
    'attention',
    'Clients get 429: more comes in than the disk takes',
    'disk',
  ],
  [
    { refusal: refused('QUEUE_FULL'), queue: { events: 10, eventsMax: 10, drainMs: 1 } },
    'attention',
    'Clients get 429: the queue is full',
    'queue',
  ],
  [
    { door: { refusedPerSecond: 3, connectionsFullPerSecond: 2 } },
    'attention',
    'Clients get 429: too many connections',
    'door',
  ],
  [
    { door: { refusedPerSecond: 1 } },
    'attention',
    'Clients get 429: more comes in than the disk takes',
    'disk',
  ],
  [{ disk: { freeBytes: 2 ** 29 } }, 'attention', 'The disk is nearly full', 'disk'],
  [{ sink: { paused: PAUSED } }, 'attention', 'Delivery is paused', 'sink'],
  [{ sink: { paused: PAUSED, breaker: 'open' } }, 'attention', 'Delivery is paused', 'sink'],
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
  [refusing(false, null, 1), 'attention', 'The source bank refuses all that it gets', null],
  [refusing(false, 90, 59), 'attention', 'The source bank refuses all that it gets', null],
  [refusing(false, 30, 1), 'well', 'All is well', null],
  [refusing(false, null, 60), 'well', 'All is well', null],
  [refusing(true, null, 1), 'well', 'All is well', null],
  [windowed({ duplicateAgoSeconds: 59 }, refusing(false, null, 1)), 'well', 'All is well', null],
  [
    windowed({ duplicateAgoSeconds: 60 }, refusing(false, null, 1)),
    'attention',
    'The source bank refuses all that it gets',
    null,
  ],
  [windowed({ effectiveSeconds: 43_200 }, refusing(true, 0, 1)), 'well', 'All is well', null],
  [
    windowed({ effectiveSeconds: 7200 }, refusing(true, 0, 1)),
    'attention',
    'The source bank keeps ids for 2 h, not 24 h',
    null,
  ],
  [{ door: { inPerSecond: 9 } }, 'well', 'All is well', null],
  [{}, 'well', 'All is well', null],
];

/** The window of a source that was to be a day long. */
function windowOf(change: Partial<WindowState>): WindowState {
  return {
    duplicates: 2,
    conflicts: 0,
    duplicateAgoSeconds: 1,
    ids: 1000,
    setSeconds: 86_400,
    effectiveSeconds: 86_400,
    ...change,
  };
}

/** The same source with a window. */
function windowed(change: Partial<WindowState>, snapshot: Partial<Snapshot>): Partial<Snapshot> {
  const { shown, ...others } = snapshot.sources ?? WELL.sources;
  const window = windowOf(change);
  return { sources: { ...WELL.sources, ...others, shown: shown.map((each) => ({ ...each, window })) } };
}

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
    changed({
      refusal: refused('QUEUE_FULL'),
      sink: { breaker: 'open' },
      deadLetters: { lately: 1, files: 1 },
    }),
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

void t.test('the name of a batch is short, with and without a worker', (t) => {
  t.same(
    ['batch_20261201_055418_6.jsonl', 'worker-2/batch_20261201_055418_6.jsonl', 'events_120-163'].map(
      batchName,
    ),
    ['20261201_055418_6', 'worker-2/20261201_055418_6', 'events_120-163'],
  );
  t.end();
});

void t.test('of a pause the page says since when, by whom, why, and how it ends', (t) => {
  const change = {
    sink: { paused: PAUSED },
    events: { pending: 2 },
    disk: { bytes: 2 ** 20, roomSeconds: 7200 },
  };
  t.match(verdict(changed(change)), {
    detail:
      'Delivery was paused 5 min ago by ann@in-1 (the database moves). The pause ends by itself in 60 min. Events are taken: 2 events wait safely on disk, 1 MiB of 1 GiB. At this rate there is room for 2 h.',
    command: 'node bin/control.js resume',
  });
  for (const [origin, flag] of [
    ['http://localhost:8081', ''],
    ['http://127.0.0.1:8082', ' --url http://127.0.0.1:8082'],
    ['http://[::1]:8082', " --url 'http://[::1]:8082'"],
  ] as const)
    t.equal(verdict(changed(change), origin).command, `node bin/control.js resume${flag}`, origin);
  const far = 'http://in-1.example:8082';
  for (const [toolFrom, pid, origin, command] of [
    ['this machine', 12, far, 'kill -USR2 12'],
    ['nowhere', 12, 'http://localhost:8081', 'kill -USR2 12'],
    ['anywhere', 12, far, `node bin/control.js resume --url ${far}`],
    ['nowhere', null, 'http://localhost:8081', ''],
  ] as const)
    t.equal(
      verdict(changed({ ...change, resuming: { toolFrom, pid } }), origin).command,
      command,
      `${toolFrom}, ${origin}`,
    );
  const open = { ...PAUSED, reason: '', leftSeconds: null };
  const full = verdict(
    changed({ sink: { paused: open, breaker: 'open' }, refusal: refused('BACKLOG_FULL') }),
  );
  t.equal(full.headline, 'The backlog is full: clients get 429');
  t.match(full.detail, 'Delivery was paused 5 min ago by ann@in-1. The pause lasts until someone resumes. ');
  const rare = verdict(changed({ sink: { paused: PAUSED }, disk: { freeBytes: 2 ** 29 } }));
  t.equal(rare.headline, 'The disk is nearly full', 'what a pause leads to is worse than it');
  t.end();
});

void t.test('in trouble the page names the sink, the bound, the time there is, and what helps', (t) => {
  const down = {
    sink: { breaker: 'open', troubleSeconds: 30, nextAttemptSeconds: 12 },
    events: { pending: 2 },
    disk: { bytes: 2 ** 20, roomSeconds: 7200 },
  };
  t.match(verdict(changed(down)), {
    detail:
      'The http sink (https://x.example/in) has failed for 30 s; the next attempt is due in 12 s. Events are still taken: 2 events wait safely on disk, 1 MiB of 1 GiB. At this rate there is room for 2 h.',
    command: 'node bin/log.js ls',
  });
  const full = verdict(changed({ ...down, refusal: refused('BACKLOG_FULL') }));
  t.match(
    full.detail,
    /1 MiB wait on disk for the http sink .*, of 1 GiB \(--backlog-max\). .* due in 12 s\./,
  );
  t.notMatch(full.detail, 'still taken');
  t.equal(full.command, '--backlog-max 2GiB');
  const aside = { deadLetters: { isFull: true, batchesAside: 3 }, disk: { bytes: 2 ** 20 } };
  t.match(verdict(changed(aside)), {
    detail:
      '3 batches with refused events wait on disk, as their dead letters have no room (--dead-letters-max). Others are delivered. Send the dead letters again or drop them, or raise the bound: else the backlog fills, 1 MiB of 1 GiB now.',
    command: 'node bin/dead-letters.js ls',
  });
  const filled = verdict(changed({ ...aside, refusal: refused('BACKLOG_FULL') }));
  t.match(filled, { command: 'node bin/dead-letters.js ls', detail: /3 batches with refused events wait/ });
  t.match(
    verdict(changed({ deadLetters: { batchesAside: 1 } })).detail,
    '1 batch with refused events waits on disk, as their dead letters cannot be written.',
  );
  const small = { refusal: refused('QUEUE_FULL'), queue: { events: 10, eventsMax: 10, drainMs: 1 } };
  t.match(
    verdict(changed(small)).detail,
    'The queue holds 10 events (--queue-size), which the disk takes in 1 ms',
  );
  const bytesFull = { refusal: refused('QUEUE_FULL'), queue: { bytes: 2 ** 26, drainMs: 300 } };
  t.match(
    verdict(changed(bytesFull)).detail,
    'The queue in front of the disk is full: 64 MiB (--queue-bytes).',
  );
  t.match(
    verdict(changed({ sink: { kind: 'simulated', keepsNothing: true } })).detail,
    'The simulated sink keeps nothing',
  );
  const elsewhere = { logDir: '/var/lib/forebay', deadLetters: { files: 1 } };
  t.equal(verdict(changed(elsewhere)).command, 'node bin/dead-letters.js ls --log-dir /var/lib/forebay');
  t.end();
});

void t.test('a source says how long it keeps ids in fact, and what conflicts are', (t) => {
  const said = (change: Partial<WindowState>): string => windowWords(windowOf(change));
  t.equal(said({}), 'Ids are kept for 24 h; 1,000 are known now.');
  t.equal(
    said({ effectiveSeconds: 7200, ids: 1 }),
    'Ids are kept for 2 h, not 24 h, as there are more than --id-window-max; 1 is known now.',
  );
  t.match(said({ effectiveSeconds: 86_399 }), /^Ids are kept for 86,399 s, not 86,400 s, as/);
  t.match(
    said({ conflicts: 1 }),
    / 1 of the duplicates was a conflict: other content than that of the first event with the id\.$/,
  );
  t.match(said({ conflicts: 2 }), / 2 of the duplicates were conflicts: /);
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

void t.test('what the page says to run can be run as it stands', async (t) => {
  const dir = join(tempDir(t), "it's a log");
  mkdirSync(join(dir, 'dead-letters'), { recursive: true });
  const said = new Set(CASES.map(([change]) => verdict({ ...changed(change), logDir: dir }).command));
  said.delete('');
  t.ok(said.size >= 6, `${said.size} of them`);
  for (const command of said) {
    if (command.startsWith('--')) {
      t.doesNotThrow(() => readOptions(SERVER_SETTINGS, command.split(' ')), command);
      continue;
    }
    // nobody listens there: what it finds at its own address is not this test's
    const env = { ...process.env, CONTROL_URL_OF_FOREBAY: 'http://127.0.0.1:1' };
    const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8', env });
    const isOfServer = stderr.startsWith('forebay-control: http://127.0.0.1:1 does not answer: ');
    t.equal(status, isOfServer ? 2 : 0, `${command}: ${stderr}`);
  }
});

void t.test('a program is called as the one that runs was', (t) => {
  for (const [script, called] of [
    ['/home/me/forebay/bin/server.js', 'node bin/log.js'],
    ['/usr/local/bin/forebay-server', 'forebay-log'],
    ['/home/me/app/main.mjs', 'npx forebay-log'],
    ['', 'npx forebay-log'],
  ] as const)
    t.equal(calledAs('log', script), called);
  t.end();
});

void t.test('without a batch to name, the page tells whether something waits', (t) => {
  t.match(noBatches(WELL), /a batch ends a second after its first event/);
  t.match(noBatches({ ...WELL, disk: { ...WELL.disk, bytes: 100 } }), /what waits has not been to the sink/);
  t.end();
});

void t.test('of a stream the quarantine has messages, and the tool is told to look there', (t) => {
  const replicas = { stream: 'forebay-events', wanted: 1, current: 1, leader: 'n1', missing: [] };
  const logFlags = ['--log', 'jetstream', '--log-url', 'nats://a:4222,nats://b:4222', '--log-creds', 'a b'];
  const said = verdict({ ...WELL, logFlags, disk: { ...WELL.disk, quarantineFiles: 2, replicas } });
  t.match(said, {
    detail: '2 messages in the quarantine of the stream.',
    command: "node bin/log.js verify --log jetstream --log-url nats://a:4222,nats://b:4222 --log-creds 'a b'",
  });
  t.end();
});
