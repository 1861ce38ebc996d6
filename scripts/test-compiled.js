// Loaded before all else in the process of a test file (.taprc). If nothing has changed since the last build, the file
// runs as it was compiled, and Node.js never comes to what `tap` has it load next: hooks that ask another thread for
// each module, which take longer than most test files do.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const STAMP = join(ROOT, 'dist/.built');

/** A copy may bring an old time of its content, but never an old time of its change. */
function isBuilt() {
  if (!existsSync(STAMP)) return false;
  const builtMs = statSync(STAMP).mtimeMs;
  return ['lib', 'tools', 'bench', 'test'].every((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true }).every(
      (name) => !name.endsWith('.ts') || statSync(join(ROOT, folder, name)).ctimeMs < builtMs,
    ),
  );
}

delete process.env.NODE_OPTIONS; // what a test starts loads none of this
const compiled = join(ROOT, 'dist', relative(ROOT, process.argv[1] ?? '').replace(/\.ts$/, '.js'));
if (isMainThread && existsSync(compiled) && isBuilt()) {
  process.exitCode = 0; // not that of an import that does not end
  await import(compiled);
  await new Promise(() => {});
}
