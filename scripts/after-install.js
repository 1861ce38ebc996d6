// Builds after `npm ci`. Without development dependencies there is no compiler: then what is built must be there already.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

let hasCompiler = true;
try {
  createRequire(import.meta.url).resolve('typescript/bin/tsc');
} catch {
  hasCompiler = false;
}
if (hasCompiler) await import('./build.js');
else if (!existsSync(new URL('../dist/lib/index.js', import.meta.url))) {
  console.error(`forebay is not built, and cannot be: the compiler is a development dependency.
Run "npm ci", and "npm prune --omit=dev" after it; or install the package that "npm pack" makes.`);
  process.exitCode = 1;
}
