import type { Ledger } from './ledger.js';
import type { SimulatedDisk, Surroundings } from './simulated-disk.js';
import { isBatchFile, lettersOf } from './surviving-log.js';

/**
 * Someone who drops dead letters now and then, file by file as the tool does: none of a batch that is still there. So
 * there is room again for batches that wait aside.
 */
export function dropLettersNowAndThen(
  { time, random, trace, tally }: Surroundings,
  ledger: Ledger,
  disk: SimulatedDisk,
  logDir: string,
): void {
  const dir = `${logDir}/dead-letters`;
  const drop = (): void => {
    const batches = new Set([...disk.tree.files(logDir).keys()].filter(isBatchFile));
    for (const [name, file] of disk.tree.files(dir)) {
      if (batches.has(name.replace(/\.\d+$/, '')) || random.chance(0.3)) continue;
      trace.add(`  dead letters are dropped: ${name}`);
      tally.count('sink', 'files of dead letters dropped');
      ledger.dropped(lettersOf(file.content()));
      disk.fs.unlink(`${dir}/${name}`, () => undefined);
    }
    next();
  };
  const next = (): void => void time.after(random.spread(50, 5000), 'someone makes room', drop);
  next();
}
