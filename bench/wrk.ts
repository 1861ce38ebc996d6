import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './paths.js';
import type { Target } from './server-under-test.js';

const execute = promisify(execFile);

/** What wrk sends, and on how many connections; each has one request at a time. */
export interface Load {
  readonly connections: number;
  /** A file of this folder. */
  readonly script: string;
  readonly args: readonly string[];
  /** How many events a request holds. */
  readonly eventsPerRequest: number;
  /** Over TLS; the certificate is not checked. */
  readonly isTls?: boolean;
}

export interface WrkRun {
  /** Events in requests that were answered, all of them with 2xx. */
  readonly answered: number;
  readonly eventsPerSecond: number;
  /** Of requests. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The line that the scripts print at the end. */
interface ResultLine {
  readonly requests: number;
  readonly durationUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly errors: Readonly<Record<'connect' | 'read' | 'write' | 'status' | 'timeout', number>>;
}

/**
 * One event a request, each with an id of its own.
 *
 * @param headers further ones, like `Authorization: Bearer …`
 */
export function singleEvents(connections: number, eventBytes: number, headers: readonly string[] = []): Load {
  const runId = randomBytes(6).toString('hex'); // each run has ids of its own
  const args = [runId, String(eventBytes), ...headers];
  return { connections, script: 'post-events.lua', args, eventsPerRequest: 1 };
}

/**
 * The same webhook again and again, each time with an id of its own in a header.
 *
 * @param headers with `0000000000` in the place of the id
 */
export function webhooks(connections: number, path: string, body: string, headers: readonly string[]): Load {
  return { connections, script: 'post-webhooks.lua', args: [path, body, ...headers], eventsPerRequest: 1 };
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
 * Requests from one thread of wrk, for this many seconds.
 *
 * @throws if any request failed: by its connection, by time, or by a status that is not 2xx
 */
export async function runWrk(
  server: Target,
  load: Load,
  seconds: number,
  signal: AbortSignal,
): Promise<WrkRun> {
  const { connections, script, args, eventsPerRequest, isTls = false } = load;
  const url = `${isTls ? 'https' : 'http'}://127.0.0.1:${server.port}/events`;
  const options = [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--latency',
    '-s',
    join(ROOT, 'bench', script),
  ];
  const { stdout } = await execute('wrk', [...options, url, '--', ...args], { signal });
  const line = /^result (.*)$/m.exec(stdout)?.[1];
  if (line === undefined) throw new Error(`${server.name}: no result from wrk:\n${stdout}`);
  const { requests, durationUs, p50Us, p99Us, errors } = JSON.parse(line) as ResultLine;
  if (requests === 0 || Object.values(errors).some((count) => count !== 0)) {
    throw new Error(`${server.name}: requests failed, the run does not count:\n${stdout}`);
  }
  return {
    answered: requests * eventsPerRequest,
    eventsPerSecond: (requests * eventsPerRequest) / (durationUs / 1e6),
    p50Ms: p50Us / 1000,
    p99Ms: p99Us / 1000,
  };
}
