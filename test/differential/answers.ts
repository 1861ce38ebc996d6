const HEAD_END = Buffer.from('\r\n\r\n');
const START = 'HTTP/1.1 ';

export interface Answer {
  readonly status: number;
  /** The status, with the code of an error or how many events were accepted. */
  readonly text: string;
  /** How many events it says are stored. */
  readonly events: number;
  /** Whether it says that the connection is closed behind it. */
  readonly closes: boolean;
}

/** Reads what a server has sent on a connection. An answer to `HEAD` has a length and no body. */
export function readAnswers(bytes: Buffer): { readonly answers: Answer[]; readonly garbage: string | null } {
  const answers: Answer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(HEAD_END, at);
    const head = bytes.toString('latin1', at, end === -1 ? bytes.length : end);
    if (end === -1 || !head.startsWith(START)) {
      return { answers, garbage: `not an answer: ${JSON.stringify(head)}` };
    }
    at = end + HEAD_END.length;
    const isBodiless = bytes.toString('latin1', at, at + START.length) === START;
    const length = isBodiless ? 0 : Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    if (at + length > bytes.length && at < bytes.length) return { answers, garbage: 'half an answer' };
    answers.push(answerOf(head, bytes.toString('utf8', at, at + length)));
    at = Math.min(bytes.length, at + length);
  }
  return { answers, garbage: null };
}

function answerOf(head: string, body: string): Answer {
  const status = Number(head.slice(START.length, START.length + 3));
  const { code, count, status: word } = fields(body);
  const isAccepted = status === 202 && word === 'accepted';
  const events = isAccepted ? (typeof count === 'number' ? count : 1) : 0;
  const said: (string | number)[] = [status];
  if (typeof code === 'string') said.push(code);
  if (typeof count === 'number') said.push(count);
  return { status, text: said.join(' '), events, closes: /^connection: *close/im.test(head) };
}

function fields(body: string): Readonly<Record<string, unknown>> {
  if (!body.startsWith('{')) return {};
  return JSON.parse(body) as Readonly<Record<string, unknown>>;
}
