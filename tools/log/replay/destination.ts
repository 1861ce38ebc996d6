import { FrontDoor, keyHeader } from '../front-door.js';
import type { Outcome, WithEvent } from '../front-door.js';

/** Where events of a replay go. */
export interface Destination {
  /** In words: `http://…`, `the sink postgres`. */
  readonly name: string;
  /** Where they are before `finish`, in words. */
  readonly sent: string;
  /** Resolves when all are stored, or refused. @throws Error if it is not about these events; `AbortError` */
  send<T extends WithEvent>(body: readonly T[], outcome: Outcome<T>): Promise<void>;
  /** Resolves when all that was sent has gone where it is to go, or waiting for it has ended. */
  finish(): Promise<Finished>;
  close(): Promise<void>;
}

/** What has not gone where it is to go, in words. */
export interface Finished {
  readonly refused: readonly string[];
  /** What still waits; `null`: nothing. */
  readonly left: string | null;
}

export interface ServerOptions {
  readonly url: URL;
  readonly key: string | null;
  readonly idWindow: 'check' | 'pass';
  readonly tell: (line: string) => Promise<void>;
  /** Ends waiting. */
  readonly signal: AbortSignal;
}

/** The front door of a running server: it is asked again for as long as it is full. */
export function runningServer({ url, key, idWindow, tell, signal }: ServerOptions): Destination {
  const headers = {
    'forebay-replay': 'true',
    ...(idWindow === 'pass' && { 'forebay-id-window': 'pass' }),
    ...keyHeader(key),
  };
  const waits = async (waitMs: number, answer: string): Promise<void> =>
    tell(`waits ${Math.ceil(waitMs / 1000)} s: ${answer}`);
  const door = new FrontDoor({ url, headers, triesMax: Infinity, waits, signal });
  return {
    name: url.origin + url.pathname,
    sent: `sent again to ${url.origin}${url.pathname}`,
    send: async (body, outcome) => door.send(body, outcome),
    finish: async () => Promise.resolve({ refused: [], left: null }),
    close: async () => Promise.resolve(),
  };
}
