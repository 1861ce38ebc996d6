// Builds with the tests, lints and looks at the format, all at the same time: `npm run check`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const { resolve } = createRequire(import.meta.url);

const PRETTIER = join(resolve('prettier/package.json'), '../bin/prettier.cjs');
// what has not changed since it was found well is not looked at again
const CACHE = ['--cache', '--cache-strategy=content', '--cache-location=dist/.prettier'];
const COMMANDS = [
  [join(ROOT, 'scripts/build.js')],
  [join(ROOT, 'node_modules/oxlint/bin/oxlint'), '--type-aware'],
  [PRETTIER, '--check', '.', ...CACHE],
];

const codes = await Promise.all(
  COMMANDS.map(async (command) => {
    const child = spawn(process.execPath, command, { cwd: ROOT, stdio: 'inherit' });
    const [code] = await once(child, 'close');
    return code;
  }),
);
process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
