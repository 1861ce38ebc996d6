// Builds everything into `dist/`: what runs in Node.js, what runs in the browser, and the page's files as they are.
// With `tests`: the tests as well.
import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGE = 'lib/observe/page/browser';

const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const main = process.argv[2] === 'tests' ? 'tsconfig.tests.json' : 'tsconfig.build.json';
for (const project of [main, PAGE]) {
  const { status } = spawnSync(process.execPath, [compiler, '-p', project], { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
for (const file of ['page.html', 'page.css', 'icon.svg'])
  copyFileSync(join(ROOT, PAGE, file), join(ROOT, 'dist', PAGE, file));
