import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What ends what was opened for it: a test, or a program. */
export interface Scope {
  teardown(end: () => unknown): void;
}

/** A new folder that goes with the test. */
export function tempDir(t: Scope): string {
  const dir = mkdtempSync(join(tmpdir(), 'forebay-test-'));
  t.teardown(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}
