/**
 * Whose fault an answer of the database is:
 *
 * - `rows`: a row is not taken, however often it comes. It becomes a dead letter.
 * - `batch`: the database was at the batch and failed, perhaps because of one row of it. If it takes others meanwhile, the
 *   row has to be found.
 * - `setup`: an operator has to correct something, no row is at fault.
 * - `moment`: it is away, stops, is full or busy.
 */
export type Blame = 'rows' | 'batch' | 'setup' | 'moment';

/** What is looked at of an answer. */
export interface DatabaseAnswer {
  readonly code?: string | undefined;
  readonly message: string;
  /** In which function it was; nothing if the statement itself is meant. */
  readonly where?: string | undefined;
  /** The function of the server that says it; unlike the message, in any language. */
  readonly routine?: string | undefined;
}

/**
 * Classes and codes of SQLSTATE that say that a row itself is not taken:
 *
 * - 22, data exception: `\u0000` in a string, a number beyond `numeric`, a text too long for its column;
 * - 23, integrity constraint violation: `not null`, `check`, `unique`, a foreign key;
 * - 44, with check option violation: the row is not one of the view;
 * - 54, program limit exceeded: an `id` too long for the index, arrays in arrays too deep for the stack;
 * - P0001, raise_exception: a trigger of the table's owner said so.
 */
const ROWS = /^(?:22|23|44|54)...$|^P0001$/;
/** A sequence at its end: no row gets a number. */
const SEQUENCE_EXHAUSTED = '2200H';
const PROGRAM_LIMIT = '54000';
const NO_COMMANDS = /not accepting commands/;
/**
 * Connections (08), rollback (40: deadlock, serialization), resources (53, but not memory, which one row may need), a
 * server that stops or starts (57P), the system (58, F0), read-only, a lock that was not to be had.
 */
const MOMENT = /^(?:08(?!P01)|40|53(?!200)|57P|58|F0)[0-9A-Z]+$|^(?:25006|25P03|55P03|55006)$/;
/** Authorization (28), no such database or schema (3D, 3F), a statement that does not fit the table (42, 55000), a pooler. */
const SETUP = /^(?:28|3D|3F|42)...$|^(?:08P01|2200H|55000)$/;
/** The same before there is a batch: of a wrong option in the URL, too. */
const SETUP_BEFORE = /^(?:22|28|3D|3F|42|0A)...$|^(?:08P01|55000)$/;
/** A row that a policy of the table does not let in has the code of a missing right. */
const POLICY = 'ExecWithCheckOptions';
/** `RAISE` in PL/pgSQL, which may use any code. */
const RAISE = 'exec_stmt_raise';

/**
 * @param hadBatch whether it is the answer to the `INSERT`, and not to connecting or making the table
 */
export function blameOf({ code = '', message, where, routine }: DatabaseAnswer, hadBatch: boolean): Blame {
  if (!hadBatch) return SETUP_BEFORE.test(code) ? 'setup' : 'moment';
  if (code === PROGRAM_LIMIT && NO_COMMANDS.test(message)) return 'moment';
  if (ROWS.test(code) && code !== SEQUENCE_EXHAUSTED) return 'rows';
  if (routine === RAISE || routine === POLICY) return 'batch';
  if (MOMENT.test(code)) return 'moment';
  // what a trigger does may depend on the row
  return SETUP.test(code) && (where ?? '') === '' ? 'setup' : 'batch';
}
