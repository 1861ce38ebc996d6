import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { metricsRoute } from '../../lib/observe/metrics/metrics-route.js';
import { madeKey, openKeys } from '../helpers/keys-file.js';
import { noPromtool, promtool } from '../helpers/promtool.js';
import type { Sample } from '../../lib/observe/metrics/family.js';
import { replicaFamilies } from '../../lib/observe/metrics/replica-families.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import { startForebay } from '../helpers/running-forebay.js';
import { scrape } from '../helpers/scrape.js';
import type { Scrape } from '../helpers/scrape.js';
import { tempDir } from '../helpers/temp-dir.js';

/** A dashboard of Grafana, as far as it asks for anything. */
interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly type: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets?: readonly { readonly expr: string }[];
  }[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}

const dashboard = JSON.parse(readFileSync('docs/grafana/forebay.json', 'utf8')) as Dashboard;
const queries = [
  ...dashboard.panels.flatMap(({ targets = [] }) => targets),
  ...dashboard.annotations.list,
].map(({ expr }) => expr);
const rules = readFileSync('docs/prometheus/forebay.rules.yml', 'utf8');
const operating = readFileSync('docs/operating.md', 'utf8');

/** The samples of a replicated log by metric: the log of these tests is in files. */
const replicated = new Map(
  replicaFamilies({
    replicas: {
      stream: 'forebay-events',
      replicas: 3,
      servers: [{ name: 'n1', isLeader: true, isCurrent: true, lag: 0, silentMs: 0 }],
      handedOut: 0,
      redelivered: 0,
    },
    doubtful: 0,
  }).map(({ name, samples }) => [name, Array.isArray(samples) ? (samples as readonly Sample[]) : []]),
);

async function served(t: Test): Promise<Scrape> {
  const { forebay } = await startForebay(t, { idWindowMs: 3_600_000 }); // or its metrics would not be there
  const { keys } = openKeys(t, [madeKey('meter').line]); // nor those of keys
  const tracer = {
    counts: { sent: 1, lost: 0 },
    accept: () => null,
    deliver: () => null,
    close: async () => undefined,
  };
  const server = new IngestionServer({ forebay, keys, port: 0, tracer }); // nor those of spans
  await server.start();
  t.teardown(() => server.stop(0));
  server.addRoutes([['/metrics', metricsRoute({ forebay, door: server, sharedMs: 0 })]]);
  return scrape(server.port);
}

/** The names of metrics in a query or a text. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/\b(?:forebay|process|nodejs)_[a-z_]+\b/g)].map(([name]) => name);
}

void t.test('the dashboard asks only for what is served, and for all of it', async (t) => {
  const { sampleNames, families } = await served(t);
  t.ok(queries.length > 40);
  const asked = new Set(queries.flatMap(namesIn));
  for (const name of asked) t.ok(sampleNames.has(name), name);
  for (const [name, { type }] of families) {
    t.ok(asked.has(type === 'histogram' ? `${name}_bucket` : name), `${name} is shown`);
  }
});

void t.test('no panel of the dashboard lies on another', (t) => {
  const taken = new Set<string>();
  for (const { title, gridPos } of dashboard.panels) {
    t.ok(gridPos.x + gridPos.w <= 24, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        if (taken.has(`${x} ${y}`)) t.fail(title);
        taken.add(`${x} ${y}`);
      }
    }
  }
  t.end();
});

void t.test('Prometheus can read every query of the dashboard', { skip: noPromtool() }, (t) => {
  const plain = queries.map((query) =>
    query.replaceAll('$__rate_interval', '1m').replaceAll(/\$(\w+)/g, '$1'),
  );
  const records = plain.map((expr, index) => ({ record: `query:${index}`, expr }));
  const path = join(tempDir(t), 'queries.json');
  writeFileSync(path, JSON.stringify({ groups: [{ name: 'dashboard', rules: records }] }));
  const { status, said } = promtool(['check', 'rules', path]);
  t.equal(status, 0, said);
  t.end();
});

void t.test('alerts ask only for what is served, and name nothing else', async (t) => {
  const { sampleNames, families } = await served(t);
  const asked = namesIn(rules);
  t.ok(asked.length > 20);
  for (const name of asked) t.ok(sampleNames.has(name) || families.has(name), name);
});

void t.test('docs/operating.md explains every metric with its labels, and no other', async (t) => {
  const { families } = await served(t);
  const rows = [...operating.matchAll(/^\| `([a-z_]+)` +\| ([^|]*)\| /gm)];
  t.same(new Set(rows.map(([, name]) => name)), new Set(families.keys()));
  t.equal(rows.length, families.size);
  for (const [, name = '', labels = ''] of rows) {
    const family = families.get(name);
    const samples = [...(family?.samples ?? []), ...(replicated.get(name) ?? [])];
    const seen = new Set(samples.flatMap((sample) => Object.keys(sample.labels ?? {})));
    seen.delete('le');
    t.same(new Set([...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label)), seen, name);
  }
  for (const name of namesIn(operating)) t.ok(families.has(name), name);
});

void t.test('the configuration of Prometheus in docs/operating.md is one', { skip: noPromtool() }, (t) => {
  const dir = tempDir(t);
  const text = /```yaml\n(# prometheus\.yml\n[^]*?)```/.exec(operating)?.[1] ?? '';
  writeFileSync(join(dir, 'prometheus.yml'), text);
  writeFileSync(join(dir, 'forebay.rules.yml'), rules);
  const { status, said } = promtool(['check', 'config', join(dir, 'prometheus.yml')]);
  t.equal(status, 0, said);
  t.match(said, 'rules found');
  t.end();
});

const noSystemd =
  spawnSync('systemd-analyze', ['--version']).error === undefined ? false : 'no systemd-analyze';

void t.test('systemd takes the unit', { skip: noSystemd }, (t) => {
  // what stands in /opt on the machine of an operator does not stand here
  const unit = readFileSync('docs/forebay.service', 'utf8');
  const path = join(tempDir(t), 'forebay.service');
  writeFileSync(path, unit.replaceAll('/usr/bin/node', process.execPath).replace(/^Documentation=.*\n/m, ''));
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], {
    encoding: 'utf8',
  });
  const said = (stdout + stderr).split('\n').filter((line) => line.includes('forebay'));
  t.same(said, []);
  t.equal(status, 0, stderr);
  t.end();
});
