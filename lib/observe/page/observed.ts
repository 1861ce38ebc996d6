import type { SinkDescription } from '../../seams/sink.js';
import type { LogSpace } from '../../seams/event-log.js';
import type { Door, DoorSource } from '../../door/door.js';
import type { NewestEvents } from '../../door/newest-events.js';
import type { Forebay } from '../../forebay.js';
import type { Statistics } from '../../statistics.js';
import { batchStates } from './batch-states.js';
import type { BatchState } from './messages.js';

const ERROR_LENGTH_MAX = 500;

/** The last failure of the sink. */
export interface LastFailure {
  readonly text: string;
  /** In milliseconds since 1970. */
  readonly atMs: number;
}

/** What the id window of a source knows. */
export type IdUsage = ReturnType<Forebay['idUsage']>[number];

/** What the page sees of a pipeline: a `Forebay`, or the sum of several. */
export interface ObservedForebay {
  readonly settings: Pick<Forebay['settings'], 'logDir' | 'queueSize' | 'queueBytes' | 'backlogBytesMax'>;
  readonly sink: SinkDescription;
  readonly healthy: boolean;
  statistics(): Statistics | null;
  diskUsage(): Promise<LogSpace | null>;
  recentBatches(): ReturnType<Forebay['recentBatches']> | KnownBatches;
  idUsage(): readonly IdUsage[];
}

/** Batches whose states another process has found out. */
export interface KnownBatches {
  readonly states: readonly BatchState[];
  readonly lastFailure: LastFailure | null;
}

/** What the page sees of a source. */
export interface ObservedSource extends Pick<DoorSource, 'name' | 'path'> {
  readonly newest: Pick<NewestEvents, 'heads'>;
}

/** What the page sees of a door, or of several. */
export interface ObservedDoor extends Pick<Door, 'counts' | 'connections'> {
  readonly sources: readonly ObservedSource[];
  refusal(): Pick<NonNullable<ReturnType<Door['refusal']>>, 'code' | 'message'> | null;
}

/** @param isHeldBack whether the breaker or a pause lets none through */
export function batchesOf(
  forebay: Pick<ObservedForebay, 'recentBatches'>,
  isHeldBack: boolean,
): readonly BatchState[] {
  const found = forebay.recentBatches();
  return 'states' in found ? found.states : batchStates(found.recent.events, found.active, isHeldBack);
}

export function failureOf(forebay: Pick<ObservedForebay, 'recentBatches'>): LastFailure | null {
  const found = forebay.recentBatches();
  if ('states' in found) return found.lastFailure;
  const { lastFailure } = found.recent;
  return (
    lastFailure && { text: lastFailure.error.message.slice(0, ERROR_LENGTH_MAX), atMs: lastFailure.atMs }
  );
}
