import type { Ledger } from './ledger.js';
import type { SimulatedDisk, Surroundings } from './simulated-disk.js';
import { SimulatedDirectory } from './simulated-directory.js';
import { batchIn, isBatchFile, lettersOf, linesIn } from './surviving-log.js';

/**
 * Someone who drops dead letters now and then, file by file as the tool does: none of a batch that is still there. So
 * there is room again for batches that wait aside.
 */
export function dropLettersNowAndThen(
  around: Surroundings,
  ledger: Ledger,
  disk: SimulatedDisk,
  logDir: string,
): void {
  const { random, trace, tally } = around;
  const dir = `${logDir}/dead-letters`;
  nowAndThen(around, 'someone makes room', () => {
    const batches = new Set([...disk.tree.files(logDir).keys()].filter(isBatchFile).map(batchIn));
    for (const [name, file] of disk.tree.files(dir)) {
      if (batches.has(name.replace(/(?<=\.jsonl)\..*$/, '')) || random.chance(0.3)) continue;
      trace.add(`  dead letters are dropped: ${name}`);
      tally.count('sink', 'files of dead letters dropped');
      ledger.dropped(lettersOf(file.content()));
      disk.fs.unlink(`${dir}/${name}`, () => undefined);
    }
  });
}

/** Someone who removes batch files now and then, none that is open. Nobody can deliver what was in them. */
export function removeBatchesNowAndThen(
  around: Surroundings,
  ledger: Ledger,
  disk: SimulatedDisk,
  logDir: string,
): void {
  nowAndThen(around, 'someone removes files', () => {
    removeBatches(around, ledger, disk, logDir);
  });
}

/** Removes some batch files. */
export function removeBatches(
  { random, trace, tally }: Surroundings,
  ledger: Ledger,
  disk: SimulatedDisk,
  logDir: string,
): void {
  for (const [name, file] of disk.tree.files(logDir)) {
    if (!isBatchFile(name) || disk.hasOpen(file) || !random.chance(0.2)) continue;
    trace.add(`  someone removes ${name}`);
    tally.count('worlds', 'batch files removed');
    ledger.removed(batchIn(name), linesIn(name, file.content()));
    disk.tree.parent(`${logDir}/${name}`, 'unlink').set(name, null);
  }
}

/**
 * Someone who moves the log directory away while Forebay runs on it, at times with an empty one in its place. What was
 * in it is theirs; what is acknowledged from then on may be in a file that was open, wherever that is now.
 */
export function moveDirectory(
  { time, random, trace, tally }: Surroundings,
  ledger: Ledger,
  disk: SimulatedDisk,
  logDir: string,
): void {
  if (random.chance(0.5)) return;
  time.after(random.spread(50, 3000), 'someone moves the log directory', () => {
    const { tree } = disk;
    const moved = tree.find(logDir);
    if (moved === null) return;
    const parent = tree.parent(logDir, 'mkdir');
    const name = tree.nameOf(logDir);
    const away = `${name}.${ledger.moved.length}`;
    ledger.movedAway(`${logDir}.${ledger.moved.length}`, [...tree.files(logDir).keys()]);
    parent.set(away, moved);
    parent.set(name, random.chance(0.5) ? new SimulatedDirectory() : null);
    parent.endFlush(parent.beginFlush());
    trace.add(
      `  ${logDir} is moved away, and ${parent.names.has(name) ? 'an empty one' : 'nothing'} is there`,
    );
    tally.count('worlds', 'log directories moved away');
  });
}

/** Removes the lock file. */
export function removeLock({ trace }: Surroundings, { tree }: SimulatedDisk, logDir: string): void {
  const path = `${logDir}/forebay.lock`;
  if (tree.find(path) === null) return;
  trace.add(`  ${path} is removed`);
  tree.parent(path, 'unlink').set(tree.nameOf(path), null);
}

function nowAndThen({ time, random }: Surroundings, label: string, run: () => void): void {
  const next = (): void =>
    void time.after(random.spread(50, 5000), label, () => {
      run();
      next();
    });
  next();
}
