import pg from 'pg';
import { asError } from '../../base/errors.js';
import { SinkError } from '../../seams/sink-error.js';
import { blameOf } from './sqlstate.js';
import type { Blame } from './sqlstate.js';

/** At most this much of an answer is in errors and dead letters, in characters. */
const REASON_LENGTH_MAX = 300;
export const UNDEFINED_TABLE = '42P01';
const WARNING = '01000';
/** What helps, if the answer does not say it. */
const HINTS: Readonly<Record<string, string>> = {
  [UNDEFINED_TABLE]: '--sink-create-table creates it',
  '08P01': 'a pooler in between may need ?statement_timeout=0 in --sink-postgres-url',
};
/** What a `SinkError` says of each. */
const FAULTS = {
  rows: { refused: 'all' },
  batch: { reached: true },
  setup: { reached: false, misconfigured: true },
  moment: { reached: false },
} as const satisfies Record<Blame, object>;

/**
 * What a failed attempt is called, and whose fault it is.
 *
 * @param hadBatch whether the database had the batch; a failure that is not an answer, such as a timeout, may then be its fault
 */
export function failureOf(error: unknown, hadBatch: boolean): SinkError {
  if (error instanceof SinkError) return error;
  if (error instanceof pg.DatabaseError && error.code !== undefined)
    return answered(error, error.code, hadBatch);
  const fault = FAULTS[hadBatch ? 'batch' : 'moment'];
  // of a name with several addresses none of which answers
  const isEmpty = error instanceof AggregateError && error.message === '';
  const errors: unknown[] = isEmpty ? error.errors : [error];
  return new SinkError(errors.map((each) => asError(each).message).join(', '), { cause: error, ...fault });
}

/** The rows are committed, and may be missing on the standby. */
export function unreplicated(warning: string): SinkError {
  return new SinkError(answer(WARNING, warning), { status: WARNING, ...FAULTS.moment });
}

function answered(error: pg.DatabaseError, status: string, hadBatch: boolean): SinkError {
  const blame = blameOf(error, hadBatch);
  const { message, detail } = error;
  // the detail is for the data's errors only: that of a constraint names values, and no two reasons would be alike
  const isOfData = blame === 'rows' && status.startsWith('22') && detail !== undefined;
  const hint = HINTS[status] === undefined ? '' : ` (${HINTS[status]})`;
  const text = answer(status, isOfData ? `${message} (${detail})` : message);
  return new SinkError(text + hint, { status, ...FAULTS[blame] });
}

function answer(sqlstate: string, message: string): string {
  const text = message.replace(/\p{Cc}/gu, ' ').slice(0, REASON_LENGTH_MAX);
  return `the database answered ${sqlstate}: ${text}`;
}
