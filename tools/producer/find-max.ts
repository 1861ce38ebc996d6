import { grouped, msText, secondsText } from './words.js';

/**
 * Searches for the highest rate at which p99 stays below a bound: doubles until a rate fails, bisects between the
 * highest rate that held and the lowest that failed, and confirms the result with a longer run.
 */

/** The measurement of a rate. */
export interface Measured {
  /** In events a second. */
  readonly rate: number;
  readonly lengthMs: number;
  /** Of accepted events; `null`: there were none. */
  readonly p99Ms: number | null;
  /** The share of events that was accepted within the bound. */
  readonly inTime: number;
  /** The share that was refused, failed, or never left. */
  readonly refused: number;
  /** Its most frequent kind (`429`, `ECONNREFUSED`); `null`: there was none. */
  readonly refusal: string | null;
  /** Whether the producer itself was so late that the result says nothing about the server. */
  readonly isProducerBehind: boolean;
  /** Whether it was interrupted. */
  readonly isStopped: boolean;
}

export interface Found {
  /** The longer run at the highest rate that held; `null`: none did. */
  readonly held: Measured | null;
  /** The lowest rate that failed; `null`: none did. */
  readonly exceeded: Measured | null;
  /** Why the search ended early; `null`: it did not. */
  readonly ended: 'stopped' | 'no event was accepted' | null;
}

export interface Search {
  readonly startRate: number;
  /** No lower rate is measured: a step needs enough requests. */
  readonly rateMin: number;
  readonly stepMs: number;
  readonly measure: (rate: number, lengthMs: number) => Promise<Measured>;
}

/** The share of events that must be accepted in time: the 99 of p99. */
const PART = 0.99;
/** The search ends when the rate that held and the one that failed are this close. */
const NEAR = 1.05;
/** The length of the last run, in steps. */
const CONFIRM_STEPS = 2;
/** A rate that fails is measured at most this often. */
const MEASURES_MAX = { exceeded: 2, behind: 3 };
/** The kind of events that never left. */
export const NEVER_SENT = 'never sent';
/** No producer reaches this rate, in events a second. */
const RATE_MAX = 1e7;

export function holds({ inTime }: Measured): boolean {
  return inTime >= PART;
}

export async function findMax(search: Search): Promise<Found> {
  const { startRate, rateMin, stepMs } = search;
  const quick = await narrow([rounded(Math.max(startRate, rateMin))], null, stepMs, search);
  if (quick.ended !== null) return foundBy(quick);
  // longer runs decide: at the highest rate that held, then below it if they must
  const rates = quick.held.map(({ rate }) => rate);
  const slow = await narrow(rates, quick.exceeded, CONFIRM_STEPS * stepMs, search);
  if (slow.ended === null || slow.held.length > 0) return foundBy(slow);
  const { exceeded } = slow;
  const held = quick.held.filter(({ rate }) => rate < (exceeded?.rate ?? Infinity));
  return foundBy({ ...slow, held });
}

interface Narrowed extends Pick<Found, 'exceeded' | 'ended'> {
  /** In ascending order of rate. */
  readonly held: readonly Measured[];
}

function foundBy({ held, exceeded, ended }: Narrowed): Found {
  return { held: held.at(-1) ?? null, exceeded, ended };
}

/**
 * Measures until the rate that held and the one that failed are close. Tries the candidates first, the last one
 * first, until one holds; then lower rates, if none does; then rates between the one that held and the one that
 * failed.
 */
async function narrow(
  candidates: readonly number[],
  above: Measured | null,
  lengthMs: number,
  { measure, rateMin }: Search,
): Promise<Narrowed> {
  const untried = [...candidates];
  const held: Measured[] = [];
  let exceeded = above;
  for (let rate = untried.pop() ?? null; rate !== null;) {
    const measured = await measureAgain(measure, rate, lengthMs);
    if (measured.isStopped) return { held, exceeded, ended: 'stopped' };
    if (holds(measured)) held.push(measured);
    else exceeded = measured;
    if (measured.p99Ms === null) return { held, exceeded, ended: 'no event was accepted' };
    const highest = held.at(-1)?.rate ?? null;
    const hint = highest === null ? untried.pop() : undefined;
    rate = hint ?? nextRate(highest, exceeded?.rate ?? null, rateMin);
  }
  return { held, exceeded, ended: null };
}

/**
 * Measures a rate that failed again: another program may have been busy, especially if the producer fell behind. Does
 * not repeat it if nothing was accepted.
 */
async function measureAgain(measure: Search['measure'], rate: number, lengthMs: number): Promise<Measured> {
  for (let times = 1; ; times += 1) {
    const measured = await measure(rate, lengthMs);
    const most = isProducersDoing(measured) ? MEASURES_MAX.behind : MEASURES_MAX.exceeded;
    if (holds(measured) || measured.isStopped || measured.p99Ms === null || times >= most) return measured;
  }
}

/** The rate to try next; `null`: the result is close enough. */
export function nextRate(held: number | null, exceeded: number | null, rateMin = 1): number | null {
  if (exceeded === null) return held === null || held >= RATE_MAX ? null : rounded(held * 2);
  if (held === null) return exceeded <= rounded(rateMin) ? null : rounded(Math.max(rateMin, exceeded / 2));
  if (exceeded / held <= NEAR) return null;
  const middle = rounded((held + exceeded) / 2);
  return middle > held && middle < exceeded ? middle : null;
}

/** A whole number of three significant digits, for people. */
function rounded(rate: number): number {
  return Math.max(1, Math.round(Number(rate.toPrecision(3))));
}

/** The result in one sentence. */
export function foundSentence({ held, exceeded, ended }: Found, boundMs: number): string {
  const bound = `p99 below ${msText(boundMs)} ms`;
  const more: string[] = [];
  if (held !== null)
    more.push(`p99 ${besideText(held.p99Ms ?? 0, boundMs)} ms over ${secondsText(held.lengthMs)}`);
  if (exceeded !== null) more.push(`at ${grouped(exceeded.rate)} ${reasonText(exceeded, boundMs)}`);
  if (ended === 'stopped') more.push('stopped before the search was done');
  const reasons = more.join('; ');
  if (held === null) return `No rate with ${bound} was found${reasons === '' ? '' : ` (${reasons})`}`;
  const mayBeMore = ended !== null || exceeded === null || isProducersDoing(exceeded);
  return `Highest rate with ${bound}: ${mayBeMore ? 'at least ' : ''}${grouped(held.rate)} events/s (${reasons})`;
}

/** Why a rate failed. */
export function reasonText(measured: Measured, boundMs: number): string {
  const { p99Ms, inTime, refused, refusal } = measured;
  const why = refusal === null ? '' : ` (${refusal})`;
  if (p99Ms === null) return `no event was accepted${why}`;
  if (isProducersDoing(measured)) return 'the producer itself fell behind: the server may take more';
  if (p99Ms >= boundMs) return `it was ${besideText(p99Ms, boundMs)} ms`;
  // each share alone may be within the limit of p99
  return refused > 1 - PART
    ? `${percentText(refused)} were refused or failed${why}`
    : `${percentText(1 - inTime)} were late, refused or failed${why}`;
}

/** With enough digits to show on which side of the bound it is. */
function besideText(ms: number, boundMs: number): string {
  return msText(ms) === msText(boundMs) ? String(Number(ms.toPrecision(4))) : msText(ms);
}

function percentText(part: number): string {
  return `${Number((part * 100).toPrecision(2))} %`;
}

/** A refusal is the server's own answer, however late the producer was. */
function isProducersDoing({ isProducerBehind, refused, refusal }: Measured): boolean {
  return isProducerBehind && (refused <= 1 - PART || refusal === NEVER_SENT);
}

/** A line about a step of the search. */
export function stepText(measured: Measured, boundMs: number): string {
  const { rate, lengthMs, p99Ms, isStopped } = measured;
  const what = `${grouped(rate).padStart(9)} events/s for ${secondsText(lengthMs)}:`;
  if (isStopped) return `${what} stopped`;
  const p99 = p99Ms === null ? '' : `p99 ${besideText(p99Ms, boundMs)} ms, `;
  if (holds(measured)) return `${what} ${p99}holds`;
  const reason =
    p99Ms !== null && p99Ms >= boundMs && !isProducersDoing(measured)
      ? 'too long'
      : reasonText(measured, boundMs);
  return `${what} ${p99}${reason}`;
}
