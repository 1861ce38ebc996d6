import type { Socket } from 'node:net';
import { buildConnector } from 'undici';

const CONTINUE = Buffer.from('HTTP/1.1 100 ');
const HEAD_END = '\r\n\r\n';
const NOTHING = Buffer.alloc(0);

/**
 * Connects so that an unrequested `100 Continue` is accepted, as each client must (RFC 9110, 15.2). `undici` fails at
 * one, and accepts every other 1xx. So it is removed from the bytes that `undici` reads, which works while a
 * connection carries one request at a time.
 */
export function tolerantConnector(timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({ timeout: timeoutMs });
  return (options, callback) => {
    connect(options, (...result) => {
      const [error, socket] = result;
      if (error === null && socket !== null) leaveOutContinue(socket);
      callback(...result);
    });
  };
}

function leaveOutContinue(socket: Socket): void {
  const read = socket.read.bind(socket) as () => Buffer | null;
  /** The start of a possible `100 Continue`. */
  let held: Buffer = NOTHING;
  socket.read = (): Buffer | null => {
    for (let piece = read(); piece !== null; piece = read()) {
      let bytes = held.length === 0 ? piece : Buffer.concat([held, piece]);
      for (let end = endOfContinue(bytes); end > 0; end = endOfContinue(bytes)) bytes = bytes.subarray(end);
      const isBegin = endOfContinue(bytes) === -1;
      held = isBegin ? bytes : NOTHING;
      if (!isBegin && bytes.length > 0) return bytes;
    }
    return null;
  };
}

/** The end of a `100 Continue` at the start of these bytes; 0: there is none, -1: more bytes are needed. */
function endOfContinue(bytes: Buffer): number {
  if (bytes.length === 0) return 0;
  const length = Math.min(bytes.length, CONTINUE.length);
  if (bytes.compare(CONTINUE, 0, length, 0, length) !== 0) return 0;
  const end = bytes.indexOf(HEAD_END);
  return end === -1 ? -1 : end + HEAD_END.length;
}
