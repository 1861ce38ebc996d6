import type { EventContexts } from '../../seams/event-contexts.js';

/** Names the events of each trace. */
export const TRACES_HEADER = 'forebay-traces';
/** At most this many traces are named: with them a head stays below the 8 KiB that servers take. */
const TRACES_MAX = 32;

/**
 * The headers of a batch that say where its events come from: the `traceparent` that all of them have in common, or which
 * events have which: `0-4 00-…-01, 7 00-…-01`, by their index in the body.
 *
 * @param traceparent of the span of the attempt, which goes before that of the events; `null`: there is none
 */
export function contextHeaders(
  contexts: EventContexts,
  traceparent: string | null,
): Readonly<Record<string, string>> {
  if (contexts.length === 0) return traceparent === null ? {} : { traceparent };
  const first = contexts[0]?.traceparent ?? null;
  const isOne = first !== null && contexts.every((context) => context?.traceparent === first);
  if (isOne && traceparent === null) return { traceparent: first };
  const traces = tracesOf(contexts);
  return {
    ...(traceparent !== null && { traceparent }),
    ...(traces !== '' && { [TRACES_HEADER]: traces }),
  };
}

/** Consecutive events of one trace share an entry. What is left out is counted: `more=12`. */
function tracesOf(contexts: EventContexts): string {
  const entries: string[] = [];
  let leftOut = 0;
  for (let from = 0; from < contexts.length;) {
    const trace = contexts[from]?.traceparent ?? null;
    let to = from + 1;
    while (to < contexts.length && (contexts[to]?.traceparent ?? null) === trace) to++;
    const range = to - from === 1 ? String(from) : `${from}-${to - 1}`;
    if (trace !== null && entries.length < TRACES_MAX) entries.push(`${range} ${trace}`);
    else if (trace !== null) leftOut += to - from;
    from = to;
  }
  if (leftOut > 0) entries.push(`more=${leftOut}`);
  return entries.join(', ');
}
