import { printable } from '../../lib/base/terminal-text.js';
import { count } from '../../lib/base/words.js';
import { EXIT } from '../log/exit-code.js';
import type { ExitCode } from '../log/exit-code.js';
import type { Surroundings } from '../log/program.js';
import { KEY_VARIABLE } from './server.js';
import type { Answered, ControlledServer } from './server.js';

interface Look extends Pick<Surroundings, 'output' | 'tell'> {
  readonly server: ControlledServer;
  /** Whether the answer is printed as one line of JSON. */
  readonly isJson: boolean;
}

/** What the operator may have to give to the tool, by the answer of the server. */
const HINTS: Readonly<Record<number, string>> = {
  401: ` (--key-file, or the variable ${KEY_VARIABLE})`,
  404: ": with --admin-port, it is at the operators' address",
};

type Facts = Readonly<Record<string, unknown>>;

export async function pause(look: Look, request: object): Promise<ExitCode> {
  const isMore = 'reason' in request || 'forSeconds' in request;
  return change(look, '/control/pause', request, ({ changed, delivery }) => [
    `${changed === true ? 'Delivery is paused' : 'Delivery was paused before, and stays so'} ${words(objectOf(delivery))}`,
    ...(changed !== true && isMore ? ['For another end or reason, resume first'] : []),
  ]);
}

export async function resume(look: Look, request: object): Promise<ExitCode> {
  return change(look, '/control/resume', request, ({ changed, was }) => [
    changed === true ? `Delivery goes on; it was paused ${words(objectOf(was))}` : 'Delivery was not paused',
  ]);
}

export async function status(look: Look): Promise<ExitCode> {
  const { server, tell } = look;
  // a server that is not well says what it knows all the same
  const { status: code, body } = await server.get('/health');
  const { delivery, events, sink } = body;
  if ((code !== 200 && code !== 503) || typeof delivery !== 'object') {
    const hint = HINTS[code] ?? '';
    await tell(`${server.place} answers ${code} to /health, without a word about delivery${hint}`);
    return EXIT.damaged;
  }
  const facts = objectOf(delivery);
  const { pending = 0, unreadBatches = 0 } = objectOf(events);
  const unread =
    Number(unreadBatches) === 0
      ? ''
      : ` and ${count(Number(unreadBatches), 'batch', 'batches')} of earlier runs`;
  const { paused, drainSeconds } = facts;
  const takes =
    Number(pending) > 0 && typeof drainSeconds === 'number'
      ? `, about ${drainSeconds} s at the last known rate`
      : '';
  await print(look, { ...facts, pending, unreadBatches }, [
    paused === true ? `Delivery is paused ${words(facts)}` : 'Delivery is not paused',
    ...failing(objectOf(sink)),
    `${count(Number(pending), 'event')}${unread} pending${takes}`,
  ]);
  return EXIT.sound;
}

async function change(
  look: Look,
  path: string,
  request: object,
  lines: (body: Answered['body']) => readonly string[],
): Promise<ExitCode> {
  const { server, tell } = look;
  const { status: code, body } = await server.post(path, request);
  if (code !== 200) {
    const { error } = body;
    const why = typeof error === 'string' ? `: ${printable(error)}` : ` ${code} to ${path}`;
    const hint = HINTS[code] ?? '';
    await tell(`${server.place} answers${why}${hint}`);
    // it may be well the next time, and what it has done is not known
    return code >= 500 ? EXIT.unusable : EXIT.damaged;
  }
  await print(look, body, lines(body));
  return EXIT.sound;
}

async function print({ output, isJson }: Look, facts: object, lines: readonly string[]): Promise<void> {
  await output.write(isJson ? `${JSON.stringify(facts)}\n` : `${lines.join('\n')}\n`);
}

/** Why nothing is delivered although delivery is not paused, or will not be after it. */
function failing({ breaker, lastError }: Facts): readonly string[] {
  if (breaker !== 'open' && breaker !== 'half-open') return [];
  return [`The sink fails: ${printable(shown(lastError))}`];
}

/** `since … by …: why` */
function words({ since, by, reason, until }: Facts): string {
  const end = until === undefined ? '' : `, until ${shown(until)}`;
  const why = reason === undefined ? '' : `: ${shown(reason)}`;
  return printable(`since ${shown(since)} by ${shown(by)}${end}${why}`);
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}

function objectOf(value: unknown): Facts {
  return typeof value === 'object' && value !== null ? (value as Facts) : {};
}
