import type { Test } from 'tap';
import { createForebay } from '../../lib/forebay.js';
import type { Forebay, ForebayOptions } from '../../lib/forebay.js';
import type { Sink } from '../../lib/seams/sink.js';
import { CollectingSink } from './collecting-sink.js';
import { tempDir } from './temp-dir.js';

export { until } from './wait-for.js';

/** A line of the log. */
export interface Said {
  readonly level: 'info' | 'warn' | 'error';
  readonly text: string;
}

/** A Forebay in this process, with its sink: one that keeps what it gets, unless it is said. */
export interface RunningForebay<S extends Sink = CollectingSink> {
  readonly forebay: Forebay;
  readonly sink: S;
  readonly dir: string;
  readonly said: readonly Said[];
}

export type RunningOptions = Partial<Omit<ForebayOptions, 'sink'>>;

/** A slow disk or a busy machine is refused nothing and starts nothing early, unless a test is about that. */
const PATIENT = { ackTimeoutMs: 600_000, replayWaitMs: 600_000 };

/** Built and not started; it stops with the test. */
export function buildWith<S extends Sink>(t: Test, sink: S, options: RunningOptions = {}): RunningForebay<S> {
  const dir = options.logDir ?? tempDir(t);
  const said: Said[] = [];
  const say =
    (level: Said['level']) =>
    (_fields: object, text: string): void => {
      said.push({ level, text });
    };
  const logger = { debug: say('info'), info: say('info'), warn: say('warn'), error: say('error') };
  const forebay = createForebay({ batchWaitMs: 10, ...PATIENT, logger, ...options, logDir: dir, sink });
  t.teardown(async () => {
    if (sink instanceof CollectingSink) sink.release();
    await forebay.stop(0);
  });
  return { forebay, sink, dir, said };
}

export async function startWith<S extends Sink>(
  ...args: Parameters<typeof buildWith<S>>
): Promise<RunningForebay<S>> {
  const running = buildWith(...args);
  await running.forebay.start();
  return running;
}

/** The same with a sink that keeps what it gets. */
export function buildForebay(
  t: Test,
  options: RunningOptions = {},
  sink: CollectingSink = new CollectingSink(),
): RunningForebay {
  return buildWith(t, sink, options);
}

export async function startForebay(...args: Parameters<typeof buildForebay>): Promise<RunningForebay> {
  const running = buildForebay(...args);
  await running.forebay.start();
  return running;
}

/** An event whose line is its JSON text: it brings its timestamp. */
export function eventText(id: string, data: unknown = 1): string {
  return JSON.stringify({ id, type: 't', data, timestamp: 1 });
}

export function idsOf(lines: readonly string[]): string[] {
  return lines.map((line) => (JSON.parse(line) as { id: string }).id);
}

/** `accepted = delivered + deadLettered + quarantined + pending` */
export function addsUp(t: Test, forebay: Forebay, when: string = ''): void {
  const { accepted, delivered, deadLettered, quarantined, pending } = forebay.counts();
  t.equal(delivered + deadLettered + quarantined + pending, accepted, `the counts add up ${when}`);
}

/** The error code that an event gets; `null` where it is taken. */
export async function codeOf(write: Promise<unknown>): Promise<string | null> {
  return write.then(
    () => null,
    (error: unknown) => String((error as { code?: unknown }).code),
  );
}

/** The bytes that wait on disk, as the door counts them. */
export function pendingBytes(forebay: Forebay): number {
  return forebay.statistics()?.pendingBytes ?? NaN;
}
