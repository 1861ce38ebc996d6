import { spawnSync } from 'node:child_process';
import t from 'tap';

const COMMANDS = [
  'chaos',
  'cluster-chaos',
  'crash',
  'demos',
  'deploy',
  'differential',
  'hostile',
  'simulation',
];

for (const name of COMMANDS)
  void t.test(`${name}: a word that it does not know is refused with its usage`, async (t) => {
    for (const word of ['--round', 'rounds']) {
      const run = spawnSync(process.execPath, [`dist/test/${name}/run.js`, word, '1'], { encoding: 'utf8' });
      t.match(run, { status: 2, stdout: '', stderr: /^npm run [a-z-]+/ });
    }
    return Promise.resolve();
  });
