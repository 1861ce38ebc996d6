import { systemCode } from '../base/errors.js';

/** An event that the sink will never take. */
export interface Refusal {
  /** Its place in the batch, from 0. */
  readonly index: number;
  /** Why, in the sink's words. */
  readonly reason: string;
  /** The sink's status: of HTTP (`400`), or a code of a database (`22P05`); `null` if it has none. */
  readonly status: number | string | null;
}

export interface SinkErrorDetail {
  /** The sink's status, as in `Refusal`. */
  readonly status?: number | string | null;
  /** How long the sink asked to be left alone, in milliseconds. */
  readonly retryAfterMs?: number;
  /**
   * What the sink will not take. `all`: this batch as it is; which of its events are at fault is not known. A list:
   * these events; all others of the batch are confirmed. Nothing: another attempt can help.
   */
  readonly refused?: 'all' | readonly Refusal[];
  /**
   * Whether an operator has to correct something before any batch is taken: credentials, a right, a path, a table. No
   * event is at fault, and none is refused. The sink is left alone at once, gets few attempts, and the log reports it
   * as an error.
   */
  readonly misconfigured?: boolean;
  /**
   * Whether the sink got the batch and failed on it. Then the batch may be the reason: if it fails again and again
   * while the sink takes others, its events are offered apart from each other. `false` if nobody answered, or if the
   * answer is about the moment (busy, an outage as a proxy reports it), the route or the setup. `true` by default,
   * unless the sink asked to be left alone or is misconfigured.
   */
  readonly reached?: boolean;
  /**
   * What the sink said, to be shown after the message. It may quote events and is shown without them; the message is
   * then shown as it is, also if this is ''. By default the sink's words are somewhere in the message.
   */
  readonly said?: string;
  readonly cause?: unknown;
}

/** Thrown by a sink that knows more than that the attempt failed. After any other error the batch is tried again. */
export class SinkError extends Error {
  readonly status: number | string | null;
  readonly retryAfterMs: number | undefined;
  readonly refused: 'all' | readonly Refusal[] | null;
  readonly misconfigured: boolean;
  readonly reached: boolean;
  /** The message without what the sink said; `null` if the two cannot be separated. */
  readonly ownWords: string | null;
  readonly said: string;

  constructor(
    message: string,
    { status, retryAfterMs, refused, misconfigured = false, reached, said, cause }: SinkErrorDetail = {},
  ) {
    super(said === undefined || said === '' ? message : `${message}: ${said}`, { cause });
    this.name = 'SinkError';
    this.status = status ?? null;
    this.retryAfterMs = retryAfterMs;
    this.refused = refused ?? null;
    this.misconfigured = misconfigured;
    this.reached = reached ?? (retryAfterMs === undefined && !misconfigured);
    this.ownWords = said === undefined ? null : message;
    this.said = said ?? '';
  }
}

/** Codes of errors that ended an attempt before the sink had it: of the system (except a broken connection) and of TLS. */
const NOT_REACHED =
  /^(?:E(?!CONNRESET$|PIPE$)[A-Z0-9]+|EAI_[A-Z]+|UND_ERR_CONNECT_TIMEOUT|ERR_(?:TLS|SSL)_\w+|\w*CERT\w*)$/;

/**
 * Whether the sink got the batch and failed on it: see `SinkErrorDetail.reached`. An error that does not say counts as
 * reached.
 */
export function reachedSink(error: Error): boolean {
  if (error instanceof SinkError) return error.reached;
  const code = systemCode(error) ?? systemCode(error.cause);
  return code === undefined || !NOT_REACHED.test(code);
}
