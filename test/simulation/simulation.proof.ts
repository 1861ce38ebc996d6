import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { SEED } from '../helpers/seed.js';

/** Enough that each kind of fault of the disk is met. */
const CUTS = 2500;

/** `npm run simulate`, as `npm test` has built it. */
async function simulate(...flags: string[]): Promise<{ code: number | null; output: string }> {
  // by itself, not under the coverage of the test runner: that takes four times as long
  const env = { PATH: process.env['PATH'] };
  const child = spawn(process.execPath, ['dist/test/simulation/run.js', ...flags], { env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

void t.test(`no promise is broken at ${CUTS} power cuts`, { timeout: 600_000 }, async (t) => {
  const { code, output } = await simulate('--cuts', String(CUTS), '--from', String(SEED));
  t.comment(output);
  t.equal(code, 0, output.slice(-2000));
  t.ok(Number(/(\d+) {2}power cuts/.exec(output)?.[1]) >= CUTS);
});

void t.test('the same seed is the same run to the last step, in another process', async (t) => {
  const traceOf = async (seed: string): Promise<string | undefined> =>
    /Trace of the last seed \(\d+\): (\w+)/.exec((await simulate('--seed', seed)).output)?.[1];
  for (const seed of ['11', '12']) {
    const trace = await traceOf(seed);
    t.match(trace, /^\w{16}$/);
    t.equal(await traceOf(seed), trace);
  }
  t.not(await traceOf('11'), await traceOf('12'));
});
