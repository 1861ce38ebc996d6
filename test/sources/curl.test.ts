import { execFile } from 'node:child_process';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { SOURCE_KINDS } from '../../lib/sources/registry.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';
import { SECRET } from '../helpers/webhook-senders.js';

const run = promisify(execFile);

void t.test('the command that --help shows for each kind of source works in a shell', async (t) => {
  const dir = tempDir(t);
  const flags = SOURCE_KINDS.flatMap(({ name, flag }) => {
    writeFileSync(join(dir, `${name}.secret`), `${SECRET}\n`);
    return (flag?.split(' ') ?? []).map((word) =>
      word.replace('secret-file=', `id-window=0,secret-file=${dir}/`),
    );
  });
  const out = join(dir, 'out');
  const server = await ServerProcess.startInto(openSync(out, 'w'), '--log-dir', join(dir, 'log'), ...flags);
  t.teardown(async () => server.stop('SIGKILL'));
  const help = await run(process.execPath, ['bin/server.js', '--help']);
  const lines = (): string[] =>
    readFileSync(out, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  for (const [index, { name, flag, curl }] of SOURCE_KINDS.entries()) {
    for (const line of [flag ?? [], curl].flat()) t.ok(help.stdout.includes(`    ${line}\n`), line);
    const command = curl.replace('localhost:8081', `localhost:${server.port}`);
    for (const shell of ['sh', 'bash']) {
      const { stdout } = await run(shell, ['-c', `${command} -sS`], { cwd: dir });
      t.equal(stdout, name === 'slack' ? '' : '{"status":"accepted"}\n', `${shell}: ${curl}`);
    }
    await until(() => lines().length === 2 * (index + 1), `the sink gets what ${name} sent`);
    const { source = 'events' } = JSON.parse(lines().at(-1) ?? '') as { source?: string };
    t.equal(source, name === 'cloudevents' ? '/shop' : name); // it has a source of its own
  }
});
