import { sep } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { Reporter, silentLogger } from '../../lib/base/reporter.js';
import { noDoor } from '../../lib/door/door.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import { health } from '../../lib/door/probes.js';
import type { Forebay } from '../../lib/forebay.js';
import { entryTime } from '../../lib/intake/entry-time.js';
import { IdTable } from '../../lib/intake/id-table.js';
import { IdsOfSource } from '../../lib/intake/ids-of-source.js';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { idFamilies } from '../../lib/observe/metrics/id-families.js';
import { mergeFamilies } from '../../lib/observe/metrics/merge-families.js';
import { metricsRoute } from '../../lib/observe/metrics/metrics-route.js';
import type { SourceState } from '../../lib/observe/page/messages.js';
import { Observer } from '../../lib/observe/page/observer.js';
import { Whole } from '../../lib/observe/together/whole.js';
import { withLeftovers } from '../../lib/observe/together/with-leftovers.js';
import { openSources } from '../../lib/sources/registry.js';
import { addsUp, eventText, startForebay, until } from '../helpers/running-forebay.js';
import type { RunningOptions } from '../helpers/running-forebay.js';
import { scrape } from '../helpers/scrape.js';
import type { Scrape } from '../helpers/scrape.js';

const HOUR_MS = 3_600_000;
const FAMILIES = [
  'forebay_events_duplicate_total',
  'forebay_events_id_conflict_total',
  'forebay_id_window_seconds',
  'forebay_id_window_seconds_max',
  'forebay_id_window_ids',
  'forebay_id_window_failures_total',
];

interface Watched {
  readonly forebay: Forebay;
  readonly look: () => Promise<Scrape>;
  /** What the page says of a source. */
  readonly page: (source: string) => SourceState;
  /** The status of a request with these events. */
  readonly send: (path: string, events: readonly string[], prefer?: string) => Promise<number>;
}

/** A server with the sources `events`, `bank` and `shop`; the first two have windows, and `bank` refuses conflicts. */
async function watched(t: Test, options: RunningOptions = {}): Promise<Watched> {
  const idRules = [
    { source: 'events', windowMs: 24 * HOUR_MS, conflict: 'accept' as const },
    { source: 'bank', windowMs: HOUR_MS, conflict: 'reject' as const },
  ];
  const { forebay } = await startForebay(t, { idRules, batchSize: 1, ...options });
  const declared = ['bank', 'shop'].map((name) => ({ name, given: { format: 'events' } }));
  const sources = openSources(declared, { logger: silentLogger });
  const server = new IngestionServer({ forebay, sources, port: 0 });
  server.addRoutes([['/metrics', metricsRoute({ forebay, door: server, sharedMs: 0 })]]);
  await server.start();
  t.teardown(async () => server.stop(0));
  const observer = new Observer({ forebay, door: server });
  const page = (source: string): SourceState => {
    observer.tick();
    const state = observer.snapshot()?.sources.shown.find(({ name }) => name === source);
    if (state === undefined) throw new Error(`${source} is not shown`);
    return state;
  };
  const send: Watched['send'] = async (path, events, prefer = '') => {
    const headers = { 'content-type': 'application/x-ndjson', prefer };
    const url = `http://127.0.0.1:${server.port}${path}`;
    const { statusCode, body } = await request(url, { method: 'POST', headers, body: events.join('\n') });
    await body.dump();
    return statusCode;
  };
  return { forebay, look: async () => scrape(server.port), page, send };
}

void t.test('duplicates and conflicts are counted by source, and only with a window', async (t) => {
  const { forebay, look, page, send } = await watched(t);
  const idle = await look();
  t.same(idle.samples('forebay_events_duplicate_total'), [
    { name: 'forebay_events_duplicate_total', labels: { source: 'events' }, value: 0 },
    { name: 'forebay_events_duplicate_total', labels: { source: 'bank' }, value: 0 },
  ]);
  t.match(page('events').window, { duplicates: 0, duplicateAgoSeconds: null, setSeconds: 86_400 });
  t.equal(page('shop').window, null);

  for (const path of ['/events', '/in/bank', '/in/shop']) {
    t.equal(await send(path, [eventText('a'), eventText('b')]), 202, path);
    t.equal(await send(path, [eventText('b'), eventText('c'), eventText('b')]), 202, path);
  }
  t.equal(await send('/events', [eventText('a', 'other')]), 202);
  t.equal(await send('/in/bank', [eventText('a', 'other')]), 409);
  const seen = await look();
  t.same(seen.by('source', 'forebay_events_duplicate_total'), { events: 3, bank: 2 });
  t.same(seen.by('source', 'forebay_events_id_conflict_total'), { events: 1 });
  t.same(seen.by('source', 'forebay_id_window_seconds'), { events: 86_400, bank: 3600 });
  t.same(seen.by('source', 'forebay_id_window_seconds_max'), { events: 86_400, bank: 3600 });
  t.same(seen.by('source', 'forebay_id_window_ids'), { events: 3, bank: 3 });
  t.equal(seen.value('forebay_id_window_failures_total'), 0);
  t.same(seen.by('source', 'forebay_source_events_accepted_total'), { events: 3, bank: 3, shop: 5 });
  t.match(page('events'), {
    accepted: 3,
    window: { duplicates: 3, conflicts: 1, duplicateAgoSeconds: 0, ids: 3, effectiveSeconds: 86_400 },
  });
  t.match(page('bank'), { accepted: 3, refused: 1, window: { duplicates: 2, conflicts: 0 } });
  t.same(
    page('events').newest.map(({ id }) => id),
    ['c', 'b', 'a'],
    'a duplicate is no new event',
  );

  t.match(forebay.counts(), { accepted: 11, duplicates: 5 });
  t.equal(forebay.statistics()?.events.duplicates, 5);
  t.match(health(forebay).body.events, { accepted: 11, duplicates: 5 });
  addsUp(t, forebay, 'without the duplicates');
  t.equal(seen.value('forebay_unaccounted_events'), 0);
});

void t.test('received = accepted + duplicates + refused, also if conflicts are refused alone', async (t) => {
  const { look, send } = await watched(t);
  const lenient = 'handling=lenient';
  t.equal(
    await send(
      '/in/bank',
      ['a', 'b'].map((id) => eventText(id)),
      lenient,
    ),
    202,
  );
  const mixed = [eventText('a'), eventText('b', 'other'), '{}', eventText('c')];
  t.equal(await send('/in/bank', mixed, lenient), 202);
  t.equal(await send('/events', [eventText('a'), eventText('a', 'other'), 'null'], lenient), 202);
  const seen = await look();
  const received: Record<string, number> = { bank: 6, events: 3 };
  for (const [source, number] of Object.entries(received)) {
    const accepted = seen.value('forebay_source_events_accepted_total', { source });
    const duplicates = seen.value('forebay_events_duplicate_total', { source });
    const refused = seen
      .samples('forebay_events_refused_total')
      .filter(({ labels }) => labels['source'] === source);
    const sum = refused.reduce((all, { value }) => all + value, 0);
    t.equal(accepted + duplicates + sum, number, `${source}: ${accepted} + ${duplicates} + ${sum}`);
  }
  t.same(seen.by('source', 'forebay_events_id_conflict_total'), { events: 1 }, 'a refused one is none');
  t.equal(seen.value('forebay_events_refused_total', { source: 'bank', code: 'ID_CONFLICT' }), 1);
});

void t.test('without a window nothing speaks of one', async (t) => {
  const { forebay, look, page, send } = await watched(t, { idRules: [] });
  t.equal(await send('/events', [eventText('a'), eventText('a')]), 202);
  const { families } = await look();
  for (const name of FAMILIES) t.notOk(families.has(name), name);
  t.equal(page('events').window, null);
  t.match(forebay.counts(), { accepted: 2, duplicates: 0 });
});

void t.test('ids that the disk does not take are counted', async (t) => {
  let fails = false;
  const open = (...args: readonly unknown[]): void => {
    const isOfWindow = String(args[0]).includes(`${sep}id-window${sep}`);
    if (fails && isOfWindow) setImmediate(args.at(-1) as (error: Error) => void, new Error('EIO: a test'));
    else (nodeFileSystem.open as (...all: readonly unknown[]) => void)(...args);
  };
  const fs = Object.create(nodeFileSystem, { open: { value: open } }) as FileSystem;
  const { forebay, look, send } = await watched(t, { fs });
  fails = true;
  t.equal(await send('/events', [eventText('a')]), 202);
  await until(() => forebay.counts().delivered === 1, 'it is delivered all the same');
  t.equal((await look()).value('forebay_id_window_failures_total'), 1);
  t.equal(forebay.statistics()?.idFailures, 1);
});

void t.test('how long ids are kept is less while there are too many, and as set again after', (t) => {
  const second = entryTime(Date.now());
  const table = new IdTable(100_000, 2);
  const add = (id: number, atS: number): void => {
    table.keep(table.add(Uint32Array.of(id, id, id, id), 0, 0, atS), atS);
  };
  add(1, second);
  add(2, second + 10);
  t.equal(table.droppedAgeS, null);
  add(3, second + 30);
  t.equal(table.droppedAgeS, null, 'it was on its way when it came');
  add(5, second + 30);
  t.equal(table.droppedAgeS, 30, 'the first one had to go');
  add(4, second + 110);
  t.equal(table.droppedAgeS, null, 'the second one was 100 seconds old: those that had to go would be gone');
  t.equal(table.size, 3);
  t.end();
});

void t.test('ids that are too old go if someone looks, also if no event comes', (t) => {
  const rule = { source: 'events', windowMs: 100_000, conflict: 'accept' } as const;
  const ofSource = new IdsOfSource(rule, 10, new Reporter());
  const atS = entryTime(Date.now()) - 1000;
  const { table } = ofSource;
  for (let id = 1; id <= 3; id++) table.keep(table.add(Uint32Array.of(id, id, id, id), 0, 0, atS), atS);
  t.equal(table.size, 3);
  t.equal(ofSource.usage.ids, 0);
  t.end();
});

void t.test('windows of several processes add up, and the shortest is shown', (t) => {
  const usage = { source: 'events', windowSeconds: 100, effectiveSeconds: 100, ids: 3 };
  const one = idFamilies([{ ...usage, duplicates: 5, conflicts: 1 }], { idFailures: 1 });
  const other = idFamilies(
    [
      { ...usage, effectiveSeconds: 40, duplicates: 2, conflicts: 0 },
      { ...usage, source: 'shop', duplicates: 1, conflicts: 1 },
    ],
    { idFailures: 2 },
  );
  const all = mergeFamilies([one, other, []].map((families) => ({ worker: '', families })));
  t.same(
    all.map(({ name, samples }) => [name, ...(samples as { value: number }[]).map(({ value }) => value)]),
    [
      ['forebay_events_duplicate_total', 7, 1],
      ['forebay_events_id_conflict_total', 1, 1],
      ['forebay_id_window_seconds', 40, 100],
      ['forebay_id_window_seconds_max', 100, 100],
      ['forebay_id_window_ids', 6, 3],
      ['forebay_id_window_failures_total', 3],
    ],
  );
  t.same(
    all.map(({ name }) => name),
    FAMILIES,
  );
  t.end();
});

void t.test('what is left of workers has no window, and hides none', async (t) => {
  const { forebay } = await startForebay(t, { idWindowMs: HOUR_MS });
  const left = await startForebay(t, { idRules: [] });
  await forebay.write(eventText('a'));
  t.same(await forebay.write(eventText('a')), { duplicate: true });
  const both = withLeftovers(forebay, [left.forebay]);
  t.match(both.idUsage(), [{ source: 'events', duplicates: 1, ids: 1 }]);
  t.match(both.statistics(), { idFailures: 0, events: { accepted: 1, duplicates: 1 } });
  t.match(both.counts(), { accepted: 1, duplicates: 1 });
  const observer = new Observer({ forebay: both, door: noDoor(forebay) });
  observer.tick();
  t.equal(observer.snapshot()?.events.duplicates, 1);
  t.same(new Whole('./log', { kind: 'test' }).idUsage(), [], 'workers have none');
});
