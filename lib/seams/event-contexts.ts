import type { EventContext } from '../event/event-context.js';

/** By the place of each event in its batch; empty if none has a context. */
export type EventContexts = readonly (EventContext | null)[];

export const NO_CONTEXTS: EventContexts = Object.freeze([]);

/** Those of events from number `from` to before `to`. */
export function contextsBetween(contexts: EventContexts, from: number, to: number): EventContexts {
  return contexts.length === 0 ? contexts : noneOr(contexts.slice(from, to));
}

/** Those of events that come from several places, each with the number of its events. */
export function contextsOfAll(
  places: readonly { readonly events: number; readonly contexts: EventContexts }[],
): EventContexts {
  if (places.every(({ contexts }) => contexts.length === 0)) return NO_CONTEXTS;
  return places.flatMap(({ events, contexts }) =>
    Array.from({ length: events }, (_each, index) => contexts[index] ?? null),
  );
}

function noneOr(contexts: EventContexts): EventContexts {
  return contexts.every((context) => context === null) ? NO_CONTEXTS : contexts;
}
