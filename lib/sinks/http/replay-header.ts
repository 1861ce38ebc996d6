import type { EventContexts } from '../../seams/event-contexts.js';

const REPLAY_HEADER = 'forebay-replay';
/** At most this many ranges are named: with them a head stays below the 8 KiB that servers take. */
const RANGES_MAX = 64;

/**
 * Says which events of a batch are replays: `true`, if all are, or their indices in the body: `0-4, 7`. Others than the first
 * ranges are only counted: `more=12`.
 */
export function replayHeader(contexts: EventContexts): Readonly<Record<string, string>> {
  const isReplay = (index: number): boolean => contexts[index]?.isReplay === true;
  const ranges: string[] = [];
  let replays = 0;
  let leftOut = 0;
  for (let from = 0; from < contexts.length; from++) {
    if (!isReplay(from)) continue;
    const start = from;
    while (isReplay(from + 1)) from++;
    replays += from - start + 1;
    if (ranges.length < RANGES_MAX) ranges.push(from === start ? String(start) : `${start}-${from}`);
    else leftOut += from - start + 1;
  }
  if (replays === 0) return {};
  if (replays === contexts.length) return { [REPLAY_HEADER]: 'true' };
  return { [REPLAY_HEADER]: [...ranges, ...(leftOut > 0 ? [`more=${leftOut}`] : [])].join(', ') };
}
