// Builds after `npm ci`. In an install without development dependencies there is no compiler, and the package
// already carries its `dist/`; then there is nothing to do.
import { createRequire } from 'node:module';

let hasCompiler = true;
try {
  createRequire(import.meta.url).resolve('typescript/bin/tsc');
} catch {
  hasCompiler = false;
  console.log('forebay: typescript is not installed, nothing built');
}
if (hasCompiler) await import('./build.js');
