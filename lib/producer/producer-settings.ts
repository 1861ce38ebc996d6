import { ForebayError } from '../errors.js';
import {
  CheckError,
  milliseconds,
  onOff,
  optional,
  positiveNumber,
  text,
  wholeNumber,
} from '../settings/checks.js';
import type { OptionTable, Values } from '../settings/option-table.js';

function httpUrl(given: unknown): string {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '') return url.href;
  throw new CheckError('must be a URL that begins with http:// or https:// and holds no user name');
}

/** All settings of the producer; its flags come from this table alone. */
export const PRODUCER_SETTINGS = {
  url: {
    flag: 'url',
    initial: 'http://localhost:8081/events',
    unit: 'URL',
    help: 'where events are sent',
    check: httpUrl,
  },
  rate: {
    flag: 'rate',
    initial: 100,
    unit: 'NUMBER',
    help: 'events a second, of each worker',
    check: positiveNumber,
  },
  burst: {
    flag: 'burst',
    initial: 500,
    unit: 'EVENTS',
    help: 'events in all, shared out over the workers',
    check: wholeNumber(1),
  },
  workers: {
    flag: 'workers',
    initial: 1,
    unit: 'NUMBER',
    help: 'worker threads',
    check: wholeNumber(1, 1000),
  },
  maxInFlight: {
    flag: 'max-in-flight',
    initial: 256,
    unit: 'EVENTS',
    help: 'unanswered events of each worker; beyond it events leave late',
    check: wholeNumber(1, 65_535), // no more connections can go from one address to one port
  },
  timeoutMs: {
    flag: 'timeout',
    initial: 10_000,
    unit: 'MS',
    help: 'how long an answer may take; then the event counts as an error',
    check: milliseconds(1),
  },
  retry: {
    flag: 'retry',
    initial: false,
    unit: '',
    help: 'send again what got 429, 503 or no answer; where an answer was lost or late, that makes a duplicate',
    check: onOff,
  },
  file: {
    flag: 'file',
    initial: null,
    unit: 'FILE',
    help: 'send the lines of this file as events, each as it is; - is standard input',
    check: optional(text),
  },
  idPrefix: {
    flag: 'id-prefix',
    initial: null,
    unit: 'TEXT',
    help: 'what ids begin with: TEXT-WORKER-SEQUENCE; otherwise evt-RUN, with a new RUN each time',
    check: optional(text),
  },
  accepted: {
    flag: 'accepted',
    initial: null,
    unit: 'FILE',
    help: 'write the id of each accepted event to this file, one a line',
    check: optional(text),
  },
  json: {
    flag: 'json',
    initial: false,
    unit: '',
    help: 'print the statistics as one JSON object',
    check: onOff,
  },
  help: { flag: 'help', initial: false, unit: '', help: 'print this', check: onOff },
} as const satisfies OptionTable;

export type ProducerSettings = Values<typeof PRODUCER_SETTINGS>;

/** @throws ForebayError `SETTING_INVALID` where settings do not go together */
export function checkRelations({ file, accepted, burst, workers, idPrefix }: ProducerSettings): void {
  if (file === null) return;
  const { burst: anyBurst, workers: oneWorker } = PRODUCER_SETTINGS;
  const refuse = (flag: string, reason: string): never => {
    throw new ForebayError('SETTING_INVALID', { message: `--${flag} does not go with --file: ${reason}` });
  };
  if (burst !== anyBurst.initial) refuse('burst', 'every line is one event');
  if (workers !== oneWorker.initial) refuse('workers', 'one worker sends all lines');
  if (idPrefix !== null) refuse('id-prefix', 'the lines are sent as they are');
  if (accepted === file) refuse('accepted', 'it would overwrite the same file');
}
