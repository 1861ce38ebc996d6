// Builds after `npm ci`. In an install without development dependencies there is no compiler, and the package
// already carries its `dist/`; then there is nothing to do.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

let compiler;
try {
  compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
} catch {
  console.log('forebay: typescript is not installed, nothing built');
  process.exit(0);
}
process.exit(
  spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { stdio: 'inherit' }).status ?? 1,
);
