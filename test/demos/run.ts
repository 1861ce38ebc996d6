import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runFlags } from '../helpers/run-flags.js';
import { crashDemo, floodDemo } from './demos.js';
import { Program } from './program.js';

runFlags('npm run demos', {});
const show = (line: string): void => {
  console.log(line);
};
for (const [title, demo] of [
  ['90 seconds of crash recovery', crashDemo],
  ['Backpressure', floodDemo],
] as const) {
  const dir = mkdtempSync(join(tmpdir(), 'forebay-demo-'));
  show(`\n=== ${title}\n`);
  try {
    await demo({ dir, show });
    rmSync(dir, { recursive: true });
  } catch (error) {
    await Program.endAll();
    console.error(`\nNOT AS IT SHOULD BE: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  }
}
show('\nBoth demos are as they should be.');
process.exit(0);
