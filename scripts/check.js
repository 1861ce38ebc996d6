// Builds with the tests, lints and looks at the format, all at the same time: `npm run check`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const { resolve } = createRequire(import.meta.url);

const COMMANDS = [
  [join(ROOT, 'scripts/build.js'), 'tests'],
  [join(ROOT, 'node_modules/oxlint/bin/oxlint'), '--type-aware'],
  [join(resolve('prettier/package.json'), '../bin/prettier.cjs'), '--check', '.'],
];

const codes = await Promise.all(
  COMMANDS.map(async (command) => {
    const child = spawn(process.execPath, command, { cwd: ROOT, stdio: 'inherit' });
    const [code] = await once(child, 'close');
    return code;
  }),
);
process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
