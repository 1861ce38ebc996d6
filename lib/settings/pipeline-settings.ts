import {
  bytes,
  CheckError,
  directory,
  idWindow,
  milliseconds,
  oneOf,
  onOff,
  optional,
  retention,
  share,
  wholeNumber,
} from './checks.js';
import type { Check } from './checks.js';
import type { OptionTable, Values } from './option-table.js';

const fsync: Check<'always' | 'never' | number> = (given) => {
  if (given === 'always' || given === 'never') return given;
  try {
    return milliseconds(1)(given);
  } catch {
    throw new CheckError('must be "always", "never" or a whole number of milliseconds of at least 1');
  }
};

const sinkConcurrency: Check<number> = (given) => {
  if (given === 'auto') throw new CheckError('must be a whole number from 1 to 1000: "auto" was removed');
  return wholeNumber(1, 1000)(given);
};

/** The settings of the pipeline: what `createForebay` takes. */
export const PIPELINE_SETTINGS = {
  logDir: {
    flag: 'log-dir',
    initial: './append-log',
    unit: 'DIR',
    help: 'where events rest until the sink has confirmed them',
    check: directory,
  },
  fsync: {
    flag: 'fsync',
    initial: 'always',
    unit: 'always|MS|never',
    help: 'flush to the device before each 202, every MS milliseconds, or never',
    check: fsync,
  },
  queueSize: {
    flag: 'queue-size',
    initial: 10_000,
    unit: 'EVENTS',
    help: 'events in memory that are not on disk yet; beyond it 429',
    check: wholeNumber(1),
  },
  queueBytes: {
    flag: 'queue-bytes',
    initial: '64MiB',
    unit: 'BYTES',
    help: 'the same bound in bytes, bodies that are being read included',
    check: bytes(1024),
  },
  batchSize: {
    flag: 'batch-size',
    initial: 100,
    unit: 'EVENTS',
    help: 'events at which a batch ends',
    check: wholeNumber(1),
  },
  depthMax: {
    flag: 'depth-max',
    initial: 128,
    unit: 'LEVELS',
    help: 'how deep an event may be nested; beyond it 400',
    check: wholeNumber(1, 1000),
  },
  batchWaitMs: {
    flag: 'batch-wait',
    initial: 1000,
    unit: 'MS',
    help: 'time after its first event at which a batch ends, too',
    check: milliseconds(1),
  },
  batchBytes: {
    flag: 'batch-bytes',
    initial: '4MiB',
    unit: 'BYTES',
    help: 'bytes at which a batch ends, too',
    check: bytes(1),
  },
  fileEvents: {
    flag: 'file-events',
    initial: 5000,
    unit: 'EVENTS',
    help: 'while batches come fast, a file holds several: it ends with the one that reaches this many events, divided by --sink-concurrency',
    check: wholeNumber(1),
  },
  fileBytes: {
    flag: 'file-bytes',
    initial: '4MiB',
    unit: 'BYTES',
    help: 'the same bound in bytes',
    check: bytes(1),
  },
  logCompress: {
    flag: 'log-compress',
    initial: 'on',
    unit: 'on|off',
    help: 'compress files in the log directory that wait for the sink, or messages of a stream: --backlog-max counts what they take then',
    check: oneOf('on', 'off'),
  },
  logCompressAfterMs: {
    flag: 'log-compress-after',
    initial: 5000,
    unit: 'MS',
    help: 'how long a file waits before it is compressed; none is if the sink takes all within that time',
    check: milliseconds(0),
  },
  idWindowMs: {
    flag: 'id-window',
    initial: null,
    unit: 'TIME',
    help: 'an event of the source events whose id came within this time is answered 202 and not stored again; without: each is stored',
    check: optional(idWindow),
  },
  idConflict: {
    flag: 'id-conflict',
    initial: 'accept',
    unit: 'accept|reject',
    help: 'an event whose id came within --id-window with other content: a duplicate as well, or 409',
    check: oneOf('accept', 'reject'),
  },
  idWindowMax: {
    flag: 'id-window-max',
    initial: 1_000_000,
    unit: 'IDS',
    help: 'ids of each source that are kept, 40 bytes of memory each; beyond it the oldest go first',
    check: wholeNumber(1, 100_000_000),
  },
  ackTimeoutMs: {
    flag: 'ack-timeout',
    initial: 10_000,
    unit: 'MS',
    help: 'how long a request may wait for the disk; then 503',
    check: milliseconds(1),
  },
  backlogBytesMax: {
    flag: 'backlog-max',
    initial: '1GiB',
    unit: 'BYTES',
    help: 'batch files on disk, or messages of a stream, that wait for the sink; beyond it 429',
    check: bytes(1024),
  },
  deadLettersBytesMax: {
    flag: 'dead-letters-max',
    initial: '256MiB',
    unit: 'BYTES',
    help: 'events that the sink refused; beyond it refused batches wait on disk',
    check: bytes(1024),
  },
  retainMs: {
    flag: 'retain',
    initial: null,
    unit: 'TIME',
    help: 'how long delivered batches are kept, compressed, so that they can be sent again (forebay-log replay); without: not at all',
    check: optional(retention),
  },
  retainBytesMax: {
    flag: 'retain-max',
    initial: null,
    unit: 'BYTES',
    help: 'what they may take of the disk; beyond it the oldest go first. Alone: they are kept until then',
    check: optional(bytes(1024)),
  },
  clientShare: {
    flag: 'client-share',
    initial: 0.9,
    unit: '0..1',
    help: 'how much of what the others leave of queue, backlog and dead letters one client may have; beyond it 429; 1: all',
    check: share,
  },
  sinkConcurrency: {
    flag: 'sink-concurrency',
    initial: 1,
    unit: 'BATCHES',
    help: 'batches on their way to the sink at once; 1 keeps their order',
    check: sinkConcurrency,
  },
  sinkTriesMax: {
    flag: 'sink-tries-max',
    initial: null,
    unit: 'FAILURES',
    help: 'failures at one event, while the sink takes others, after which it is refused; without: none',
    check: optional(wholeNumber(1)),
  },
  discardBacklog: {
    flag: 'discard-backlog',
    initial: false,
    unit: '',
    help: 'let the simulated sink have, and so throw away, a backlog that was accepted for another sink',
    check: onOff,
  },
  replayWaitMs: {
    flag: 'replay-wait',
    initial: 30_000,
    unit: 'MS',
    help: 'how long replay may keep the door shut at start',
    check: milliseconds(0),
  },
  shutdownTimeoutMs: {
    flag: 'shutdown-timeout',
    initial: 10_000,
    unit: 'MS',
    help: 'how long a stop may wait for clients and the sink',
    check: milliseconds(0),
  },
} as const satisfies OptionTable;

export type PipelineSettings = Values<typeof PIPELINE_SETTINGS>;
