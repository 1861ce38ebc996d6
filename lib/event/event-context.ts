/** What a request says beside its events. It is kept with each of them, and goes on to the sink. */
export interface EventContext {
  /** The `traceparent` of the request, in version 00 of W3C Trace Context; `null`: it had none. */
  readonly traceparent: string | null;
  /** Whether the sender says that it has sent the event before, and sends it again on purpose. */
  readonly isReplay: boolean;
}

/** A `traceparent` header: what version 00 has, and in a later version perhaps more (W3C Trace Context, 3.2). */
const HEADER = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;
const NO_TRACE = '0'.repeat(32);
const NO_PARENT = '0'.repeat(16);
/** Of a later version only this flag is known. */
const SAMPLED = 1;

/** The `traceparent` of a header, in version 00; `null`: it is invalid, and as good as none. */
export function traceparentOf(header: string): string | null {
  const [, version = '', trace = '', parent = '', flags = '', more] = HEADER.exec(header) ?? [];
  if (version === '' || version === 'ff' || trace === NO_TRACE || parent === NO_PARENT) return null;
  if (version === '00') return more === undefined ? header : null;
  return `00-${trace}-${parent}-0${Number.parseInt(flags, 16) & SAMPLED}`;
}

/** The context that somebody gives; `null`: there is nothing to keep. An invalid `traceparent` is as good as none. */
export function contextOf(given: Partial<EventContext>): EventContext | null {
  const traceparent = typeof given.traceparent === 'string' ? traceparentOf(given.traceparent) : null;
  const isReplay = given.isReplay === true;
  return traceparent === null && !isReplay ? null : { traceparent, isReplay };
}
