import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import pLimit from 'p-limit';
import t from 'tap';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { COMPRESSION_MUTANTS } from './compression-mutants.js';
import { MUTANTS } from './mutants.js';
import { RETENTION_MUTANTS } from './retention-mutants.js';
import { STREAM_MUTANTS } from './stream-mutants.js';
import type { Edit } from './mutants.js';
import type { Oddity } from '../worlds.js';

const CUTS = 2000;
/** Kills and freezes of instances that share a stream: each takes longer. */
const STREAM_CUTS = 300;
const REPORT_CHARS = 2000;

/** The build of lib/ and of the simulation, with the edits, by itself in a temporary folder. */
function mutatedCopy(edits: readonly Edit[]): string {
  const dir = mkdtempSync(join(tmpdir(), 'forebay-mutant-'));
  for (const part of ['dist/lib', 'dist/test/simulation', 'dist/test/helpers/run-flags.js'])
    cpSync(part, join(dir, part), { recursive: true });
  symlinkSync(resolve('node_modules'), join(dir, 'node_modules'));
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
  const changed = new Map<string, string>();
  for (const { file, find, replace } of edits) {
    const parts = (changed.get(file) ?? readFileSync(file, 'utf8')).split(find);
    if (parts.length !== 2) throw new Error(`stands ${parts.length - 1} times in ${file}: ${find}`);
    changed.set(file, parts.join(replace));
  }
  for (const [file, source] of changed) {
    const { outputText } = transpileModule(source, {
      compilerOptions: { module: ModuleKind.ESNext, target: ScriptTarget.ES2023 },
    });
    writeFileSync(join(dir, 'dist', file.replace(/ts$/, 'js')), outputText);
  }
  return dir;
}

/** Flags for worlds of which this is odd, and nothing else. */
function only(worlds: readonly Oddity[]): string[] {
  return ['--only', ...worlds.flatMap((world) => ['--world', world])];
}

/** `npm run simulate` in such a copy. */
async function simulate(
  edits: readonly Edit[],
  cuts: number,
  from: number,
  ...more: string[]
): Promise<{ code: number | null; output: string }> {
  const dir = mutatedCopy(edits);
  try {
    const flags = ['--cuts', String(cuts), '--from', String(from), ...more];
    // by itself, not under the coverage of the test runner
    const env = { PATH: process.env['PATH'] };
    const child = spawn(process.execPath, [join(dir, 'dist/test/simulation/run.js'), ...flags], { env });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const limit = pLimit(availableParallelism());

t.jobs = availableParallelism();
// more than another file: each mutant alone is a run of the simulation
t.setTimeout(900_000);

for (const [cuts, flags] of [
  [CUTS / 4, []],
  [STREAM_CUTS / 4, ['--stream']],
] as const)
  void t.test(
    `without a fault such a copy breaks no promise ${flags.join(' ')}`,
    { timeout: 240_000 },
    async (t) => {
      const { code, output } = await limit(() => simulate([], cuts, 1, ...flags));
      t.equal(code, 0, output.slice(-REPORT_CHARS));
    },
  );

const runs = [
  ...[...MUTANTS, ...COMPRESSION_MUTANTS, ...RETENTION_MUTANTS].map((mutant) => ({
    ...mutant,
    cuts: CUTS,
    unit: 'power cuts',
    flags: only(mutant.worlds ?? []),
  })),
  ...STREAM_MUTANTS.map((mutant) => ({
    ...mutant,
    cuts: STREAM_CUTS,
    unit: 'kills and freezes',
    flags: ['--stream'],
  })),
];

for (const { name, breaks, edits, violates, from = 1, cuts, unit, flags } of runs) {
  void t.test(
    `(${breaks}) a copy that ${name} is found within ${cuts} ${unit}`,
    { timeout: 240_000 },
    async (t) => {
      const { code, output } = await limit(() => simulate(edits, cuts, from, ...flags));
      t.equal(code, 1, output.slice(-REPORT_CHARS));
      const violation = /^VIOLATED: .*$/m.exec(output)?.[0] ?? 'nothing violated';
      t.comment(violation.slice(0, 200));
      t.match(violation, violates);
    },
  );
}
