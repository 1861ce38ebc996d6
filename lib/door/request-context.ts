import { contextOf } from '../event/event-context.js';
import type { EventContext } from '../event/event-context.js';
import type { RequestHead } from '../seams/source.js';

/** Who sends events again on purpose says so: the sink is to know. Anyone may, as it says only something of their own events. */
const REPLAY = 'forebay-replay';

/** What the head of a request says beside its events; `null`: nothing that is kept. */
export function contextOfHead(head: RequestHead, keepsTraces: boolean): EventContext | null {
  const traceparent = keepsTraces ? head.header('traceparent') : undefined;
  const isReplay = head.header(REPLAY)?.trim() === 'true';
  return traceparent === undefined && !isReplay
    ? null
    : contextOf({ traceparent: traceparent ?? null, isReplay });
}
