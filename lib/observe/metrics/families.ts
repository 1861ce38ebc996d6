import type { LogSpace } from '../../seams/event-log.js';
import type { Forebay } from '../../forebay.js';
import type { Door } from '../../door/door.js';
import type { Statistics } from '../../statistics.js';
import { counter, gauge, histogram, labelled } from './family.js';
import type { Family } from './family.js';
import { idFamilies } from './id-families.js';
import { keyFamilies } from './key-families.js';
import { pauseFamilies } from './pause-families.js';
import { processFamilies, workerFamilies } from './process-families.js';
import type { ProcessStatistics } from './process-statistics.js';
import { eventLogFamilies } from './event-log-families.js';
import { REFUSALS } from './refusals.js';
import { spanFamilies } from './span-families.js';

export interface Sources {
  readonly forebay: Forebay;
  readonly door: Door;
  readonly statistics: Statistics;
  readonly disk: LogSpace;
  readonly process: ProcessStatistics;
}

/** Bounds that are set, not counted: those of a log that takes no events are no part of the sums. */
const BOUND = /_max$|^forebay_sink_concurrency$/;

type LogSources = Pick<Sources, 'forebay' | 'statistics' | 'disk'>;

/** The metrics of a log directory whose leftovers are delivered beside a door. */
export function leftoverFamilies(sources: LogSources): Family[] {
  const all = [...logFamilies(sources), ...sinkFamilies(sources), ...eventLogFamilies(sources.statistics)];
  return all.filter(({ name }) => !BOUND.test(name));
}

/** All metrics, read from the parts that count. */
export function families(sources: Sources): Family[] {
  return [
    ...doorFamilies(sources),
    ...logFamilies(sources),
    ...sinkFamilies(sources),
    ...[pauseFamilies, eventLogFamilies].flatMap((familiesOf) => familiesOf(sources.statistics)),
    ...spanFamilies(sources.door.counts.spans),
    ...processFamilies(sources.process),
    ...workerFamilies(1, 1, 0),
  ];
}

function doorFamilies({ forebay, door, statistics }: Sources): Family[] {
  const { settings } = forebay;
  const { answered, acceptedEvents, idsMade, refusedEvents } = door.counts;
  const refused = [...refusedEvents].flatMap(([source, codes]) =>
    [...codes].map(([code, value]) => ({ value, labels: { source, code } })),
  );
  const requests = [...answered].flatMap(([path, statuses]) =>
    [...statuses].map(([status, value]) => ({
      value,
      labels: { path, status: status === 0 ? 'aborted' : String(status) },
    })),
  );
  const { queuedEvents, queuedBytes, ackSeconds } = statistics;
  const usage = forebay.clientUsage();
  const refusal = door.refusal()?.code;
  return [
    counter(
      'http_requests',
      'Requests by path and status; aborted: the client was gone before its answer (of pipelined ones not each).',
      requests,
    ),
    gauge('http_connections', 'Open connections.', door.connections),
    counter(
      'http_connections_refused',
      'Connections that were answered 429, as --connections-max were open.',
      door.refusedConnections,
    ),
    counter(
      'http_connections_dropped',
      'Connections that were closed unanswered: too many even to be refused, they sent nothing, or took no answer.',
      door.droppedConnections,
    ),
    counter(
      'http_connections_handed_over',
      'Connections that left the fast path: slower, and no fault.',
      door.handedOverConnections,
    ),
    counter(
      'tls_handshakes_failed',
      'Failed TLS handshakes by reason; plain_http: the client spoke no TLS.',
      labelled('reason', door.failedHandshakes),
    ),
    gauge(
      'tls_certificate_expiry_seconds',
      'When the certificate of --tls-cert expires, in seconds since 1970.',
      door.certificateExpirySeconds,
      'min',
    ),
    gauge(
      'clients',
      'Clients with events in the queue, in the log or among the dead letters.',
      usage?.clients ?? null,
    ),
    gauge(
      'client_share_largest',
      'The largest share that one client has of the queue, the backlog or the dead letters, from 0 to 1.',
      labelled('of', Object.entries(usage?.largest ?? {})),
      'max',
    ),
    counter(
      'events_refused',
      'Events refused by source and error code, see docs/errors.md; a request refused unread is one, IN_DOUBT may be delivered.',
      refused,
    ),
    counter(
      'source_events_accepted',
      'Events answered with success and stored, by source: no duplicates.',
      labelled('source', acceptedEvents),
    ),
    counter(
      'source_ids_made',
      'Of these, events whose sender gave no id: sent again, they are other events.',
      labelled('source', idsMade),
    ),
    ...idFamilies(forebay.idUsage(), statistics),
    ...keyFamilies(door.keys),
    gauge(
      'refusing',
      'What a POST /events of a new client would be refused with now, by error code: 1 for that one; all 0: it would be taken.',
      labelled(
        'code',
        [...new Set([...REFUSALS, refusal ?? 'QUEUE_FULL'])].map((code) => [code, Number(code === refusal)]),
      ),
      'max',
    ),
    gauge('queue_events', 'Events in memory that are not on disk yet.', queuedEvents),
    gauge('queue_events_max', 'The bound of forebay_queue_events (--queue-size).', settings.queueSize),
    gauge('queue_bytes', 'Bytes of the events in memory that are not on disk yet.', queuedBytes),
    gauge('queue_bytes_max', 'The bound of forebay_queue_bytes (--queue-bytes).', settings.queueBytes),
    histogram(
      'ack_seconds',
      'From when the events of a request were whole until they were on disk and the 202 was sent.',
      ackSeconds,
    ),
  ];
}

function logFamilies({ forebay: { settings }, statistics, disk }: LogSources): Family[] {
  const { accepted, delivered, deadLettered, quarantined, pending, unreadBatches } = statistics.events;
  return [
    counter(
      'events_accepted',
      'Events answered with 202, or found on disk when this run read them.',
      accepted,
    ),
    counter('events_delivered', 'Events that the sink confirmed and that are off the disk.', delivered),
    counter('events_dead_lettered', 'Events that the sink refused, set aside with its reason.', deadLettered),
    counter('events_quarantined', 'Events found damaged on disk and set aside.', quarantined),
    counter(
      'events_failed',
      'Events that the disk did not take; their clients got 503.',
      statistics.failedEvents,
    ),
    counter(
      'files_torn',
      'Batch files cut off by a crash; what was cut off was never acknowledged.',
      statistics.tornFiles,
    ),
    gauge('pending_events', 'Events on disk, neither delivered nor set aside.', pending),
    gauge(
      'pending_bytes',
      'What waits takes of the disk: batch files in whole blocks of 4,096 bytes, messages of a stream as they are stored.',
      statistics.pendingBytes,
    ),
    gauge(
      'pending_bytes_max',
      'The bound of forebay_pending_bytes (--backlog-max).',
      settings.backlogBytesMax,
    ),
    gauge(
      'unread_batches',
      'Batches of earlier runs whose events are in no other number yet.',
      unreadBatches,
    ),
    gauge(
      'unaccounted_events',
      'Accepted minus delivered, dead lettered, quarantined and pending events: always 0. Not with --log jetstream.',
      statistics.replicas === null ? accepted - delivered - deadLettered - quarantined - pending : null,
    ),
    gauge(
      'oldest_pending_seconds',
      'Age of the oldest event on disk; 0: there is none.',
      statistics.oldestPendingSeconds,
      'max',
    ),
    gauge(
      'drain_seconds',
      'Time to deliver everything pending at the recent rate, in which the last half minute counts most.',
      statistics.drainSeconds,
      'max',
    ),
    histogram('group_commit_events', 'Events written and flushed together.', statistics.groupEvents),
    histogram('group_commit_seconds', 'What it took to write and flush them.', statistics.groupSeconds),
    counter(
      'batches_sealed',
      'Batches by what ended them: size, bytes, time, stop, or a failure of the disk.',
      labelled('reason', Object.entries(statistics.sealedBy)),
    ),
    gauge(
      'dead_letter_files',
      'Files in dead-letters/, one for each batch that had some.',
      disk.deadLetterFiles,
    ),
    gauge('dead_letter_bytes', 'Their bytes.', disk.deadLetterBytes),
    gauge(
      'dead_letter_bytes_max',
      'The bound of these bytes (--dead-letters-max).',
      settings.deadLettersBytesMax,
    ),
    gauge(
      'dead_letters_full',
      '1 while refused events have no room below that bound: their batches wait on disk.',
      Number(statistics.sink.deadLettersFull),
      'max',
    ),
    gauge(
      'batches_aside',
      'Batches that wait on disk until their refused events can become dead letters; others are delivered.',
      statistics.sink.batchesAside,
    ),
    gauge(
      'isolated_events',
      'Events that the sink fails at while it takes others. They wait apart, on disk, and are tried on.',
      statistics.sink.isolatedEvents,
    ),
    gauge(
      'quarantine_files',
      'Files, or messages of a stream, in the quarantine: damage to look at.',
      disk.quarantineFiles,
    ),
    gauge('disk_free_bytes', 'What the disk of the log directory still takes.', disk.freeBytes, 'min'),
    gauge('disk_size_bytes', 'The size of that disk.', disk.sizeBytes, 'min'),
    gauge('disk_free_inodes', 'Files that can still be created on that disk.', disk.freeInodes, 'min'),
    gauge('disk_inodes', 'How many files there can be on it.', disk.inodes, 'min'),
  ];
}

function sinkFamilies({ statistics }: Pick<Sources, 'statistics'>): Family[] {
  const { sink } = statistics;
  const { taken, refused, failed, running } = sink.attempts;
  const states = (['closed', 'half-open', 'open'] as const).map((state): [string, number] => [
    state,
    Number(sink.breaker === state),
  ]);
  return [
    counter(
      'sink_attempts',
      'Attempts of delivery by how they ended: taken, refused for good, or failed.',
      labelled('outcome', Object.entries({ taken, refused, failed })),
    ),
    gauge('sink_attempts_running', 'Attempts that wait for the answer of the sink.', running),
    gauge(
      'sink_breaker',
      'The state of the circuit breaker: 1 for the one it is in.',
      labelled('state', states),
      'worst',
    ),
    counter('sink_breaker_openings', 'How often the breaker has opened.', sink.openings),
    gauge(
      'sink_failures_in_a_row',
      'Failed attempts since the last that the sink answered well.',
      sink.failuresInARow,
      'max',
    ),
    gauge(
      'sink_misconfigured',
      '1 while the sink is left alone because it is set up wrongly: a token, a right, a path, a table.',
      Number(sink.misconfigured),
      'max',
    ),
    gauge('sink_concurrency', 'Batches that may be on their way at once.', sink.concurrency),
    counter(
      'delivery_failures',
      'Attempts to read, deliver or delete a batch that failed and were repeated.',
      statistics.deliveryFailures,
    ),
    histogram(
      'delivery_seconds',
      'From the first event of a batch until the sink confirmed it, once for each of its events.',
      statistics.deliverySeconds,
    ),
  ];
}
