import { diag, DiagLogLevel } from '@opentelemetry/api';

/** What a collector has rejected of an export that it answered with `200`. */
export interface Rejection {
  readonly spans: number;
  readonly reason: string;
}

/** At most this much of a reason is shown, in characters. */
const REASON_MAX = 300;

let last: Rejection | null = null;

/**
 * Listens to the exporter. It says what a collector has rejected to the logger of its SDK alone, and calls the export a
 * success in the same turn. Nothing else that this logger gets is shown, as without one.
 */
export function listenToPartialSuccess(): void {
  const ignore = (): void => undefined;
  const logger = { error: ignore, info: ignore, debug: ignore, verbose: ignore };
  const warn = (text: string, ...about: readonly unknown[]): void => {
    if (text.startsWith('Received Partial Success')) last = rejectionIn(String(about[0]));
  };
  diag.setLogger({ ...logger, warn }, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}

/** Of the export that ends in this turn; `null`: the collector has taken all of it. */
export function takeRejection(): Rejection | null {
  const rejection = last;
  last = null;
  return rejection;
}

/** A count of 0 with a message is a warning: all are taken. */
function rejectionIn(json: string): Rejection | null {
  try {
    // a number of 64 bits is a text in JSON
    const { rejectedSpans = 0, errorMessage } = JSON.parse(json) as Readonly<Record<string, unknown>>;
    const spans = Number(rejectedSpans);
    const reason =
      typeof errorMessage === 'string' && errorMessage !== ''
        ? errorMessage.slice(0, REASON_MAX)
        : 'it gave no reason';
    return spans > 0 ? { spans, reason: `it has rejected some: ${reason}` } : null;
  } catch {
    return null;
  }
}
