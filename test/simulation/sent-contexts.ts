import type { EventContext } from '../../lib/event/event-context.js';
import type { SentEvent } from './ledger.js';

/** A request that an event was sent with. */
interface Sending {
  readonly context: EventContext | null;
  readonly events: readonly SentEvent[];
}

/** What requests say beside their events, in worlds where they say something. It is drawn from their numbers alone. */
export class SentContexts {
  /** Whether requests say anything. */
  areSent = false;
  readonly #sendings = new Map<SentEvent, Sending[]>();
  #requests = 0;

  /** The context of the next request. */
  next(events: readonly SentEvent[]): EventContext | null {
    const context = this.areSent ? contextOf(++this.#requests) : null;
    if (this.areSent) for (const event of events) this.#of(event).push({ context, events });
    return context;
  }

  /**
   * Why an event cannot have come with this context; `null` if it may. Its `traceparent` may be missing if a line of its
   * request was damaged. Nobody was answered for what a power cut takes: it may leave a line without the rest of its marks, or
   * one whose `traceparent` was in an earlier line of its request, on a page that is lost.
   */
  fault(event: SentEvent, context: EventContext | null): string | null {
    if (!this.areSent) return context === null ? null : 'nobody sent one';
    const sendings = this.#of(event);
    if (sendings.some((sending) => textOf(sending.context) === textOf(context))) return null;
    const isCut = event.answer !== 'acknowledged' && context === null;
    const isMissing = (context?.traceparent ?? null) === null;
    const mayBeMissing = sendings.some(
      ({ context: sent, events }) =>
        sent?.isReplay === (context?.isReplay ?? false) &&
        (event.answer !== 'acknowledged' || events.some(({ damaged }) => damaged !== null)),
    );
    if (isCut || (isMissing && mayBeMissing)) return null;
    return `it was sent with ${sendings.map((sending) => textOf(sending.context)).join(' or ')}`;
  }

  #of(event: SentEvent): Sending[] {
    let sendings = this.#sendings.get(event);
    if (sendings === undefined) this.#sendings.set(event, (sendings = []));
    return sendings;
  }
}

/** Of every four requests one says nothing, one is a replay alone, and two have a trace. */
function contextOf(request: number): EventContext | null {
  if (request % 4 === 0) return null;
  const number = request.toString(16);
  const traceparent = `00-${number.padStart(32, 'a')}-${number.padStart(16, 'b')}-01`;
  return { traceparent: request % 4 === 1 ? null : traceparent, isReplay: request % 4 !== 2 };
}

export function textOf(context: EventContext | null): string {
  return context === null
    ? 'nothing'
    : `${context.traceparent ?? 'no trace'}${context.isReplay ? ', replayed' : ''}`;
}
