import { pino } from 'pino';
import type { Logger } from '../base/reporter.js';
import type { ServerSettings } from './server-settings.js';
import { harmless, printable } from '../base/terminal-text.js';

const COLOURS: Readonly<Record<string, string>> = {
  warn: '\u001b[33m',
  error: '\u001b[31m',
  debug: '\u001b[2m',
};
const DIM = '\u001b[2m';
const RESET = '\u001b[0m';

/** A line as pino writes it, as far as the text format uses it. */
interface Line {
  readonly level: string;
  readonly time: number;
  readonly msg: string;
  readonly code?: string;
  readonly worker?: number;
  readonly err?: { readonly message: string; readonly stack?: string };
}

/** Where log lines go: standard output or standard error. */
export type LogStream = Pick<NodeJS.WriteStream, 'isTTY' | 'writableLength' | 'write'>;

/**
 * The server's log lines: pino's JSON, or text for people, in colour on a terminal.
 *
 * @param worker which one writes them; `null`: the server
 */
export function createLogger(
  { logLevel, logFormat }: Pick<ServerSettings, 'logLevel' | 'logFormat'>,
  stream: LogStream,
  worker: number | null = null,
): Logger {
  const options = {
    level: logLevel,
    base: worker === null ? null : { worker },
    formatters: { level: (level: string) => ({ level }) },
  };
  const colour = stream.isTTY && process.env['NO_COLOR'] === undefined;
  return pino(options, {
    write(json: string) {
      writeLine(stream, logFormat === 'json' ? harmless(json) : asText(JSON.parse(json) as Line, colour));
    },
  });
}

/**
 * Node.js writes to a terminal synchronously: one that is stopped (Ctrl-S, a window that hangs) would stop the door. Like
 * a pipe it is waited for in the event loop then. A handle that does not know how stays as it is.
 */
export function neverWait(stream: NodeJS.WriteStream): NodeJS.WriteStream {
  const { _handle: handle } = stream as { _handle?: { setBlocking?: (isBlocking: boolean) => number } };
  if (stream.isTTY) handle?.setBlocking?.(false);
  return stream;
}

/** At most this many bytes of lines wait for a slow reader; beyond it lines are dropped, and memory stays bounded. */
const WAITING_BYTES_MAX = 2 ** 20;
let dropped = 0;

function writeLine(stream: LogStream, line: string): void {
  if (stream.writableLength > WAITING_BYTES_MAX) {
    dropped++;
    return;
  }
  if (dropped > 0)
    process.stderr.write(`forebay-server: ${dropped} log lines dropped, their reader is slow\n`);
  dropped = 0;
  stream.write(line);
}

/** `12:00:00.000 message`, with the worker, the level if it is not `info`, and the code if it has one. */
export function asText({ level, time, msg, code, worker, err }: Line, colour: boolean): string {
  const clock = new Date(time).toISOString().slice(11, 23);
  const who = worker === undefined ? '' : `worker ${worker}: `;
  const name = (level === 'info' ? '' : `${level.toUpperCase()} `) + (code === undefined ? '' : `${code} `);
  const cause = err === undefined || msg.includes(err.message) ? '' : ` (${err.message})`;
  const text = `${who}${name}${printable(`${msg}${cause}`)}`;
  return colour ? `${DIM}${clock}${RESET} ${COLOURS[level] ?? ''}${text}${RESET}\n` : `${clock} ${text}\n`;
}
