import { asError, ForebayError } from '../errors.js';
import { checkRelations, PRODUCER_SETTINGS } from '../producer/producer-settings.js';
import { produce } from '../producer/producer.js';
import { ProgressBar } from '../producer/progress-bar.js';
import { statisticsText } from '../producer/statistics.js';
import { helpText, readOptions } from '../settings/option-table.js';

const USAGE = `forebay-producer: sends events to a server at a steady rate, and tells what became of them.

  node bin/producer.js [--flag VALUE ...]

Events leave when they are due, whether or not earlier ones were answered; latency counts from then.
Exit code: 0 if every event was answered by 202 or 429, 1 if not, 2 for wrong flags, 130 after Ctrl-C.

`;

const EXIT = { done: 0, failed: 1, wrongSetting: 2, interrupted: 130 } as const;

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isSetting = error instanceof ForebayError && error.code === 'SETTING_INVALID';
  process.stderr.write(`forebay-producer: ${asError(error).message}\n`);
  process.exit(isSetting ? EXIT.wrongSetting : EXIT.failed);
}

async function main(argv: readonly string[]): Promise<number> {
  const settings = readOptions(PRODUCER_SETTINGS, argv);
  if (settings.help) {
    process.stdout.write(USAGE + helpText(PRODUCER_SETTINGS, false));
    return EXIT.done;
  }
  checkRelations(settings);

  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort()); // a second one ends the process at once
  const bar = new ProgressBar(process.stderr, settings.file === null ? settings.burst : null);
  const { statistics, failure } = await produce(settings, interrupt.signal, (progress) => bar.show(progress));
  bar.clear();
  process.stdout.write(settings.json ? `${JSON.stringify(statistics)}\n` : statisticsText(statistics));
  if (failure !== null) process.stderr.write(`forebay-producer: ${failure}\n`);
  if (interrupt.signal.aborted) return EXIT.interrupted;
  return failure === null && statistics.errors === 0 ? EXIT.done : EXIT.failed;
}
