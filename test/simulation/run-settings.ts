import type { ForebayOptions } from '../../lib/forebay.js';
import { PIPELINE_SETTINGS } from '../../lib/settings/pipeline-settings.js';
import type { Random } from './random.js';

export type RunSettings = Omit<ForebayOptions, 'sink' | 'logger' | 'fs'>;

/** Settings for one life: small bounds, so that each of them is met. */
export function randomSettings(
  random: Random,
  logDir: string,
  fsync: RunSettings['fsync'],
  compresses: boolean,
): RunSettings {
  const settings: Record<string, unknown> = {
    logDir,
    fsync,
    batchSize: random.whole(1, 10),
    queueSize: random.whole(5, 50),
    batchWaitMs: Math.floor(random.spread(1, 1000)),
    fileEvents: random.pick([1, 1, 1, 1, 20, 5000]),
    fileBytes: random.pick([1000, '4MiB', '4MiB']),
    batchBytes: random.pick([300, 4096, 20_000, '4MiB']),
    queueBytes: random.pick([4096, 60_000, '64MiB', '64MiB']),
    sinkConcurrency: random.chance(0.85) ? 1 : 3,
    replayWaitMs: random.pick([0, 50, 30_000]),
    shutdownTimeoutMs: random.pick([0, 100, 10_000]),
  };
  const later: Record<string, () => unknown> = {
    ackTimeoutMs: () => random.pick([20, 1000, 30_000]),
    backlogBytesMax: () => random.pick([40_000, 100_000, '64MiB', '64MiB']),
  };
  if (random.chance(0.5)) settings['deadLettersBytesMax'] = random.pick([1024, 1024, 4096]);
  for (const [name, value] of Object.entries(later)) if (name in PIPELINE_SETTINGS) settings[name] = value();
  return compresses ? { ...settings, ...compressing(random) } : { ...settings, logCompress: 'off' };
}

/** Files must be larger than a block to become smaller. */
function compressing(random: Random): RunSettings {
  return {
    logCompressAfterMs: random.pick([0, 0, 0, 20, 300]),
    batchSize: 10,
    batchWaitMs: random.pick([20, 200, 1000]),
    fileEvents: random.pick([1, 20, 5000]),
    fileBytes: 4 * 1024 * 1024,
    batchBytes: 4 * 1024 * 1024,
  };
}

/** Bounds of what is kept of delivered batches: small ones, so that they are met. */
export function retaining(random: Random): RunSettings {
  const bytesMax = random.pick([4096, 16_384, 65_536]);
  return random.chance(0.5)
    ? { retainMs: random.pick([1000, 5000, 3_600_000]) }
    : { retainBytesMax: bytesMax, retainMs: 3_600_000 };
}

/** Settings that let everything out at the end of a run. */
export function plainSettings(logDir: string, compresses: boolean): RunSettings {
  const ofCompression = compresses ? { logCompressAfterMs: 0 } : { logCompress: 'off' as const };
  return { logDir, ...ofCompression, batchSize: 5, batchWaitMs: 20, replayWaitMs: 1000 };
}
