import { ForebayError } from '../base/errors.js';
import { REFUSED_MAX } from '../door/connection-gate.js';
import type { Logger } from '../base/reporter.js';
import type { ServerSettings } from './server-settings.js';

/** Node.js itself, standard output, the lock, directories that are read or flushed, files of the sink, and room to spare. */
const RESERVE = 64;
/** A group commit writes at most 64 batches, each to its file, while those of the one before are being closed. */
const GROUP_FILES = 2 * 64;
/** Batches that are read while they wait for their place at the sink. */
const READ_AHEAD_FILES = 16;
/** A batch at the sink needs a connection, and its file to be read again. */
const FILES_PER_BATCH = 2;
/** With fewer connections than this a server is of no use, and does not start. */
const CONNECTIONS_MIN = 10;
/** The part of the connections that is there for the events: the others are answered `429`. */
const TAKEN_SHARE = 3 / 4;

/** How many connections the door has: each is an open file. */
export interface ConnectionBounds {
  readonly connectionsMax: number;
  /** Beyond them, connections that are answered `429` at once. */
  readonly refusedMax: number;
}

/** The settings that say how many files are open. */
export type FileSettings = Pick<ServerSettings, 'connectionsMax' | 'sinkConcurrency'>;

/**
 * Bounds the connections so that the log and the sink can always open what they need: without a file for its batch an
 * event gets `503`, while a connection too many gets `429`.
 *
 * @param filesMax how many files the process may have open
 * @param logger gets one line if fewer connections are taken than `--connections-max`
 * @throws ForebayError `OPEN_FILES` if not even a few connections can be taken
 */
export function boundConnections(
  filesMax: number,
  { connectionsMax, sinkConcurrency }: FileSettings,
  logger: Logger,
): ConnectionBounds {
  const others = RESERVE + GROUP_FILES + READ_AHEAD_FILES + sinkConcurrency * FILES_PER_BATCH;
  const room = filesMax - others;
  if (room >= connectionsMax + REFUSED_MAX) return { connectionsMax, refusedMax: REFUSED_MAX };
  const taken = Math.min(connectionsMax, Math.floor(room * TAKEN_SHARE));
  const least = Math.min(connectionsMax, CONNECTIONS_MIN);
  if (taken < least) {
    const needed = others + Math.ceil(least / TAKEN_SHARE);
    throw new ForebayError('OPEN_FILES', {
      message: `At most ${filesMax} files may be open, and the log, the sink and ${least} connections need ${needed}: raise the limit (${HOW})`,
    });
  }
  if (taken < connectionsMax) {
    const wanted = others + connectionsMax + REFUSED_MAX;
    logger.warn(
      { code: 'OPEN_FILES', limit: filesMax, connectionsMax: taken },
      `At most ${filesMax} files may be open, and a connection is one: at most ${taken} are taken, not ${connectionsMax} (--connections-max). Raise the limit to ${wanted} (${HOW})`,
    );
  }
  return { connectionsMax: taken, refusedMax: Math.min(REFUSED_MAX, room - taken) };
}

const HOW = 'ulimit -n, LimitNOFILE= of systemd';

/**
 * How many files this process may have open; `Infinity` if the system has no limit, or does not say. Node.js raises the
 * soft limit to the hard one at its start, before this is read.
 */
export function openFilesMax(): number {
  const { report } = process;
  // names of network peers would be asked for; older versions of Node.js do not know the property
  const before = field(report, 'excludeNetwork');
  if (before !== undefined) Object.assign(report, { excludeNetwork: true });
  const soft = field(field(field(report.getReport(), 'userLimits'), 'open_files'), 'soft');
  if (before !== undefined) Object.assign(report, { excludeNetwork: before });
  return typeof soft === 'number' ? soft : Infinity;
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
