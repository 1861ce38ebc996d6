// Builds everything into `dist/`: what runs in Node.js, the tests, what runs in the browser, and the page's files. The
// client runs in both, so its types are also checked without those of Node.js.
import { spawnSync } from 'node:child_process';
import { copyFileSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGE = 'lib/observe/page/browser';
const CLIENT = 'lib/client';

const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const start = new Date();
for (const project of ['tsconfig.build.json', CLIENT, PAGE]) {
  const { status } = spawnSync(process.execPath, [compiler, '-p', project], { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
for (const file of ['page.html', 'page.css', 'icon.svg'])
  copyFileSync(join(ROOT, PAGE, file), join(ROOT, 'dist', PAGE, file));
// what has not changed since is as it was compiled: see test-compiled.js
const stamp = join(ROOT, 'dist/.built');
writeFileSync(stamp, '');
utimesSync(stamp, start, start);
