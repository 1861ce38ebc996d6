import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './paths.js';
import type { ServerUnderTest } from './server-under-test.js';

const execute = promisify(execFile);

/** Connections that wrk keeps busy, each with one request at a time. */
export const CONNECTIONS = 64;

export interface WrkRun {
  /** Requests that were answered, all of them with 2xx. */
  readonly answered: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The line that `post-events.lua` prints at the end. */
interface ResultLine {
  readonly requests: number;
  readonly durationUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly errors: Readonly<Record<'connect' | 'read' | 'write' | 'status' | 'timeout', number>>;
}

/** @throws if wrk is not installed */
export async function requireWrk(): Promise<void> {
  try {
    await execute('wrk', ['--version']);
  } catch (error) {
    // wrk exits with 1 after it has printed its version
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return;
    throw new Error(
      'wrk is not on the PATH. Debian and Ubuntu: apt-get install wrk; macOS: brew install wrk; ' +
        'source: https://github.com/wg/wrk',
      { cause: error },
    );
  }
}

/**
 * Single events from one thread of wrk, for so many seconds.
 *
 * @throws if any request failed: by its connection, by time, or by a status that is not 2xx
 */
export async function runWrk(server: ServerUnderTest, seconds: number, signal: AbortSignal): Promise<WrkRun> {
  const url = `http://127.0.0.1:${server.port}/events`;
  const runId = randomBytes(6).toString('hex'); // each run has ids of its own
  const { stdout } = await execute(
    'wrk',
    `-t1 -c${CONNECTIONS} -d${seconds}s --latency -s`
      .split(' ')
      .concat(join(ROOT, 'bench/post-events.lua'), url, '--', runId),
    { signal },
  );
  const line = /^result (.*)$/m.exec(stdout)?.[1];
  if (line === undefined) throw new Error(`${server.name}: no result from wrk:\n${stdout}`);
  const { requests, durationUs, p50Us, p99Us, errors } = JSON.parse(line) as ResultLine;
  if (requests === 0 || Object.values(errors).some((count) => count !== 0)) {
    throw new Error(`${server.name}: requests failed, the run does not count:\n${stdout}`);
  }
  return {
    answered: requests,
    requestsPerSecond: requests / (durationUs / 1e6),
    p50Ms: p50Us / 1000,
    p99Ms: p99Us / 1000,
  };
}
