import type { Snapshot } from '../messages.js';
import { bytes, duration, plain, plural, rate } from './format.js';

export type Level = 'well' | 'attention' | 'trouble';
export type Part = 'door' | 'queue' | 'disk' | 'sink';

/** Whether all is well, in words. */
export interface Verdict {
  readonly level: Level;
  readonly headline: string;
  readonly detail: string;
  /** What holds everything up; `null`: nothing does. */
  readonly bottleneck: Part | null;
}

/** A batch waits a second for its end and some moments for its turn; what waits longer waits for the sink. */
const BEHIND_SECONDS = 10;
/** So much of the disk free is little. */
const FREE_SHARE_MIN = 0.05;
const FREE_BYTES_MIN = 2 ** 30;

/** The worst thing first; the first that holds is said. */
export function verdict(snapshot: Snapshot): Verdict {
  return trouble(snapshot) ?? attention(snapshot) ?? well(snapshot);
}

function trouble({ isHealthy, refusal, door, disk, sink, events, deadLetters }: Snapshot): Verdict | null {
  const say = (headline: string, detail: string, bottleneck: Part | null): Verdict => {
    return { level: 'trouble', headline, detail, bottleneck };
  };
  if (!isHealthy) {
    return say(
      'The pipeline broke',
      'Nothing more is taken. What was acknowledged is on disk; restart the server.',
      null,
    );
  }
  if (refusal === 'LOG_FAILED' || door.failedPerSecond > 0) {
    return say(
      'The disk takes no events',
      'Clients get 503 and are told to come back. Look at the disk of --log-dir, and at the log lines.',
      'disk',
    );
  }
  if (refusal === 'NOT_RUNNING') return say('The server takes no events', 'It starts, or it stops.', null);
  if (refusal === 'BACKLOG_FULL' || door.backlogFullPerSecond > 0) {
    const [waits, bound] = [plain(bytes(disk.bytes)), plain(bytes(disk.bytesMax))];
    return say(
      'The backlog is full: clients get 429',
      `${waits} wait on disk for the sink, of ${bound} (--backlog-max). ${drains(disk.drainSeconds)}`,
      'sink',
    );
  }
  if (deadLetters.isFull) {
    return say(
      'The dead letters are full',
      `What the sink refuses has no room any more (--dead-letters-max): its batches wait, and hold up others. Send the dead letters again or drop them with bin/dead-letters.js. ${waiting(events)} on disk.`,
      'sink',
    );
  }
  if (sink.breaker !== 'closed') {
    const since = sink.troubleSeconds === null ? '' : ` for ${duration(sink.troubleSeconds)}`;
    return say(
      'The sink is down',
      `It has failed${since} and is left alone between attempts. Events are still taken: ${waiting(events)} safely on disk, ${plain(bytes(disk.bytes))} of ${plain(bytes(disk.bytesMax))}.`,
      'sink',
    );
  }
  return null;
}

function attention(snapshot: Snapshot): Verdict | null {
  const { refusal, events, door, disk, sink, deadLetters } = snapshot;
  const say = (headline: string, detail: string, bottleneck: Part | null): Verdict => {
    return { level: 'attention', headline, detail, bottleneck };
  };
  if (refusal !== null || door.refusedPerSecond > 0) {
    return say(
      'Clients get 429: more comes in than the disk takes',
      `${rate(door.inPerSecond)} events a second are taken, ${rate(door.refusedPerSecond)} are told to come back. The queue in front of the disk is full; nothing that was accepted is lost.`,
      'disk',
    );
  }
  const { freeBytes, sizeBytes } = disk;
  if (freeBytes !== null && (freeBytes < FREE_BYTES_MIN || freeBytes < FREE_SHARE_MIN * (sizeBytes ?? 0))) {
    return say(
      'The disk is nearly full',
      `${plain(bytes(freeBytes))} are free. When it is full, clients get 503.`,
      'disk',
    );
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
      const why = sink.running === 0 ? 'No attempt runs now' : `${attempts} for the answer of the sink`;
      return say('Nothing is delivered', `${waits} ${why}.`, 'sink');
    }
    return door.inPerSecond > sink.outPerSecond
      ? say(
          'The sink is slower than what comes in',
          `${rate(door.inPerSecond)} events a second come in, ${rate(sink.outPerSecond)} go out. ${waits} Clients notice nothing.`,
          'sink',
        )
      : say('The sink catches up', `${waits} ${drains(disk.drainSeconds)}`, 'sink');
  }
  if (deadLetters.lately > 0 && deadLetters.files !== 0) {
    return say(
      `The sink refused ${plural(deadLetters.lately, 'event')} for good`,
      'They are dead letters, kept with the reason: see below.',
      null,
    );
  }
  if ((deadLetters.files ?? 0) > 0) {
    return say(
      'There are dead letters',
      `${plural(deadLetters.files ?? 0, 'file')} of events that the sink refused some time ago: send them again or drop them with bin/dead-letters.js.`,
      null,
    );
  }
  const { quarantineFiles } = disk;
  if (quarantineFiles !== null && quarantineFiles > 0) {
    return say(
      'Damaged data was set aside',
      `${plural(quarantineFiles, 'file')} in the quarantine of --log-dir: look at them with bin/log.js.`,
      null,
    );
  }
  return null;
}

function well({ events, door, sink }: Snapshot): Verdict {
  const detail =
    door.inPerSecond === 0 && sink.outPerSecond === 0
      ? `Nothing comes in. ${plural(events.delivered, 'event')} delivered since the start.`
      : `${rate(door.inPerSecond)} events a second come in, ${rate(sink.outPerSecond)} go out. No part holds the others up.`;
  return { level: 'well', headline: 'All is well', detail, bottleneck: null };
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
