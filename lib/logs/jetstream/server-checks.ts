import { asError, ForebayError } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';

/** Below this a server may lose a stream, or delete what it was to refuse (nats-server 2.10.20 to 2.10.22, and before 2.10.11). */
const LEAST = [2, 10, 23] as const;
/** From this on it flushes once for each entry of its replication log, not once for each message. */
const FAST = [2, 15, 0] as const;
/** From this on messages can be stored together or not at all, also when a leader goes. */
const LEAST_FOR_IDS = [2, 12, 2] as const;
const MONITOR_MS = 3000;

/** @throws ForebayError `LOG_UNUSABLE` */
export function checkVersion(version: string, reporter: Reporter): void {
  if (isBelow(version, LEAST)) {
    const message = `The NATS server is version ${version}, which can lose events: at least ${LEAST.join('.')} is needed`;
    throw new ForebayError('LOG_UNUSABLE', { message });
  }
  if (isBelow(version, FAST))
    reporter.warn(
      'LOG_WEAK',
      `The NATS server is version ${version}: flushing is slow below ${FAST.join('.')}`,
    );
}

/** @throws ForebayError `LOG_UNUSABLE` */
export function checkVersionForIds(version: string): void {
  if (!isBelow(version, LEAST_FOR_IDS)) return;
  const message = `The NATS server is version ${version}: an id window needs at least ${LEAST_FOR_IDS.join('.')} (--id-window 0, or "id-window": "0" of the source, is none)`;
  throw new ForebayError('LOG_UNUSABLE', { message });
}

/** Says so if the servers may acknowledge what is not on a disk, as far as that can be found out. */
export async function checkFlushing(monitors: readonly string[] | null, reporter: Reporter): Promise<void> {
  if (monitors === null) {
    reporter.warn(
      'LOG_WEAK',
      'Nobody knows whether the NATS servers flush before they answer: --log-monitor-url finds out (sync_interval: always)',
    );
    return;
  }
  for (const monitor of monitors) {
    const problem = await flushingProblem(monitor);
    if (problem !== null) reporter.warn('LOG_WEAK', `${monitor}: ${problem}`);
  }
}

async function flushingProblem(monitor: string): Promise<string | null> {
  try {
    const answer = await fetch(new URL('jsz', monitor), { signal: AbortSignal.timeout(MONITOR_MS) });
    const { config } = (await answer.json()) as {
      config?: { sync_always?: boolean; sync_interval?: number };
    };
    if (config?.sync_always === true) return null;
    const ofConfig = config?.sync_interval === undefined ? 'unknown' : `${config.sync_interval / 1e9} s`;
    return `the server flushes at intervals (${ofConfig}): a power cut on more than half of the servers loses events; set sync_interval: always`;
  } catch (error) {
    return `whether the server flushes before it answers cannot be found out: ${asError(error).message}`;
  }
}

function isBelow(version: string, least: readonly number[]): boolean {
  const parts = version.split(/[.-]/).map(Number);
  for (const [index, want] of least.entries()) {
    const have = parts[index] ?? 0;
    if (have !== want) return have < want;
  }
  return false;
}
