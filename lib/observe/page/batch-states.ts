import { compareBatchNames } from '../../logs/file/batch-name.js';
import type { PendingBatch } from '../../seams/batch.js';
import type { BatchEvent } from '../../base/batch-event.js';
import type { BatchStage, BatchState } from './messages.js';

/** At most this many are shown. */
export const BATCHES_SHOWN_MAX = 12;
/** Of those that are at the sink: they may be old, and the newest are to be seen as well. */
const ACTIVE_SHOWN_MAX = 6;
const ERROR_LENGTH_MAX = 300;

type State = { -readonly [Key in keyof BatchState]: BatchState[Key] };

/**
 * The state of the newest batches, newest first, from what happened to them last.
 *
 * @param active those that have had a place at the sink and are not off the disk
 * @param isHeldBack whether the breaker or a pause lets none through
 */
export function batchStates(
  happened: readonly BatchEvent[],
  active: readonly PendingBatch[],
  isHeldBack: boolean,
): BatchState[] {
  const states = new Map<string, State>();
  const stateOf = (name: string, events: number | null): State => {
    const known = states.get(name);
    if (known !== undefined) return known;
    const state: State = { name, events, stage: 'waiting', refused: 0, error: '' };
    states.set(name, state);
    return state;
  };
  for (const event of happened) {
    const name = event.batch.replace(/#.*$/, ''); // a part of a batch
    if (name !== '') follow(event, stateOf(name, wholeEvents(event)));
  }
  const atSink = active.slice(0, ACTIVE_SHOWN_MAX).map(({ name, events }) => {
    const state = stateOf(name, events);
    if (state.stage === 'waiting' && !isHeldBack) state.stage = 'at the sink';
    return state;
  });
  // also those that have no place yet get none
  if (isHeldBack)
    for (const state of states.values()) if (state.stage === 'waiting') state.stage = 'held back';
  const newest = [...states.values()]
    .filter((state) => !atSink.includes(state))
    .toSorted((a, b) => compareBatchNames(b.name, a.name));
  return [...atSink, ...newest.slice(0, BATCHES_SHOWN_MAX - atSink.length)].toSorted((a, b) =>
    compareBatchNames(b.name, a.name),
  );
}

/** How many events the batch has; some events are of a part of it. */
function wholeEvents({ what, batch, events }: BatchEvent): number | null {
  const isOfPart = batch.includes('#') || what === 'dead letters' || what === 'sent';
  return isOfPart || events === 0 ? null : events;
}

function follow(event: BatchEvent, state: State): void {
  state.events ??= wholeEvents(event);
  const stage = stageAfter(event);
  if (stage !== null) state.stage = stage;
  state.error = 'error' in event ? event.error.message.slice(0, ERROR_LENGTH_MAX) : '';
  if (event.what === 'dead letters')
    state.refused = event.events + (event.batch.includes('#') ? state.refused : 0);
}

/** `null`: as before. */
function stageAfter(event: BatchEvent): BatchStage | null {
  switch (event.what) {
    case 'sealed':
      return 'waiting';
    case 'replaying':
      return 'at the sink';
    case 'failed':
      return event.step === 'delete' ? 'confirmed' : 'trying again';
    case 'apart':
    case 'aside':
      return 'aside';
    case 'sent':
    case 'dead letters':
      // of one batch of several in a file: others may follow
      return event.batch.includes('#') ? 'at the sink' : 'confirmed';
    case 'deleted':
      return 'delivered';
    case 'not appended':
      return null;
  }
}
