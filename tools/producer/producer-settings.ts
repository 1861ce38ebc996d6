import {
  bytes,
  CheckError,
  milliseconds,
  onOff,
  optional,
  text,
  wholeNumber,
} from '../../lib/settings/checks.js';
import type { OptionTable, Values } from '../../lib/settings/option-table.js';
import { PROGRAM_SETTINGS } from '../../lib/settings/program-settings.js';
import { invalid } from '../../lib/settings/setting-error.js';
import { EVENT_BYTES_MAX, madeUpBytesMin } from './outgoing-events.js';
import { duration, ramp, rateSteps } from './shape-checks.js';

/** The path of a URL without one. */
const EVENTS_PATH = '/events';

function httpUrl(given: unknown): string {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '') {
    if (url.pathname === '/' && url.search === '') url.pathname = EVENTS_PATH;
    return url.href;
  }
  throw new CheckError('must be a URL that begins with http:// or https:// and holds no user name');
}

/** All settings of the producer, and the only source of its flags. */
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
    initial: null,
    unit: 'NUMBER or STEPS',
    help: 'events a second, of each worker, like 500, or in steps like 100:10s,500:10s,1000; otherwise 100',
    check: optional(rateSteps),
  },
  ramp: {
    flag: 'ramp',
    initial: null,
    unit: 'FROM:TO:TIME',
    help: 'a rate that grows or falls evenly, like 100:5000:30s',
    check: optional(ramp),
  },
  burst: {
    flag: 'burst',
    initial: null,
    unit: 'EVENTS',
    help: 'events in all, shared out over the workers; otherwise 500, if nothing else says when it ends',
    check: optional(wholeNumber(1)),
  },
  durationMs: {
    flag: 'duration',
    initial: null,
    unit: 'TIME',
    help: 'how long events are sent, like 30s; otherwise until steps, a ramp, --burst or --file end',
    check: optional(duration),
  },
  bulk: {
    flag: 'bulk',
    initial: null,
    unit: 'EVENTS',
    help: 'events of a request, as NDJSON; otherwise each event is a request, as JSON',
    check: optional(wholeNumber(1, 1_000_000)),
  },
  size: {
    flag: 'size',
    initial: null,
    unit: 'BYTES',
    help: 'how long each made-up event is',
    check: optional(bytes(1, EVENT_BYTES_MAX)),
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
    unit: 'REQUESTS',
    help: 'unanswered requests of each worker; beyond it events leave late',
    check: wholeNumber(1, 65_535), // one address can have no more connections to one port
  },
  connections: {
    flag: 'connections',
    initial: null,
    unit: 'NUMBER',
    help: 'connections of each worker, at most; otherwise as many as --max-in-flight',
    check: optional(wholeNumber(1, 65_535)),
  },
  timeoutMs: {
    flag: 'timeout',
    initial: 30_000,
    unit: 'MS',
    help: 'how long a connection, the head of an answer and its body may take, each; then its events are errors',
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
  hdr: {
    flag: 'hdr',
    initial: null,
    unit: 'FILE',
    help: 'write the latencies of accepted events to this file, as the percentiles of an HdrHistogram',
    check: optional(text),
  },
  plot: {
    flag: 'plot',
    initial: false,
    unit: '',
    help: 'draw latency and throughput over time; on a terminal that is done without it',
    check: onOff,
  },
  findMax: {
    flag: 'find-max',
    initial: false,
    unit: '',
    help: 'find the highest rate at which --p99 holds, beginning with --rate',
    check: onOff,
  },
  p99Ms: {
    flag: 'p99',
    initial: null,
    unit: 'TIME',
    help: 'the bound of --find-max, like 50ms: 99 of 100 events are accepted within it',
    check: optional(duration),
  },
  stepMs: {
    flag: 'step',
    initial: null,
    unit: 'TIME',
    help: 'how long --find-max measures a rate; otherwise 5s',
    check: optional(duration),
  },
  json: {
    flag: 'json',
    initial: false,
    unit: '',
    help: 'print the statistics as one JSON object',
    check: onOff,
  },
  ...PROGRAM_SETTINGS,
} as const satisfies OptionTable;

export type ProducerSettings = Values<typeof PRODUCER_SETTINGS>;

/** The largest request, in bytes: it is built in memory, and no server takes one near this size. */
const REQUEST_BYTES_MAX = 2 ** 30;

/** How long `--find-max` measures a rate, in milliseconds. */
export const STEP_MS = 5000;

/** @throws ForebayError `SETTING_INVALID` if settings contradict each other */
export function checkRelations(settings: ProducerSettings): void {
  const given = new Set(
    Object.entries(PRODUCER_SETTINGS)
      .filter(([key, { initial }]) => settings[key as keyof ProducerSettings] !== initial)
      .map(([, { flag }]) => flag as string),
  );
  const refuse = (flags: readonly string[], other: string, reason: string): void => {
    const flag = flags.find((each) => given.has(each));
    if (flag !== undefined) throw invalid(`--${flag} does not go with ${other}: ${reason}`);
  };
  if (given.has('find-max')) {
    if (settings.p99Ms === null) throw invalid('--find-max needs --p99, like --p99 50ms');
    refuse(['burst', 'duration', 'ramp'], '--find-max', 'it chooses rates and times itself');
    refuse(['file'], '--find-max', 'its steps would need more events than a file has');
    refuse(['retry'], '--find-max', 'an event that is refused is not accepted in time');
    refuse(['accepted'], '--find-max', 'most of its steps are not reported');
    if ((settings.rate?.[0]?.durationMs ?? null) !== null)
      throw invalid('--rate in steps does not go with --find-max: it begins with one rate');
    if (settings.p99Ms > (settings.stepMs ?? STEP_MS) / 10)
      throw invalid('--p99 must be a tenth of --step or less: else a queue has no time to grow beyond it');
  } else refuse(['p99', 'step'], 'a run without --find-max', 'it is a bound of that');
  if (given.has('ramp')) refuse(['rate'], '--ramp', 'both say the rate');
  if (given.has('json')) refuse(['plot'], '--json', 'that has the numbers of it, as overTime');
  if ((settings.connections ?? 0) > settings.maxInFlight)
    throw invalid('--connections must not be more than --max-in-flight: each carries one request at a time');
  checkFiles(settings, refuse);
  const { size, idPrefix, workers } = settings;
  const sizeMin = madeUpBytesMin(idPrefix ?? 'evt-0123456789', workers);
  if (size !== null && size < sizeMin)
    throw invalid(`--size must be at least ${sizeMin}: the rest of an event`);
  if ((size ?? 0) * (settings.bulk ?? 1) > REQUEST_BYTES_MAX)
    throw invalid(`--size does not go with --bulk ${settings.bulk}: a request would be larger than 1 GiB`);
}

function checkFiles(
  { file, accepted, hdr }: ProducerSettings,
  refuse: (flags: readonly string[], other: string, reason: string) => void,
): void {
  if (accepted !== null && accepted === hdr)
    refuse(['hdr'], '--accepted', 'it would overwrite the same file');
  if (file === null) return;
  refuse(['burst'], '--file', 'every line is one event');
  refuse(['workers'], '--file', 'one worker sends all lines');
  refuse(['id-prefix', 'size'], '--file', 'the lines are sent as they are');
  if (accepted === file) refuse(['accepted'], '--file', 'it would overwrite the same file');
  if (hdr === file) refuse(['hdr'], '--file', 'it would overwrite the same file');
}
