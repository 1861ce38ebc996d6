import type { Snapshot } from '../messages.js';
import { bytes, duration, milliseconds, plain, plural, quoted, rate, whole } from './format.js';
import { pauseWords, resumeCommand } from './pause-words.js';
import { sourceWords } from './source-words.js';

export type Level = 'well' | 'attention' | 'trouble';
export type Part = 'door' | 'queue' | 'disk' | 'sink';

/** Whether all is well, in words. */
export interface Verdict {
  readonly level: Level;
  readonly headline: string;
  readonly detail: string;
  /** What holds everything up; `null`: nothing does. */
  readonly bottleneck: Part | null;
  /** What an operator may run to see more, or to help, or a flag for the next start; '': nothing. */
  readonly command: string;
}

/** A batch waits a second for its end and some moments for its turn; what waits longer waits for the sink. */
const BEHIND_SECONDS = 10;
/** If less of the disk is free than this, it is nearly full. */
const FREE_SHARE_MIN = 0.05;
const FREE_BYTES_MIN = 2 ** 30;
/** A full queue that the disk empties faster than this is too small; one that takes longer shows a slow disk. */
const QUEUE_DRAIN_MS_MIN = 100;
const DEFAULT_LOG_DIR = './append-log';

/**
 * The worst thing first; the first that holds is said.
 * @param origin of the page: the address of the server for operators, if it has one; '': not known
 */
export function verdict(snapshot: Snapshot, origin = ''): Verdict {
  return trouble(snapshot) ?? attention(snapshot, origin) ?? well(snapshot);
}

function saying(level: Level) {
  return (headline: string, detail: string, bottleneck: Part | null, command = ''): Verdict => {
    return { level, headline, detail, bottleneck, command };
  };
}

function trouble(snapshot: Snapshot): Verdict | null {
  const { isHealthy, refusal, logDir, door, disk, sink, events, deadLetters } = snapshot;
  const say = saying('trouble');
  const code = refusal?.code ?? null;
  if (!isHealthy) {
    return say(
      'The pipeline broke',
      'Nothing more is taken. What was acknowledged is on disk; restart the server.',
      null,
    );
  }
  const [missing] = snapshot.workers?.missing ?? [];
  if (missing !== undefined) {
    const which = `Worker ${missing.worker} of ${snapshot.workers?.number} ${missing.why}`;
    return say(which, 'Its figures are missing here. The others go on; the log lines say why.', null);
  }
  if (code === 'LOG_DIR_LOST') {
    return say('The log directory was lost', `${refusal?.reason ?? ''}. Put it back, or restart.`, 'disk');
  }
  if (code === 'LOG_FAILED' || code === 'IN_DOUBT' || door.failedPerSecond > 0) {
    const { replicas } = disk;
    if (replicas !== null)
      return say(
        'The servers of the log take no events',
        `Clients get 503 and come back later. ${replicas.current} of ${replicas.wanted} replicas of the stream ${replicas.stream} are there${replicas.leader === null ? ', and none leads' : ''}: look at the NATS servers.`,
        'disk',
      );
    return say(
      'The disk takes no events',
      `Clients get 503 and come back later. Look at the disk of ${logDir}, and at the log lines.`,
      'disk',
      `df -h ${quoted(logDir)}`,
    );
  }
  if (code === 'NOT_RUNNING')
    return say('The server takes no events', `${refusal?.reason ?? 'It starts, or it stops'}.`, null);
  if (code === 'BACKLOG_FULL' || door.backlogFullPerSecond > 0) {
    const [waits, bound] = [plain(bytes(disk.bytes)), plain(bytes(disk.bytesMax))];
    const larger = plain(bytes(2 * disk.bytesMax)).replace(/[ ,]/g, '');
    if (deadLetters.isFull) {
      return say(
        'The backlog is full: clients get 429',
        `${waits} wait on disk, of ${bound} (--backlog-max). ${aside(snapshot)} Send the dead letters again or drop them.`,
        'sink',
        tool(snapshot, 'deadLetters', 'ls'),
      );
    }
    return say(
      'The backlog is full: clients get 429',
      `${waits} wait on disk for ${nameOf(sink)}, of ${bound} (--backlog-max). ${sinkDoes(snapshot)} Restart with a larger bound to take more meanwhile.`,
      'sink',
      `--backlog-max ${larger}`,
    );
  }
  if (sink.breaker !== 'closed' && sink.paused === null) {
    const mend = sink.misconfigured
      ? 'Nothing is delivered until a token, a right, a path or a table is corrected. '
      : '';
    return say(
      sink.misconfigured ? 'The sink is set up wrongly' : 'The sink is down',
      `${mend}${sinkDoes(snapshot)} Events are still taken: ${waiting(events)} safely on disk, ${plain(bytes(disk.bytes))} of ${plain(bytes(disk.bytesMax))}.${roomWords(disk.roomSeconds)}`,
      'sink',
      tool(snapshot, 'log', 'ls'),
    );
  }
  if (deadLetters.isFull) {
    return say(
      'The dead letters are full',
      `${aside(snapshot)} Others are delivered. Send the dead letters again or drop them, or raise the bound: else the backlog fills, ${plain(bytes(disk.bytes))} of ${plain(bytes(disk.bytesMax))} now.`,
      'sink',
      tool(snapshot, 'deadLetters', 'ls'),
    );
  }
  if (deadLetters.batchesAside > 0) {
    return say(
      'The disk takes no dead letters',
      `${aside(snapshot)} Others are delivered. Look at the disk of ${logDir}, and at the log lines.`,
      'disk',
      `df -h ${quoted(logDir)}`,
    );
  }
  if (deadLetters.isolatedEvents > 0) {
    const [fails, wait] = [
      plural(deadLetters.isolatedEvents, 'event'),
      deadLetters.isolatedEvents === 1 ? 'waits' : 'wait',
    ];
    return say(
      `The sink fails at ${fails}`,
      `It takes others. What it fails at ${wait} apart, on disk, and is tried on; log lines with EVENT_ISOLATED have the words of the sink. Restart with a bound for the tries to make a dead letter of it.`,
      'sink',
      '--sink-tries-max 10',
    );
  }
  return null;
}

function attention(snapshot: Snapshot, origin: string): Verdict | null {
  const { refusal, events, door, disk, sink, deadLetters, logDir } = snapshot;
  const say = saying('attention');
  if (refusal?.code === 'DRAINING')
    return say('The server is about to stop', `${refusal.reason}. Its door closes soon.`, null);
  if (refusal !== null || door.refusedPerSecond > 0) {
    const [headline, why, bottleneck] = refusing(snapshot);
    return say(
      headline,
      `${rate(door.inPerSecond)} events a second are taken, ${rate(door.refusedPerSecond)} get 429. ${why} Nothing that was accepted is lost.`,
      bottleneck,
    );
  }
  const { freeBytes, sizeBytes, replicas } = disk;
  if (replicas !== null && replicas.missing.length > 0)
    return say(
      'A server of the log is missing',
      `${replicas.missing.join(' and ')} of ${replicas.wanted} replicas of the stream ${replicas.stream}: a majority has every event, and one more loss may stop the door.`,
      'disk',
    );
  if (freeBytes !== null && (freeBytes < FREE_BYTES_MIN || freeBytes < FREE_SHARE_MIN * (sizeBytes ?? 0))) {
    return say(
      'The disk is nearly full',
      `${plain(bytes(freeBytes))} are free. When it is full, clients get 503.${roomWords(disk.roomSeconds)}`,
      'disk',
      `df -h ${quoted(logDir)}`,
    );
  }
  if (sink.paused !== null) {
    const waits = `Events are taken: ${waiting(events)} safely on disk, ${plain(bytes(disk.bytes))} of ${plain(bytes(disk.bytesMax))}.`;
    const words = `${pauseWords(sink.paused)} ${waits}${roomWords(disk.roomSeconds)}`;
    return say('Delivery is paused', words, 'sink', resumeCommand(snapshot, origin));
  }
  if (sink.failuresInARow > 0) {
    return say(
      'The sink fails now and then',
      `The last ${plural(sink.failuresInARow, 'attempt')} failed; each batch is tried again until the sink has it.`,
      'sink',
    );
  }
  if (events.unreadBatches > 0 || disk.oldestSeconds > BEHIND_SECONDS) {
    const waits = `${waiting(events)} on disk, the oldest for ${duration(disk.oldestSeconds)}.`;
    if (disk.drainSeconds === null && sink.outPerSecond === 0) {
      const attempts = `${plural(sink.running, 'attempt')} ${sink.running === 1 ? 'waits' : 'wait'}`;
      const why =
        sink.running === 0 ? 'No attempt runs now' : `${attempts} for the answer of ${nameOf(sink)}`;
      return say('Nothing is delivered', `${waits} ${why}.${roomWords(disk.roomSeconds)}`, 'sink');
    }
    return door.inPerSecond > sink.outPerSecond
      ? say(
          'The sink is slower than what comes in',
          `${rate(door.inPerSecond)} events a second come in, ${rate(sink.outPerSecond)} go out. ${waits} Clients notice nothing.${roomWords(disk.roomSeconds)}`,
          'sink',
        )
      : say('The sink catches up', `${waits} ${drains(disk.drainSeconds)}`, 'sink');
  }
  if (deadLetters.lately > 0 && deadLetters.files !== 0) {
    return say(
      `The sink refused ${plural(deadLetters.lately, 'event')} for good`,
      'They are dead letters, kept with the reason: see below.',
      null,
      tool(snapshot, 'deadLetters', 'show'),
    );
  }
  if ((deadLetters.files ?? 0) > 0) {
    return say(
      'There are dead letters',
      `${plural(deadLetters.files ?? 0, 'file')} of events that the sink refused some time ago: send them again or drop them.`,
      null,
      tool(snapshot, 'deadLetters', 'ls'),
    );
  }
  const { quarantineFiles, replicas: stream } = disk;
  if (quarantineFiles !== null && quarantineFiles > 0) {
    return say(
      'Damaged data was set aside',
      stream === null
        ? `${plural(quarantineFiles, 'file')} in the quarantine of ${logDir}.`
        : `${plural(quarantineFiles, 'message')} in the quarantine of the stream.`,
      null,
      tool(snapshot, 'log', 'verify'),
    );
  }
  const ofSource = sourceWords(snapshot);
  return ofSource && say(...ofSource, null);
}

/** Which bound clients meet: the headline, why, and the part that it belongs to. */
function refusing({ refusal, door, queue }: Snapshot): [string, string, Part] {
  if (refusal?.code === 'CONNECTIONS_MAX' || door.connectionsFullPerSecond > door.refusedPerSecond / 2) {
    const why = `${whole(door.connections)} connections are open, as many as --connections-max allows.`;
    return ['Clients get 429: too many connections', why, 'door'];
  }
  const isByBytes = queue.bytes / queue.bytesMax > queue.events / queue.eventsMax;
  const [bound, flag] = isByBytes
    ? [plain(bytes(queue.bytesMax)), '--queue-bytes']
    : [plural(queue.eventsMax, 'event'), '--queue-size'];
  if (queue.drainMs < QUEUE_DRAIN_MS_MIN) {
    const why = `The queue holds ${bound} (${flag}), which the disk takes in ${plain(milliseconds(Math.max(1, queue.drainMs)))}: a larger one refuses less.`;
    return ['Clients get 429: the queue is full', why, 'queue'];
  }
  const why = `The queue in front of the disk is full: ${bound} (${flag}).`;
  return ['Clients get 429: more comes in than the disk takes', why, 'disk'];
}

function well({ events, door, sink }: Snapshot): Verdict {
  const keeps = sink.keepsNothing ? ` The ${sink.kind} sink keeps nothing: --sink chooses another.` : '';
  const detail =
    door.inPerSecond === 0 && sink.outPerSecond === 0
      ? `Nothing comes in. ${plural(events.delivered, 'event')} delivered since the start.`
      : `${rate(door.inPerSecond)} events a second come in, ${rate(sink.outPerSecond)} go out. No part holds the others up.`;
  return saying('well')('All is well', detail + keeps, null);
}

/** Why batches wait aside. */
function aside({ deadLetters: { batchesAside, isFull } }: Snapshot): string {
  const [batches, wait] = [plural(batchesAside, 'batch', 'batches'), batchesAside === 1 ? 'waits' : 'wait'];
  const why = isFull ? 'have no room (--dead-letters-max)' : 'cannot be written';
  return `${batches} with refused events ${wait} on disk, as their dead letters ${why}.`;
}

/** How the sink does, in a sentence or two. */
function sinkDoes({ sink, disk }: Snapshot): string {
  if (sink.paused !== null) return pauseWords(sink.paused);
  if (sink.breaker === 'closed') return drains(disk.drainSeconds);
  const name = nameOf(sink);
  const since = sink.troubleSeconds === null ? '' : ` for ${duration(sink.troubleSeconds)}`;
  const next =
    sink.nextAttemptSeconds === null
      ? 'one attempt finds out now whether it is well again'
      : `the next attempt is due in ${duration(sink.nextAttemptSeconds)}`;
  return `${name[0]?.toUpperCase()}${name.slice(1)} has failed${since}; ${next}.`;
}

/** `the http sink (https://api.example.com/ingest)` */
export function nameOf({ kind, target }: Snapshot['sink']): string {
  return `the ${kind} sink${target === '' ? '' : ` (${target})`}`;
}

/** A command of Forebay on this log. */
function tool({ logDir, logFlags, tools }: Snapshot, name: keyof Snapshot['tools'], command: string): string {
  const ofDir = logDir === DEFAULT_LOG_DIR ? [] : ['--log-dir', logDir];
  return [tools[name], command, ...(logFlags ?? ofDir).map(quoted)].join(' ');
}

function roomWords(seconds: number | null): string {
  return seconds === null ? '' : ` At this rate there is room for ${duration(seconds)}.`;
}

function waiting({ pending, unreadBatches }: Snapshot['events']): string {
  const unread = unreadBatches === 0 ? '' : `${plural(unreadBatches, 'batch', 'batches')} of an earlier run`;
  if (unread === '') return `${plural(pending, 'event')} ${pending === 1 ? 'waits' : 'wait'}`;
  if (pending === 0) return `${unread} ${unreadBatches === 1 ? 'waits' : 'wait'}`;
  return `${plural(pending, 'event')} and ${unread} wait`;
}

function drains(seconds: number | null): string {
  return seconds === null
    ? 'Nothing is delivered now.'
    : `At the present pace that takes ${duration(seconds)}.`;
}
