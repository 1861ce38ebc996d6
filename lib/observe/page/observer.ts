import { calledAs } from '../../base/called-as.js';
import type { LogReplicas, LogSpace } from '../../seams/event-log.js';
import type { Pause } from '../../seams/pause.js';
import type { RetainedUsage } from '../../seams/retention.js';
import { ERRORS } from '../../base/errors.js';
import type { ErrorCode } from '../../base/errors.js';
import { SECONDS } from '../../base/histogram.js';
import type { ObservedDoor, ObservedForebay } from './observed.js';
import type { Statistics } from '../../statistics.js';
import { VERSION } from '../../base/version.js';
import { History } from './history.js';
import { letterReasons } from './letter-reasons.js';
import type { HistoryMessage, Point, Resuming, Snapshot, WorkerStates } from './messages.js';
import { batchesOf, failureOf } from './observed.js';
import { RateWindow } from './rates.js';
import type { Rates } from './rates.js';
import { SourceWatch } from './source-states.js';

export interface ObserverOptions {
  readonly forebay: ObservedForebay;
  readonly door: ObservedDoor;
  /** Of Forebay: a page that was loaded from another version loads itself again. */
  readonly version?: string;
  /** Whether the page shows the start of the `data` of accepted events. */
  readonly showsData?: boolean;
  /** The processes that the server consists of; by default it is one. */
  readonly workers?: () => WorkerStates;
  /** By default only the program that it is part of ends a pause. */
  readonly resuming?: Resuming;
  /** As in a snapshot; by default those of a log of the kind that this one is. */
  readonly logFlags?: readonly string[] | null;
}

const NOBODY: Resuming = { toolFrom: 'nowhere', pid: null };
/** If the oldest event waits longer than this and none goes out, delivery stalls: batches come in pieces. */
const STALLED_SECONDS = 5;
/** The growth of the backlog is a mean over this many seconds: batches come and go in pieces. */
const GROWTH_POINTS = 30;

/** What the last look found. */
interface Look {
  readonly statistics: Statistics;
  readonly rates: Rates;
  readonly point: Point;
}

/** Looks at the pipeline once a second, and describes its state. */
export class Observer {
  readonly #options: ObserverOptions;
  readonly #history = new History();
  readonly #rates = new RateWindow(SECONDS);
  readonly #sources: SourceWatch;
  #look: Look | null = null;
  /** Since when the breaker has not been closed, on the clock of `performance.now()`. */
  #troubleSinceMs: number | null = null;
  /** What the disk said last. It is asked and never waited for: the page must show a disk that hangs. */
  #usage: LogSpace | null = null;
  /** The most that the queue held at any peek since the last look, and at that one. */
  #peak = { events: 0, bytes: 0 };
  #lastPeak = { events: 0, bytes: 0 };
  #isAsking = false;

  constructor(options: ObserverOptions) {
    this.#options = options;
    this.#sources = new SourceWatch(options.door, options.forebay, options.showsData ?? false);
  }

  /** To be called once a second, whether or not someone looks; costs some microseconds. */
  tick(): void {
    const { forebay, door } = this.#options;
    const statistics = forebay.statistics();
    if (statistics === null) return;
    const {
      events,
      groupEvents,
      failedEvents,
      ackSeconds,
      deliverySeconds,
      pendingBytes,
      oldestPendingSeconds,
      drainSeconds,
    } = statistics;
    const nowMs = performance.now();
    this.#sources.tick(nowMs);
    const backlogFull = refusedFor(door, 'BACKLOG_FULL');
    const connectionsFull = refusedFor(door, 'CONNECTIONS_MAX');
    const rates = this.#rates.add({
      atMs: nowMs,
      // what an earlier run left counts as accepted when it is read, and did not come in now
      in: groupEvents.sum - failedEvents,
      // a file of several batches counts as delivered when all of it is settled, which takes a slow sink long
      out: deliverySeconds.counts.reduce((sum, count) => sum + count, 0),
      refused: refusedBy429(door),
      backlogFull,
      connectionsFull,
      failed: failedEvents,
      ack: [...ackSeconds.counts],
    });
    const isStalled = pendingBytes > 0 && oldestPendingSeconds > STALLED_SECONDS && rates.out === 0;
    const point: Point = {
      atSeconds: Math.round(Date.now() / 1000),
      in: rounded(rates.in),
      out: rounded(rates.out),
      refused: rounded(rates.refused),
      p50Ms: rounded(rates.p50Ms),
      p99Ms: rounded(rates.p99Ms),
      backlogBytes: pendingBytes,
      // its pace is that of half a minute, which was another one
      drainSeconds: isStalled ? null : rounded(drainSeconds),
      deadLettered: events.deadLettered,
    };
    this.peek();
    this.#lastPeak = this.#peak;
    this.#peak = { events: 0, bytes: 0 };
    this.#history.add(point);
    this.#look = { statistics, rates, point };
    if (statistics.sink.breaker === 'closed') this.#troubleSinceMs = null;
    else this.#troubleSinceMs ??= nowMs;
  }

  /** The queue fills and empties many times a second: to be called some times between two looks, while someone looks. */
  peek(): void {
    const statistics = this.#options.forebay.statistics();
    if (statistics === null) return;
    const { queuedEvents, queuedBytes } = statistics;
    const { events, bytes } = this.#peak;
    this.#peak = { events: Math.max(events, queuedEvents), bytes: Math.max(bytes, queuedBytes) };
  }

  history(): HistoryMessage {
    return this.#history.message();
  }

  /** The state as of the last look; `null` before the first. */
  snapshot(): Snapshot | null {
    if (this.#look === null) return null;
    this.#ask();
    const { forebay, door, version = VERSION, resuming = NOBODY } = this.#options;
    const { logDir, queueSize, queueBytes, backlogBytesMax } = forebay.settings;
    const { kind, target = '', keepsNothing = false } = forebay.sink;
    const refusal = door.refusal();
    const { statistics, rates, point } = this.#look;
    const { events, sink, pendingBytes, oldestPendingSeconds } = statistics;
    const failure = failureOf(forebay);
    return {
      version,
      upSeconds: Math.round(process.uptime()),
      isHealthy: forebay.healthy,
      workers: this.#options.workers?.() ?? null,
      logDir,
      tools: { log: calledAs('log'), deadLetters: calledAs('dead-letters'), control: calledAs('control') },
      logFlags: this.#options.logFlags ?? (statistics.replicas === null ? null : ['--log', 'jetstream']),
      resuming,
      refusal: refusal && { code: refusal.code, reason: refusal.message },
      events,
      door: {
        inPerSecond: rates.in,
        refusedPerSecond: rates.refused,
        backlogFullPerSecond: rates.backlogFull,
        connectionsFullPerSecond: rates.connectionsFull,
        failedPerSecond: rates.failed,
        p50Ms: point.p50Ms,
        p99Ms: point.p99Ms,
        connections: door.connections,
      },
      queue: {
        ...this.#lastPeak,
        eventsMax: queueSize,
        bytesMax: queueBytes,
        drainMs: Math.round(statistics.queueDrainSeconds * 1000),
      },
      disk: {
        bytes: pendingBytes,
        bytesMax: backlogBytesMax,
        oldestSeconds: rounded(oldestPendingSeconds) ?? 0,
        drainSeconds: point.drainSeconds,
        roomSeconds: this.#roomSeconds(backlogBytesMax - pendingBytes),
        freeBytes: this.#usage?.freeBytes ?? null,
        sizeBytes: this.#usage?.sizeBytes ?? null,
        quarantineFiles: this.#usage?.quarantineFiles ?? null,
        retained: statistics.retained && retainedOf(statistics.retained),
        replicas: statistics.replicas && replicasOf(statistics.replicas),
      },
      sink: {
        kind,
        target,
        keepsNothing,
        outPerSecond: rates.out,
        breaker: sink.breaker,
        misconfigured: sink.misconfigured,
        troubleSeconds:
          this.#troubleSinceMs === null
            ? null
            : Math.round((performance.now() - this.#troubleSinceMs) / 1000),
        nextAttemptSeconds: sink.nextAttemptMs === null ? null : Math.ceil(sink.nextAttemptMs / 1000),
        running: sink.attempts.running,
        concurrency: sink.concurrency,
        paused: pauseState(statistics.paused),
        failuresInARow: sink.failuresInARow,
        failedAttempts: sink.attempts.failed,
        lastError: failure && {
          text: failure.text,
          agoSeconds: Math.max(0, Math.round((Date.now() - failure.atMs) / 1000)),
        },
      },
      batches: batchesOf(forebay, sink.breaker !== 'closed' || statistics.paused !== null),
      deadLetters: {
        isFull: sink.deadLettersFull,
        batchesAside: sink.batchesAside,
        isolatedEvents: sink.isolatedEvents,
        files: this.#usage?.deadLetterFiles ?? null,
        bytes: this.#usage?.deadLetterBytes ?? null,
        lately: events.deadLettered - (this.#history.oldest('deadLettered') ?? 0),
        reasons: letterReasons(this.#usage?.newestLetters ?? []),
      },
      sources: this.#sources.states(),
      point,
    };
  }

  /** @param backlogRoom what `--backlog-max` still allows, in bytes */
  #roomSeconds(backlogRoom: number): number | null {
    const growth = this.#history.growth('backlogBytes', GROWTH_POINTS) ?? 0;
    if (growth <= 0) return null;
    const room = Math.min(Math.max(0, backlogRoom), this.#usage?.freeBytes ?? Infinity);
    return Math.round(room / growth);
  }

  /** Asks for what is not in memory; the answer is for the next snapshot. */
  #ask(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const { forebay } = this.#options;
    void forebay.diskUsage().then((usage) => {
      this.#usage = usage;
      this.#isAsking = false;
    });
  }
}

function retainedOf({ files, bytes, oldestMs }: RetainedUsage): Snapshot['disk']['retained'] {
  if (files === null || files === 0 || bytes === null || oldestMs === null) return null;
  return { bytes, oldestSeconds: Math.max(0, Math.round((Date.now() - oldestMs) / 1000)) };
}

function replicasOf({ stream, replicas: wanted, servers }: LogReplicas): Snapshot['disk']['replicas'] {
  const missing = servers.filter(({ isCurrent }) => !isCurrent).map(({ name }) => name);
  const leader = servers.find(({ isLeader }) => isLeader)?.name ?? null;
  return { stream, wanted, current: servers.length - missing.length, leader, missing };
}

function pauseState(pause: Pause | null): Snapshot['sink']['paused'] {
  if (pause === null) return null;
  const { sinceMs, untilMs, by, reason } = pause;
  const secondsTo = (ms: number): number => Math.max(0, Math.round((ms - Date.now()) / 1000));
  const forSeconds = Math.max(0, Math.round((Date.now() - sinceMs) / 1000));
  return { forSeconds, by, reason, leftSeconds: untilMs === null ? null : secondsTo(untilMs) };
}

/** For whatever reason: a bound of the server, or of the client. */
function refusedBy429({ counts }: ObservedDoor): number {
  let events = 0;
  for (const codes of counts.refusedEvents.values())
    for (const [code, refused] of codes) if (ERRORS[code].status === 429) events += refused;
  return events;
}

function refusedFor({ counts }: ObservedDoor, code: ErrorCode): number {
  return counts.refusedFor(code);
}

/** To three decimals: more is noise, and costs bytes. `null` for what is not a number. */
function rounded(value: number | null): number | null {
  return value === null || !Number.isFinite(value) ? null : Math.round(value * 1000) / 1000;
}
