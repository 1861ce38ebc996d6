import { setTimeout as sleep } from 'node:timers/promises';
import { ServerProcess } from '../helpers/server-process.js';
import { Random } from '../simulation/random.js';
import { Attack } from './attack.js';
import type { Kind } from './attack.js';
import { HonestClient } from './honest-client.js';
import { MemoryWatch } from './memory-watch.js';

const MB = 1_000_000;
export const GROWTH_MAX = 100 * MB;
export const WAIT_MS_MAX = 1000;
/** Beyond it the machine would suffer: the server is ended. */
const GROWTH_BROKEN_OFF = 600 * MB;
const LIMIT_MS = 10_000;
/** How long the server runs with the honest client alone before it is measured. */
const WARM_MS = 500;
/** What an attack leaves may show a little later. */
const AFTER_MS = 200;
/** An honest client that waits is measured for at most this long. */
const WAITING_MS_MAX = 3000;
const STOP_MS = 8000;

/** What one kind of attack did to a server of its own. */
export interface Round {
  readonly name: string;
  readonly bytes: number;
  /** Of resident memory, in bytes. */
  readonly growth: number;
  /** The longest wait of the honest client. */
  readonly waitMs: number;
  /** How often it was refused. */
  readonly refusals: number;
  readonly answers: ReadonlyMap<string, number>;
  /** Whether all that is wrong is a wait, as a busy machine can cause. */
  readonly isNear: boolean;
  /** Why the kind does not hold; none: it holds. */
  readonly faults: readonly string[];
  /** Events that the honest client was promised. */
  readonly acknowledged: readonly string[];
  /** Events of the attack that must not be stored. */
  readonly never: ReadonlySet<string>;
}

/**
 * Starts a server with these flags, one honest client, and attacks it.
 *
 * @param run tells the events of this run from those of another of the same kind
 */
export async function attackRound(
  kind: Kind,
  flags: readonly string[],
  seed: number,
  run: number,
): Promise<Round> {
  const server = await ServerProcess.start(...flags);
  const kill = (): void => {
    server.signal('SIGKILL');
  };
  process.once('exit', kill);
  const attack = new Attack(`${kind.name}-${run}`, server.port, new Random(seed));
  const faults: string[] = [];
  const end = { words: '' };
  const exited = server.exited.then((code) => {
    end.words = `the server ended (${code ?? 'killed'})${lastWords(server)}`;
  });
  const honest = new HonestClient(server.port, `${kind.name}-${run}`, kind.isTls === true);
  const memory = new MemoryWatch(server.pid, (growth) => {
    if (growth > GROWTH_BROKEN_OFF) kill();
  });
  await sleep(WARM_MS);
  await honest.mark();
  await memory.mark();

  const limitMs = kind.limitMs ?? LIMIT_MS;
  const isOver = new AbortController();
  const tooLong = await Promise.race([
    kind.attack(attack).then(() => false),
    exited.then(() => false),
    sleep(limitMs, true, { signal: isOver.signal }).catch(() => false),
    hangs(honest, isOver.signal).then(() => false),
  ]);
  isOver.abort();
  if (tooLong) faults.push(`not over after ${limitMs} ms`);
  attack.end();
  await sleep(AFTER_MS);
  let report = await honest.report();
  while (end.words === '' && report.waitingMs > AFTER_MS && report.waitingMs < WAITING_MS_MAX) {
    await sleep(AFTER_MS);
    report = await honest.report();
  }
  const { acknowledged } = await honest.end();
  memory.stop();

  const { growth } = memory;
  const wasBrokenOff = growth > GROWTH_BROKEN_OFF;
  if (end.words !== '' && !wasBrokenOff) faults.push(end.words);
  if (growth > GROWTH_MAX)
    faults.push(`memory grew by ${inMb(growth)}${wasBrokenOff ? ', and was cut off there' : ''}`);
  const { longestMs: waitMs, longestFor, waitingMs, refusals } = report;
  if (waitMs > WAIT_MS_MAX && end.words === '')
    faults.push(`the honest client waited ${Math.round(waitMs)} ms for ${longestFor}`);
  if (end.words === '') {
    faults.push(...attack.faults);
    if (waitingMs > WAIT_MS_MAX) kill();
    else if (!(await stops(server))) faults.push('the server did not stop, or not with 0');
  }
  await exited;
  process.off('exit', kill);
  const { bytes, answers, never } = attack;
  const isSlow = waitMs > WAIT_MS_MAX && waitMs < WAITING_MS_MAX;
  const isNear = faults.length === 1 && isSlow;
  const { name } = kind;
  return { name, bytes, growth, waitMs, refusals, answers, isNear, faults, acknowledged, never };
}

/** Resolves when the honest client has waited for long: it is known what there is to know. */
async function hangs(honest: HonestClient, signal: AbortSignal): Promise<void> {
  do {
    await sleep(AFTER_MS, undefined, { signal }).catch(() => undefined);
  } while (!signal.aborted && (await honest.report()).waitingMs < WAITING_MS_MAX);
}

export function inMb(bytes: number): string {
  if (bytes < MB / 10) return `${Math.ceil(bytes / 1000)} KB`;
  return `${(bytes / MB).toFixed(bytes < 10 * MB ? 1 : 0)} MB`;
}

async function stops(server: ServerProcess): Promise<boolean> {
  const timer = setTimeout(() => {
    server.signal('SIGKILL');
  }, STOP_MS);
  const code = await server.stop('SIGTERM');
  clearTimeout(timer);
  return code === 0;
}

/** The error that ended it, as far as it told. */
function lastWords({ stderr }: ServerProcess): string {
  const line = stderr.split('\n').find((each) => /^\w*Error|^FATAL|^Error/.test(each));
  return line === undefined ? '' : `: ${line}`;
}
