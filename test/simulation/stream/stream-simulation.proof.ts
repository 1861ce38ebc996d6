import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { SEED } from '../../helpers/seed.js';

const CUTS = 150;

/** `npm run simulate -- --stream`, as `npm test` has built it. */
async function simulate(...flags: string[]): Promise<{ code: number | null; output: string }> {
  // by itself, not under the coverage of the test runner
  const env = { PATH: process.env['PATH'] };
  const args = ['dist/test/simulation/run.js', '--stream', ...flags];
  const child = spawn(process.execPath, args, { env });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

t.setTimeout(200_000);

const claim = `no promise is broken at ${CUTS} kills and freezes of instances that share a stream`;
void t.test(claim, { timeout: 150_000 }, async (t) => {
  const { code, output } = await simulate('--cuts', String(CUTS), '--from', String(SEED));
  t.comment(output);
  t.equal(code, 0, output.slice(-2000));
  const timesOf = (what: string): number => Number(new RegExp(`(\\d+) {2}${what}\n`).exec(output)?.[1] ?? 0);
  t.ok(timesOf('kills') + timesOf('freezes') >= CUTS);
});

void t.test('the same seed is the same run to the last step, in another process', async (t) => {
  const traceOf = async (seed: string): Promise<string | undefined> =>
    /Trace of the last seed \(\d+\): (\w+)/.exec((await simulate('--seed', seed)).output)?.[1];
  const trace = await traceOf('11');
  t.match(trace, /^\w{16}$/);
  t.equal(await traceOf('11'), trace);
  t.not(await traceOf('12'), trace);
});
