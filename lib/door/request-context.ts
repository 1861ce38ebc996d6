import { contextOf } from '../event/event-context.js';
import type { EventContext } from '../event/event-context.js';
import type { RequestHead } from '../seams/source.js';

/** What the head of a request says beside its events; `null`: nothing that is kept. */
export function contextOfHead(head: RequestHead, keepsTraces: boolean): EventContext | null {
  const traceparent = keepsTraces ? head.header('traceparent') : undefined;
  return traceparent === undefined ? null : contextOf({ traceparent });
}
