import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import split from 'split2';
import { ServerProcess } from '../helpers/server-process.js';
import { Authority, noOpenssl, PairFiles } from '../helpers/certificates.js';
import { runFlags } from '../helpers/run-flags.js';
import { randomSeed } from '../simulation/random.js';
import type { Kind } from './attack.js';
import { KINDS } from './kinds.js';
import { SECRET, sourceFlags } from './kinds/senders.js';
import { attackRound, inMb } from './round.js';
import type { Round } from './round.js';

/** How many faults of a kind are printed, unless it is asked for. */
const FAULTS_SHOWN = 6;

const names = KINDS.map(({ name }) => name);
const USAGE = `npm run hostile -- [--seed N] [--only NAME] [--list]   (NAME: one of ${names.join(', ')}; may be given more than once)`;

const { flags, refuse } = runFlags(USAGE, { string: ['seed', 'only'], boolean: ['list'] });
const seed = Number(flags['seed'] ?? process.env['FOREBAY_TEST_SEED'] ?? randomSeed());
const only = [flags['only'] ?? []].flat().map(String);
if (!Number.isInteger(seed) || only.some((each) => !names.includes(each))) refuse();
if (flags['list'] === true) {
  for (const { name, about } of KINDS) console.log(`${name.padEnd(20)} ${about}`);
  process.exit(0);
}
const dir = mkdtempSync(join(tmpdir(), 'forebay-hostile-'));
const sinkFile = join(dir, 'sink.jsonl');
const secretFile = join(dir, 'github.secret');
writeFileSync(secretFile, `${SECRET}\n`);
const sinkFlags = ['--log-dir', join(dir, 'log'), '--sink', 'file', '--sink-file', sinkFile];
const serverFlags = [...sinkFlags, ...sourceFlags(secretFile)];
console.log(`A server with default settings, an honest client, and strangers (seed ${seed})\n`);
console.log(lineOf('kind', 'sent', 'memory', 'honest', 'answers'));
const rounds: Round[] = [];
const failed = new Set<string>();
const scope = { teardown: (end: () => unknown) => process.once('exit', () => void end()) };
const tlsFlags = noOpenssl === false ? new PairFiles(scope, new Authority(scope).issue()).flags : null;
if (tlsFlags === null) console.log(`${noOpenssl}: kinds with TLS are left out`);
const kinds = KINDS.filter(
  ({ name, isTls = false }) => (only.length === 0 || only.includes(name)) && (!isTls || tlsFlags !== null),
);
for (const kind of kinds) {
  const round = await attackWith(kind, 1);
  if (round.faults.length === 0) continue;
  // that may be nobody's fault: what the server is to blame for comes again
  if (round.isNear) console.log('  AGAIN, as nothing else is wrong:');
  if (!round.isNear || (await attackWith(kind, 2)).faults.length > 0) failed.add(kind.name);
}

const stored = await idsInTheSink();
const lost = rounds.map(({ name, acknowledged, never }) => ({
  name,
  missing: acknowledged.filter((id) => !stored.has(id)),
  wrong: [...never].filter((id) => stored.has(id)),
}));
const promised = rounds.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0);
console.log(
  `\n${promised} events of the honest client were acknowledged; not delivered: ${lost.flatMap(({ missing }) => missing).length}`,
);
for (const { name, missing, wrong } of lost) {
  if (missing.length > 0)
    console.log(`  FAILS: ${name}: acknowledged and lost: ${missing.slice(0, 5).join(' ')}`);
  if (wrong.length > 0)
    console.log(`  FAILS: ${name}: stored, and not answered with 202: ${wrong.slice(0, 5).join(' ')}`);
  if (missing.length + wrong.length > 0) failed.add(name);
}
if (lost.every(({ missing, wrong }) => missing.length + wrong.length === 0)) rmSync(dir, { recursive: true });
else console.log(`the files are left in ${dir}`);
const seconds = Math.round(performance.now() / 1000);
console.log(
  failed.size === 0
    ? `All ${kinds.length} kinds hold (${seconds} s).`
    : `${failed.size} of ${kinds.length} kinds fail (${seconds} s): ${[...failed].join(', ')}`,
);
process.exit(failed.size === 0 ? 0 : 1);

/** Attacks a server of its own, and prints what came of it. */
async function attackWith(kind: Kind, run: number): Promise<Round> {
  const all = kind.isTls === true ? [...serverFlags, ...(tlsFlags ?? [])] : serverFlags;
  const round = await attackRound(kind, all, seed ^ hash(kind.name), run);
  rounds.push(round);
  const { name, bytes, growth, waitMs, refusals, answers, faults } = round;
  const honest = `${Math.round(waitMs)} ms${refusals > 0 ? ` (refused ${refusals} times)` : ''}`;
  const told = [...answers].map(([answer, count]) => `${answer}×${count}`).join(' ');
  console.log(lineOf(name, inMb(bytes), `+${inMb(growth)}`, honest, told));
  const shown = only.length > 0 ? faults : faults.slice(0, FAULTS_SHOWN);
  for (const fault of shown) console.log(`  FAILS: ${fault}`);
  if (faults.length > shown.length)
    console.log(`  and ${faults.length - shown.length} more: --only ${name} shows all`);
  return round;
}

/** One more start delivers what is left. */
async function idsInTheSink(): Promise<ReadonlySet<string>> {
  const last = await ServerProcess.start(...serverFlags, '--replay-wait', '600000');
  await last.stop('SIGTERM');
  const ids = new Set<string>();
  const lines = createReadStream(sinkFile).pipe(split());
  lines.on('data', (line: string) => {
    const id = /^\{"id":"([^"]*)"/.exec(line)?.[1];
    if (id !== undefined) ids.add(id);
  });
  await once(lines, 'end');
  return ids;
}

function lineOf(name: string, sent: string, memory: string, honest: string, answers: string): string {
  return [name.padEnd(20), sent.padStart(8), memory.padStart(9), honest.padStart(9), ` ${answers}`].join(
    '  ',
  );
}

/** Each kind has random numbers of its own: it does the same alone. */
function hash(name: string): number {
  return crc32(name);
}
