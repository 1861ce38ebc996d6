import { CheckError, bytes, onOff, optional, spanMs, text, wholeNumber } from '../../lib/settings/checks.js';
import { invalid } from '../../lib/settings/setting-error.js';
import { keyName, sourceNames, timeMs } from '../../lib/keys/key-line.js';
import type { Tool } from '../log/program.js';
import { add, list, revoke } from './commands.js';
import { KeysFile } from './keys-file.js';

const SETTINGS = {
  keysFile: {
    flag: 'keys-file',
    initial: null,
    unit: 'FILE',
    help: 'the keys file; otherwise as the variable FOREBAY_KEYS_FILE says',
    check: optional(text),
  },
  expires: {
    flag: 'expires',
    initial: null,
    unit: 'TIME',
    help: 'add: when it expires, like 90d, 12h or 2027-01-31 (its first moment in UTC); without: never',
    check: optional(timeToCome),
  },
  sources: {
    flag: 'sources',
    initial: null,
    unit: 'NAME,…',
    help: 'add: the sources that it may send to; without: all',
    check: optional(sourceNames),
  },
  eventsPerSecond: {
    flag: 'events-per-second',
    initial: null,
    unit: 'NUMBER',
    help: 'add: how many events its holder may send, with all its keys; without: no bound',
    check: optional(wholeNumber(1)),
  },
  bytesPerSecond: {
    flag: 'bytes-per-second',
    initial: null,
    unit: 'BYTES',
    help: 'add: the same in bytes, like 64KiB',
    check: optional(bytes(1)),
  },
  older: {
    flag: 'older',
    initial: false,
    unit: '',
    help: 'revoke: all but the newest key of this name',
    check: onOff,
  },
} as const;

/** Makes, lists and revokes the keys of clients. */
export const KEYS_TOOL: Tool<typeof SETTINGS, 'add' | 'list' | 'revoke'> = {
  name: 'keys',
  settings: SETTINGS,
  variables: () => ['FOREBAY_KEYS_FILE'],
  commands: {
    add: {
      usage: [
        'add NAME',
        'prints a new key, once, and keeps only its hash. If NAME has a key already,',
        'this is a second one for the same holder, with the same sources and limits',
      ],
      only: ['expires', 'sources', 'eventsPerSecond', 'bytesPerSecond'],
      takesNames: true,
    },
    list: { usage: ['list', 'the keys without their secrets, oldest first'], only: [], takesNames: false },
    revoke: {
      usage: ['revoke NAME [--older]', 'removes the keys of NAME'],
      only: ['older'],
      takesNames: true,
    },
  },
  removed: {},
  about: 'makes, lists and revokes the keys of clients.',
  notes: `A server with --keys-file reads the file again within a second when it has changed.
To rotate a key: add NAME, give its holder the new key, then revoke NAME --older.
Run it as the user that the server runs as, or as root: the file keeps its owner.
Exit code: 0 if it was done, 1 if there is no key to revoke, 2 if the file cannot be used,
78 for a wrong flag, name or command.`,
  check({ command, names, settings: { keysFile } }) {
    if (keysFile === null) throw invalid('Say which file: --keys-file, or the variable FOREBAY_KEYS_FILE');
    if (command !== 'list' && names.length !== 1)
      throw invalid(`${command} takes one name, not ${names.length}`);
    for (const name of names) checkName(name);
  },
  run({ command, names: [name = ''], settings }, { fs, output, tell }) {
    const { keysFile, older, expires, sources, eventsPerSecond, bytesPerSecond } = settings;
    const look = { file: new KeysFile(fs, keysFile ?? ''), output, tell };
    if (command === 'list') return list(look);
    if (command === 'revoke') return revoke(look, name, older);
    return add(look, name, { sources, eventsPerSecond, bytesPerSecond }, expires);
  },
};

function checkName(name: string): void {
  try {
    keyName(name);
  } catch (error) {
    if (!(error instanceof CheckError)) throw error;
    throw invalid(`The name of a key ${error.message}, not ${JSON.stringify(name)}`);
  }
}

/** @returns milliseconds since 1970 */
function timeToCome(given: unknown): number {
  const value = String(given);
  const nowMs = Date.now();
  const ms = /[a-z]$/.test(value) ? nowMs + spanMs(value) : timeMs(value);
  if (ms > nowMs && ms < LATEST_MS) return ms;
  throw new CheckError('must be a time to come, like 90d, 12h, 2027-01-31 or 2027-01-31T12:00:00Z');
}

/** The last moment with a year of four digits. */
const LATEST_MS = Date.UTC(9999, 11, 31);
