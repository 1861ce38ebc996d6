import { METHODS } from './disk-faults.js';
import type { SimulatedDisk, Surroundings } from './simulated-disk.js';

type Plan = (disk: SimulatedDisk, around: Surroundings) => void;

const nothing: Plan = () => undefined;

const PLANS: readonly Plan[] = [
  nothing,
  nothing,
  nothing,
  function aLittleOfEverything({ faults }) {
    for (const method of METHODS) faults.rates[method] = 0.02;
    faults.short = 0.1;
  },
  function muchOfEverything({ faults }) {
    for (const method of METHODS) faults.rates[method] = 0.1;
    faults.short = 0.3;
  },
  function oneKindOfCall({ faults }, { random }) {
    const method = random.pick(METHODS.filter((each) => each !== 'rename'));
    const rate = random.spread(0.05, 0.9);
    faults.rates[method] = rate;
    // came later: drawn with another, so that the faults of a seed are otherwise the same as before
    if (method === 'unlink') faults.rates.rename = rate;
  },
  function flushes({ faults }, { random }) {
    faults.rates.fdatasync = random.spread(0.05, 0.6);
    if (random.chance(0.5)) faults.rates.fsync = random.spread(0.02, 0.5);
    if (random.chance(0.3)) faults.rates.ftruncate = 0.5;
  },
  function directoryFlushes({ faults }, { random }) {
    faults.rates.fsync = random.spread(0.05, 0.9);
  },
  function writes({ faults }, { random }) {
    faults.rates.write = random.spread(0.05, 0.6);
    faults.short = 0.2;
    if (random.chance(0.3)) faults.rates.ftruncate = 0.5;
  },
  function reads({ faults }, { random }) {
    faults.rates.read = random.spread(0.1, 0.9);
    faults.short = 0.3;
  },
  function fullForAWhile({ faults }, { time, random }) {
    faults.fullUntilMs = time.nowMs + random.spread(5, 5000);
  },
  function hangsForAWhile({ faults }, { time, random }) {
    faults.hungUntilMs = time.nowMs + random.spread(5, 60_000);
  },
];

/** Lets things go wrong on a disk, from the start or from some moment on, for a while or for good. */
export function planFaults(disk: SimulatedDisk, around: Surroundings): void {
  const { time, random } = around;
  const plan = random.pick(PLANS);
  const begin = (): void => {
    plan(disk, around);
    if (!random.chance(0.5)) return;
    time.after(random.spread(1, 3000), 'the faults end', () => {
      disk.faults.clear();
      if (random.chance(0.3)) time.after(random.spread(1, 1000), 'faults begin again', begin);
    });
  };
  if (random.chance(0.4)) begin();
  else time.after(random.spread(0.1, 500), 'faults begin', begin);
}
