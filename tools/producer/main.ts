import { closeSync, fstatSync, ftruncateSync, writeFileSync } from 'node:fs';
import { calledAs } from '../../lib/base/called-as.js';
import { asError, systemCode } from '../../lib/base/errors.js';
import { findMax, foundSentence, stepText } from './find-max.js';
import type { Found, Measured } from './find-max.js';
import { planOf } from './load.js';
import { measuredOf, rateMinOf, settingsAt, startRateOf, WARM_UP_MS } from './measure.js';
import { percentileText } from './percentile-file.js';
import { columnsIn, plotText } from './plot.js';
import { checkRelations, PRODUCER_SETTINGS, STEP_MS } from './producer-settings.js';
import type { ProducerSettings } from './producer-settings.js';
import { openOutput, produce } from './producer.js';
import type { Run } from './producer.js';
import { ProgressDisplay } from './progress-display.js';
import { ProgressMeter } from './progress.js';
import { statisticsText } from './statistics.js';
import { grouped, wrapped } from './words.js';
import { helpText, readOptions } from '../../lib/settings/option-table.js';
import { isWrongSetting, WRONG_SETTING_EXIT } from '../../lib/settings/setting-error.js';
import { VERSION } from '../../lib/base/version.js';

const USAGE = `forebay-producer: sends events to a server at a rate that you say, and tells what became of them.

  ${calledAs('producer')} [--flag VALUE ...]

Events leave when they are due, whether or not earlier ones were answered; latency counts from then.
Exit code: 0 if every event was answered by 202 or 429, 1 if not, 78 for wrong flags, 130 after Ctrl-C.
With --find-max: 0 if a rate was found, 1 if not. What is what: docs/producer.md

`;

const EXIT = { done: 0, failed: 1, wrongSetting: WRONG_SETTING_EXIT, interrupted: 130 } as const;
const PROGRESS_MS = 100;
/** A plot is as wide as the terminal, and at most this wide. */
const PLOT_WIDTH = 80;
const PLOT_COLUMNS_MIN = 5;
const US_PER_MS = 1000;

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error) => {
    // a reader that has gone (`| head`) needs no message
    if (systemCode(error) !== 'EPIPE') process.stderr.write(`forebay-producer: ${error.message}\n`);
    process.exit(EXIT.failed);
  });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`forebay-producer: ${asError(error).message}\n`);
  process.exit(isWrongSetting(error) ? EXIT.wrongSetting : EXIT.failed);
}

async function main(argv: readonly string[]): Promise<number> {
  const settings = readOptions(PRODUCER_SETTINGS, argv);
  if (settings.help) {
    process.stdout.write(USAGE + helpText(PRODUCER_SETTINGS, false));
    return EXIT.done;
  }
  if (settings.version) {
    process.stdout.write(`${VERSION}\n`);
    return EXIT.done;
  }
  checkRelations(settings);

  const interrupt = new AbortController();
  const { signal } = interrupt;
  process.once('SIGINT', () => interrupt.abort()); // a second one ends the process at once
  // the file keeps its old content until there is a run to write
  const hdrFile = settings.hdr === null ? null : openOutput('hdr', settings.hdr, 'a');
  const { run, found } = settings.findMax
    ? await search(settings, signal)
    : { run: await watched(settings, signal), found: null };
  report(settings, run, found);
  const failures = [run.failure, hdrFile === null ? null : writeHistogram(hdrFile, run, settings.hdr)];
  for (const failure of failures)
    if (failure !== null) process.stderr.write(`forebay-producer: ${failure}\n`);
  if (signal.aborted) return EXIT.interrupted;
  const isDone = found === null ? run.statistics.errors === 0 : found.held !== null;
  return isDone && failures.every((failure) => failure === null) ? EXIT.done : EXIT.failed;
}

/** Runs, with progress on standard error. */
async function watched(
  settings: ProducerSettings,
  signal: AbortSignal,
  warmUpMs = 0,
  display = new ProgressDisplay(process.stderr),
): Promise<Run> {
  const meter = new ProgressMeter(planOf(settings));
  const timer = setInterval(() => {
    const progress = meter.read(performance.now());
    if (progress !== null) display.show(progress);
  }, PROGRESS_MS);
  try {
    const onAnswers = (answers: Float64Array): void => meter.add(answers, performance.now());
    return await produce(settings, { signal, warmUpMs, onAnswers });
  } finally {
    clearInterval(timer);
    display.clear();
  }
}

/**
 * Runs the search of `--find-max`, with a line for each step. Returns the run at the rate that was found, or else the
 * last.
 */
async function search(settings: ProducerSettings, signal: AbortSignal): Promise<{ run: Run; found: Found }> {
  const boundMs = settings.p99Ms ?? 0;
  const runs = new Map<Measured | null, Run>();
  const measure = async (rate: number, lengthMs: number): Promise<Measured> => {
    const display = new ProgressDisplay(process.stderr, `${grouped(rate)}/s: `);
    const run = await watched(settingsAt(settings, rate, lengthMs), signal, WARM_UP_MS, display);
    const measured = measuredOf(run, rate, boundMs, lengthMs, signal.aborted);
    runs.set(measured, run).set(null, run);
    (settings.json ? process.stderr : process.stdout).write(`${stepText(measured, boundMs)}\n`);
    return measured;
  };
  const stepMs = settings.stepMs ?? STEP_MS;
  const rateMin = rateMinOf(settings, stepMs);
  const found = await findMax({ startRate: startRateOf(settings), rateMin, stepMs, measure });
  const run = runs.get(found.held) ?? runs.get(null);
  if (run === undefined) throw new Error('No rate was measured');
  return { run, found };
}

function report(settings: ProducerSettings, run: Run, found: Found | null): void {
  const { statistics, timeline, startMs, endMs } = run;
  const { isTTY, columns } = process.stdout;
  const width = Math.min(PLOT_WIDTH, columns || PLOT_WIDTH);
  const overTime = timeline.columns(startMs, endMs, columnsIn(width));
  const sentence = found === null ? null : foundSentence(found, settings.p99Ms ?? 0);
  if (settings.json) {
    const findMaxResult = found === null ? {} : { findMax: { ...found, sentence } };
    process.stdout.write(`${JSON.stringify({ ...statistics, overTime, ...findMaxResult })}\n`);
    return;
  }
  const fitted = (lines: string): string => (isTTY ? wrapped(lines, columns || PLOT_WIDTH) : lines);
  process.stdout.write(fitted(statisticsText(statistics)));
  // a very short run has nothing to plot
  if (settings.plot || (isTTY && overTime.length >= PLOT_COLUMNS_MIN))
    process.stdout.write(plotText(overTime));
  if (sentence !== null) process.stdout.write(fitted(`${sentence}\n`));
}

/** Writes the file of `--hdr`. Returns the reason if it fails, or `null`. */
function writeHistogram(file: number, run: Run, name: string | null): string | null {
  try {
    if (fstatSync(file).isFile()) ftruncateSync(file);
    writeFileSync(file, percentileText(run.latencyUs, US_PER_MS));
    closeSync(file);
    return null;
  } catch (error) {
    return `--hdr ${name} cannot be written: ${asError(error).message}`;
  }
}
