import { compareBatchNames, isBatchName } from '../../logs/file/batch-name.js';
import type { SealedBatch } from '../../seams/batch.js';
import type { BatchLine } from '../../base/reporter.js';
import type { BatchStage, BatchState } from './messages.js';

const SHOWN_MAX = 12;
/** Of those that are at the sink: they may be old, and the newest are to be seen as well. */
const ACTIVE_SHOWN_MAX = 6;
const ERROR_LENGTH_MAX = 300;

type State = { -readonly [Key in keyof BatchState]: BatchState[Key] };

/**
 * The state of the newest batches, newest first, from the last lines about them.
 *
 * @param active those that have had a place at the sink and are not off the disk
 * @param isHeldBack whether the breaker lets none through
 */
export function batchStates(
  lines: readonly BatchLine[],
  active: readonly SealedBatch[],
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
  for (const line of lines) {
    const name = line.batch.replace(/#.*$/, ''); // a part of a batch that was refused
    if (isBatchName(name)) follow(line, stateOf(name, wholeEvents(line)));
  }
  const atSink = active.slice(0, ACTIVE_SHOWN_MAX).map(({ name, events }) => {
    const state = stateOf(name, events);
    if (state.stage === 'waiting') state.stage = isHeldBack ? 'held back' : 'at the sink';
    return state;
  });
  const newest = [...states.values()]
    .filter((state) => !atSink.includes(state))
    .toSorted((a, b) => compareBatchNames(b.name, a.name));
  return [...atSink, ...newest.slice(0, SHOWN_MAX - atSink.length)].toSorted((a, b) =>
    compareBatchNames(b.name, a.name),
  );
}

/** How many events the batch has; some lines say it only of a part. */
function wholeEvents({ kind, batch, events }: BatchLine): number | null {
  const isOfPart = batch.includes('#') || kind === 'Dead lettered' || kind === 'SinkAPI';
  return isOfPart || events === 0 ? null : events;
}

function follow(line: BatchLine, state: State): void {
  state.events ??= wholeEvents(line);
  const stage = stageAfter(line);
  if (stage !== null) state.stage = stage;
  state.error = line.error === undefined ? '' : line.error.message.slice(0, ERROR_LENGTH_MAX);
  if (line.kind === 'Dead lettered') state.refused = line.events;
}

/** `null`: as before. */
function stageAfter({ kind }: BatchLine): BatchStage | null {
  switch (kind) {
    case 'Wrote batch to':
      return 'waiting';
    case 'Replaying batch':
      return 'at the sink';
    case 'Could not read batch':
    case 'Delivery failed':
    case 'Could not keep dead letters':
      return 'trying again';
    case 'Set apart':
    case 'Stepped aside':
      return 'aside';
    case 'SinkAPI':
    case 'Dead lettered':
    case 'Could not delete batch file':
      return 'confirmed';
    case 'Deleted batch file':
    case 'Successfully replayed and deleted':
      return 'delivered';
    case 'Append failed':
      return null;
  }
}
