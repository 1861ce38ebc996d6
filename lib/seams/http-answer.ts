import type { ForebayError } from '../base/errors.js';

/** An HTTP answer. Its sender adds length, date and connection. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}

/** The headers of an answer in JSON, for browsers too: nothing to store, and nothing to guess. */
const JSON_HEADERS = {
  'Content-Type': 'application/json',
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
};

export function jsonAnswer(
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  // for terminals
  return { status, headers: { ...headers, ...JSON_HEADERS }, body: `${JSON.stringify(body)}\n` };
}

/** `{"error": …, "code": …}`, with the place of the fault if there is one. */
export function errorAnswer(error: ForebayError, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  return jsonAnswer(error.status ?? 500, errorBody(error), { ...headers, ...retryAfter(error) });
}

function errorBody({ code, message, field, position, line, index }: ForebayError): object {
  // The answer to a full queue is fixed: clients know it in this form.
  if (code === 'QUEUE_FULL' || code === 'CONNECTIONS_MAX') return { error: message };
  return { error: message, code, line, index, field, position };
}

/** `Retry-After` is in whole seconds (RFC 9110, 10.2.3); 0 would call clients back at once. */
export function retryAfter({ retryAfterMs }: ForebayError): Record<string, string> {
  if (retryAfterMs === undefined) return {};
  return { 'Retry-After': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) };
}
