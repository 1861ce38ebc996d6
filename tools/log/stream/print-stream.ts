import type {
  MessageRange,
  RestingMessage,
  RestingStreams,
} from '../../../lib/logs/jetstream/resting-streams.js';
import { EXIT } from '../exit-code.js';
import type { ExitCode } from '../exit-code.js';
import type { PrintOptions } from '../print-options.js';
import { inspectMessage } from './message-inspection.js';

/** A batch by its first and last message, as log lines and dead letters name it; or what is damaged, all or by its message. */
const NAME = /^(?:events_(\d+)(?:-(\d+))?|quarantine(?:\/(\d+))?)$/;

/** All that is damaged. */
const QUARANTINE = 'quarantine';

const PARTIAL =
  'damaged compressed lines: what cannot be read is left out (--raw prints all of it, compressed)';

/** Some messages of one of the streams. */
interface Chosen extends MessageRange {
  readonly stream: string;
}

export function isMessagesName(name: string): boolean {
  return NAME.test(name);
}

/**
 * Prints the events of the stream, or of named messages, oldest first.
 *
 * @throws ForebayError `LOG_SERVERS`, `LOG_UNUSABLE`, or the system's error of the output
 */
export async function printStream(
  streams: RestingStreams,
  { names, raw, output, tell }: Pick<PrintOptions, 'names' | 'raw' | 'output' | 'tell'>,
): Promise<ExitCode> {
  let code: ExitCode = EXIT.sound;
  const print = async (message: RestingMessage, stream: string): Promise<void> => {
    const { inspection, events, raw: asStored, isPartial } = await inspectMessage(message);
    const number = stream === streams.names.events ? message.seq : message.subject.slice(stream.length + 1);
    await output.write(raw ? asStored : events);
    const leftOut = isPartial ? PARTIAL : inspection.damaged.leftOut;
    if (raw || leftOut === '') return;
    code = EXIT.damaged;
    await tell(`${stream}: message ${number}, ${leftOut}`);
  };
  for (const name of names.length === 0 ? [null] : names) {
    const { stream, ...range } = name === null ? { stream: streams.names.events } : chosen(name, streams);
    let printed = 0;
    for await (const message of streams.messages(stream, range)) {
      if (output.closed) return code;
      await print(message, stream);
      printed++;
    }
    if (printed > 0 || name === null || name === QUARANTINE) continue;
    code = EXIT.damaged;
    await tell(`${name}: there is no such message (delivered meanwhile, or never there)`);
  }
  return code;
}

function chosen(name: string, { names }: RestingStreams): Chosen {
  const [, first, last = first, damaged] = NAME.exec(name) ?? [];
  if (first !== undefined) return { stream: names.events, from: Number(first), to: Number(last) };
  const stream = names.quarantine;
  return damaged === undefined ? { stream } : { stream, subject: `${stream}.${damaged}` };
}
