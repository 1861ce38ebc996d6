import { hostname, userInfo } from 'node:os';
import { asError } from '../../lib/base/errors.js';
import { CheckError, httpUrl, onOff, optional, spanMs, text } from '../../lib/settings/checks.js';
import { invalid } from '../../lib/settings/setting-error.js';
import { readKey } from '../log/front-door.js';
import type { Tool } from '../log/program.js';
import { pause, resume, status } from './commands.js';
import { ControlledServer, KEY_VARIABLE, URL_VARIABLE } from './server.js';

const URL_DEFAULT = 'http://127.0.0.1:8081';

const SETTINGS = {
  url: {
    flag: 'url',
    initial: null,
    unit: 'URL',
    help: `the operators' address, or with keys the server; otherwise as the variable ${URL_VARIABLE} says, or ${URL_DEFAULT}`,
    check: optional(urlWithoutKey),
  },
  keyFile: {
    flag: 'key-file',
    initial: null,
    unit: 'FILE',
    help: `a file with a key for "control"; otherwise the variable ${KEY_VARIABLE} has the key; without: none`,
    check: optional(text),
  },
  by: {
    flag: 'by',
    initial: null,
    unit: 'NAME',
    help: 'who pauses or resumes; without: USER@HOST',
    check: optional(text),
  },
  reason: {
    flag: 'reason',
    initial: null,
    unit: 'TEXT',
    help: 'pause: why, for the page, the log and status',
    check: optional(text),
  },
  for: {
    flag: 'for',
    initial: null,
    unit: 'TIME',
    help: 'pause: ends by itself after this time, like 30min or 4h, at most 7d',
    check: optional(span),
  },
  json: { flag: 'json', initial: false, unit: '', help: 'prints one line of JSON', check: onOff },
} as const;

/** Pauses delivery, and lets it go on. */
export const CONTROL_TOOL: Tool<typeof SETTINGS, 'pause' | 'resume' | 'status'> = {
  name: 'control',
  settings: SETTINGS,
  variables: () => [],
  commands: {
    pause: {
      usage: [
        'pause [--reason TEXT] [--for TIME]',
        'starts no further attempt at the sink; events are taken and wait on disk. It stays so',
        'over restarts, until resume. If delivery is paused already, that pause stays as it is',
      ],
      only: ['reason', 'for'],
      takesNames: false,
    },
    resume: { usage: ['resume', 'lets delivery go on'], only: [], takesNames: false },
    status: {
      usage: ['status', 'since when delivery is paused, by whom and why, and what is pending; needs no key'],
      only: [],
      takesNames: false,
    },
  },
  removed: {},
  about: 'pauses the delivery of a running server, and lets it go on.',
  notes: `Without keys, the server takes it on the operators' address (--admin-port) from its own machine alone,
by a loopback name (localhost, 127.0.0.1); the signal SIGUSR2 pauses and resumes as well. NODE_EXTRA_CA_CERTS names a
certificate authority that is not public.
Exit code: 0 if it is so now, whether or not it was before; 1 if the server refuses, 2 if it does not answer, or
cannot keep the pause: it may or may not be so then, and the command may be repeated; 78 for a wrong flag, command or
key file.`,
  check() {
    // each setting by itself
  },
  async run({ command, settings }, { environment, fs, output, tell }) {
    const { url, by, reason, for: forSeconds, json: isJson } = settings;
    const address = url ?? urlOf(environment[URL_VARIABLE] ?? URL_DEFAULT);
    const key = (await readKey(fs, settings.keyFile)) ?? (environment[KEY_VARIABLE]?.trim() || null);
    const server = new ControlledServer(address, key);
    const look = { server, output, tell, isJson };
    const who = by ?? caller();
    if (command === 'status') return status(look);
    if (command === 'resume') return resume(look, { by: who });
    return pause(look, {
      by: who,
      ...(reason !== null && { reason }),
      ...(forSeconds !== null && { forSeconds }),
    });
  },
};

function caller(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    return `someone@${hostname()}`; // the user has no name
  }
}

/** @throws ForebayError `SETTING_INVALID` */
function urlOf(given: string): URL {
  try {
    return urlWithoutKey(given);
  } catch (error) {
    throw invalid(`${URL_VARIABLE} ${asError(error).message}`);
  }
}

/** Other users of the machine see command lines. */
function urlWithoutKey(given: unknown): URL {
  const url = httpUrl(given);
  if (url.username === '' && url.password === '') return url;
  throw new CheckError(`must have no key in it: --key-file, or ${KEY_VARIABLE}`, true);
}

/** @returns seconds */
function span(given: unknown): number {
  const ms = spanMs(String(given));
  if (ms >= 1000 && ms <= 7 * 86_400_000) return ms / 1000;
  throw new CheckError('must be a time like 30min or 4h, from 1s to 7d');
}
