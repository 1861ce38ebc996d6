/**
 * Classes and codes of SQLSTATE that say that a row itself is not taken, however often it comes:
 *
 * - 22, data exception: `\u0000` in a string, a number beyond `numeric`, a text too long for its column;
 * - 23, integrity constraint violation: `not null`, `check`, `unique`, a foreign key;
 * - 44, with check option violation: the row is not one of the view;
 * - 54, program limit exceeded: an `id` too long for the index, arrays in arrays too deep for the stack;
 * - P0001, raise_exception: a trigger of the table's owner said so.
 *
 * But not 2200H, a sequence that has come to its end, nor 54000 where the database takes no commands at all any more.
 *
 * Everything else is no fault of the event: a server that is away, stops, is full or only to be read, a deadlock, and
 * just as well a table or column that is missing, a wrong password or a right that was not granted. That is mended by
 * the operator, and until then the events wait: one wrong setting must not make dead letters of them all.
 */
const ROW_REFUSED = /^(?:22|23|44|54)...$|^P0001$/;
const SEQUENCE_EXHAUSTED = '2200H';
const PROGRAM_LIMIT = '54000';
const NO_COMMANDS = /not accepting commands/;

/** Whether an answer of the database to an `INSERT` is about its rows. */
export function refusesRows(sqlstate: string, message: string): boolean {
  if (sqlstate === SEQUENCE_EXHAUSTED) return false;
  if (sqlstate === PROGRAM_LIMIT && NO_COMMANDS.test(message)) return false;
  return ROW_REFUSED.test(sqlstate);
}
