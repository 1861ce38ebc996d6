import type { ErrorCode } from './errors.js';
import { count } from './words.js';

/** Steps that are retried with a batch until they succeed. */
export type Step = 'read' | 'deliver' | 'keep' | 'delete';

/** How a batch left the log: a stream has no file of it. */
export type Removal = 'deleted' | 'retained' | 'confirmed';

/** What happened to a batch, or a part of one. Log lines, the page and its counts are derived from it. */
export type BatchEvent = About &
  (
    | {
        readonly what: 'not appended';
        readonly place: string;
        readonly code: ErrorCode;
        readonly error: Error;
      }
    | { readonly what: 'replaying' | 'sent' }
    /** `batches`: how many the file holds. */
    | { readonly what: 'sealed'; readonly batches: number }
    /** `why`: the attempt, its error, and the next step. */
    | {
        readonly what: 'failed';
        readonly step: Step;
        readonly code: ErrorCode;
        readonly error: Error;
        readonly why: string;
      }
    /** `events`: the refused ones, out of `of`. */
    | { readonly what: 'dead letters'; readonly of: number; readonly path: string; readonly reason: string }
    | { readonly what: 'apart'; readonly error: Error }
    | { readonly what: 'aside'; readonly until: string }
    | { readonly what: 'deleted'; readonly leftover: boolean; readonly removal: Removal }
  );

interface About {
  /** The name of the batch, with a range if it is a part; '' if the events are in none. */
  readonly batch: string;
  readonly events: number;
}

/** The line about an event: `kind: text`. It is a warning if it has a code. */
export interface BatchLine {
  readonly kind: string;
  readonly code?: ErrorCode;
  readonly text: string;
}

const FAILED = {
  read: 'Could not read batch',
  deliver: 'Delivery failed',
  keep: 'Could not keep dead letters',
  delete: 'Could not delete batch',
} as const satisfies Record<Step, string>;

const REMOVED = {
  deleted: 'Deleted batch file',
  retained: 'Retained batch file',
  confirmed: 'Confirmed batch',
} as const satisfies Record<Removal, string>;

/** The line for an operator. Lines of one kind and code are summed up together. */
export function lineOf(event: BatchEvent): BatchLine {
  const { batch, events } = event;
  switch (event.what) {
    case 'not appended': {
      const { code, place, error } = event;
      const { message } = error.cause instanceof Error ? error.cause : error;
      const clients = events === 1 ? 'its client was' : 'their clients were';
      const text = `${count(events, 'event')} could not be put into ${place} (${message}); ${clients} asked to retry`;
      return { kind: 'Append failed', code, text };
    }
    case 'sealed':
      return { kind: 'Wrote batch to', text: `${batch} (${events} events${inBatches(event.batches)})` };
    case 'replaying':
      return { kind: 'Replaying batch', text: `${batch} (${events} events)` };
    case 'sent':
      return { kind: 'SinkAPI', text: `Successfully sent batch (${events} events)` };
    case 'failed':
      return { kind: FAILED[event.step], code: event.code, text: `${batch}, ${event.why}` };
    case 'dead letters': {
      const { of, path, reason } = event;
      const text = `${events} of ${count(of, 'event')} of ${batch} are in ${path} (${reason})`;
      return { kind: 'Dead lettered', code: 'DEAD_LETTERS', text };
    }
    case 'apart': {
      const text = `${batch}: the sink fails at it and takes others (${event.error.message}); it waits in the log and is retried`;
      return { kind: 'Set apart', code: 'EVENT_ISOLATED', text };
    }
    case 'aside':
      return { kind: 'Stepped aside', text: `${batch}, until ${event.until}` };
    case 'deleted': {
      const { leftover, removal } = event;
      return { kind: leftover ? `Successfully replayed and ${removal}` : REMOVED[removal], text: batch };
    }
  }
}

function inBatches(batches: number): string {
  return batches > 1 ? ` in ${batches} batches` : '';
}
