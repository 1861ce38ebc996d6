import type { Random } from './random.js';

/** What can be odd about a world, beside the faults that every life meets. */
export const ODDITIES = [
  /** A second Forebay with a log directory of its own, on the same machine and at the same sink. */
  'two instances',
  /** The sink takes what comes under a key once, and gives the same answer to whatever comes under it again. */
  'keys',
  /** The sink takes a part of a batch, and the connection breaks. */
  'cut off',
  /** The sink takes a batch after its attempt has failed. */
  'late',
  /** The clock steps back and forth, also by years, while Forebay runs and while it does not. */
  'clock',
  /** Someone removes batch files. */
  'removed files',
  /** The disk has room for little: what is deleted makes room. */
  'small disk',
  /** As `keys`, and there are flipped bits: what is left of a file is something else. */
  'keys and damage',
  /** As `keys`, and an answer that is an error is kept as well. */
  'kept errors',
  /** As `keys`, and what comes again is answered with a conflict. */
  'conflicts',
  /** The sink fails at some events, and does not say at which. */
  'toxic events',
  /** Some batch files cannot be read until all else is delivered. */
  'unreadable files',
  /** The sink takes too long for any batch but small ones. */
  'slow if large',
  /** There is no room left when all else is well. */
  'full at the end',
  /** Someone removes the lock file, and starts a second Forebay on the same log directory. */
  'removed lock',
  /** Someone moves the log directory away while Forebay runs on it, with or without another in its place. */
  'moved directory',
  /** The clock comes to the end of what a name can say. */
  'end of time',
  /** Events have ids that are remembered, and come again: at once, later, after restarts, with other content. */
  'ids',
  /** Requests have a `traceparent`, or are replays. */
  'contexts',
  /** An operator pauses delivery and lets it go on, at any time. */
  'pauses',
  /** Files that wait are compressed, soon. */
  'compression',
  /** Delivered batches are kept for a while. */
  'retention',
] as const;
export type Oddity = (typeof ODDITIES)[number];

/** Came later: drawn apart, so that the worlds of a seed are otherwise the same as before. */
const LATER: readonly Oddity[] = ['ids', 'pauses'];
/** Came after that. */
const LATEST: readonly Oddity[] = ['contexts', 'compression', 'retention'];

/** How likely a world has an oddity. */
const SHARE = 0.2;

/**
 * What is odd about the next world.
 *
 * @param apart draws what came later
 * @param last draws what came after that
 * @param asked these are, in each world
 * @param only and nothing else is
 */
export function drawWorld(
  random: Random,
  apart: Random,
  last: Random,
  asked: readonly Oddity[],
  only: boolean,
): ReadonlySet<Oddity> {
  if (only) return new Set(asked);
  const drawn = ODDITIES.filter((oddity) => {
    const drawer = LATEST.includes(oddity) ? last : apart;
    return (LATER.includes(oddity) || LATEST.includes(oddity) ? drawer : random).chance(SHARE);
  });
  return new Set([...drawn, ...asked]);
}

export function isOddity(name: string): name is Oddity {
  return (ODDITIES as readonly string[]).includes(name);
}
