import { execFileSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { contest, contestRows, rateRatios } from './contest.js';
import type { Side } from './contest.js';
import { ROOT } from './paths.js';
import { requirement } from './requirement.js';
import { forebay } from './server-under-test.js';
import type { Flags } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { singleEvents, webhooks } from './wrk.js';
import type { Load } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;

interface Way {
  readonly name: string;
  readonly flags: Flags;
  readonly load: () => Load;
  /** The least share of the rate of plain events. */
  readonly rateLeast?: number;
}

/** What it costs to know who sends: a key, TLS, a signed webhook, beside plain events; all with `--fsync never`. */
export async function sources(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  const ways = [plain, key, tls, github].map((way) => way(bench.dir));
  const servers = await bench.start(
    ways.map(({ flags }, index) =>
      forebay(join(bench.dir, `sources-${index}`), { fsync: 'never', ...flags }),
    ),
  );
  const sides = servers.map((server, index): Side => {
    const { name, load } = ways[index] ?? plain();
    return { name, server, newLoad: load };
  });
  const [base, ...others] = await contest(sides, plain().load, rounds, seconds, bench.signal);
  if (base === undefined) throw new Error('plain events are missing');
  const what = `one event of ${EVENT_BYTES} bytes a request, ${CONNECTIONS} connections, --fsync never`;
  console.log(`\nsources: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  console.log(`${table(contestRows([base, ...others], base))}\n`);
  for (const [index, contestant] of others.entries()) {
    const { rateLeast } = ways[index + 1] ?? {};
    if (rateLeast === undefined) continue;
    console.log(requirement(`${contestant.name}, rate`, rateRatios(contestant, base), { least: rateLeast }));
  }
}

function plain(): Way {
  return { name: 'plain', flags: {}, load: () => singleEvents(CONNECTIONS, EVENT_BYTES) };
}

function key(dir: string): Way {
  const file = join(dir, 'keys.jsonl');
  const made = execFileSync(process.execPath, [
    join(ROOT, 'bin/keys.js'),
    'add',
    'bench',
    '--keys-file',
    file,
  ]);
  const header = `Authorization: Bearer ${made.toString().trim()}`;
  const load = (): Load => singleEvents(CONNECTIONS, EVENT_BYTES, [header]);
  return { name: 'with a key', flags: { 'keys-file': file }, load, rateLeast: 0.97 };
}

function tls(dir: string): Way {
  const [cert, privateKey] = [join(dir, 'tls.crt'), join(dir, 'tls.key')];
  const args =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost';
  execFileSync('openssl', [...args.split(' '), '-keyout', privateKey, '-out', cert], { stdio: 'ignore' });
  const load = (): Load => ({ ...singleEvents(CONNECTIONS, EVENT_BYTES), isTls: true });
  return { name: 'over TLS', flags: { 'tls-cert': cert, 'tls-key': privateKey, 'admin-port': 0 }, load };
}

function github(dir: string): Way {
  const secret = randomBytes(20).toString('hex');
  const file = join(dir, 'github.secret');
  writeFileSync(file, `${secret}\n`);
  const start = '{"action":"opened","issue":{"number":1347,"title":"leave it at the door"},"note":"';
  const body = `${start}${'x'.repeat(EVENT_BYTES - start.length - 2)}"}`;
  const headers = [
    'Content-Type: application/json',
    'X-GitHub-Event: issues',
    'X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-0000000000',
    `X-Hub-Signature-256: sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
  ];
  const load = (): Load => webhooks(CONNECTIONS, '/in/github', body, headers);
  return {
    name: 'GitHub webhook, signed',
    flags: { source: `github=/in/github,secret-file=${file}` },
    load,
  };
}
