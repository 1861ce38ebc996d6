/** What a `ForebayClientError` may also say. */
export interface ClientErrorDetail {
  readonly status?: number | undefined;
  readonly field?: string | undefined;
}

/**
 * Why an event was not accepted, or why a request did not succeed. It never names the key.
 *
 * Codes of the client itself: `BUFFER_FULL`, `STOPPED`, `EVENT_NOT_OBJECT`, `EVENT_FIELD`, `EVENT_NOT_JSON`,
 * `SETTING_INVALID`. Of a request without an answer: `UNREACHABLE`, `TIMEOUT`. Of an answer: its own code
 * (docs/errors.md); without one `QUEUE_FULL` for a 429, `NOT_FOREBAY` for a success that is not one of Forebay, else
 * `HTTP_` and the status.
 */
export class ForebayClientError extends Error {
  override readonly name = 'ForebayClientError';
  readonly code: string;
  /** The status of the answer, if there was one. */
  readonly status: number | undefined;
  /** The member of the event that is wrong, if it is one. */
  readonly field: string | undefined;

  constructor(code: string, message: string, { status, field }: ClientErrorDetail = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.field = field;
  }
}
