import { Writable } from 'node:stream';
import type { ForebayError } from '../base/errors.js';
import { EVENTS, Histogram, SECONDS } from '../base/histogram.js';
import type { Reporter } from '../base/reporter.js';
import type { BacklogLedger } from '../intake/backlog-ledger.js';
import type { DiskWatch } from '../intake/disk-watch.js';
import type { BatchPart, EventLog, Group } from '../seams/event-log.js';

export interface CommitterOptions {
  readonly log: EventLog;
  /** Hears whether the log takes events. */
  readonly disk: DiskWatch;
  /** Hears whose events are in which batch. */
  readonly ledger: Pick<BacklogLedger, 'appended'>;
  readonly reporter: Reporter;
}

/**
 * Appends each group to the log, and acknowledges its events once they are durable, or with the error (N3). A log that
 * fails refuses the events at hand; the pipeline goes on.
 */
export class Committer extends Writable {
  /** Events acknowledged. */
  accepted = 0;
  /** Events that are not known to be in the log: their clients got the error. */
  failed = 0;
  /** How many events were appended together, and what that took. */
  readonly groupEvents = new Histogram(EVENTS);
  readonly groupSeconds = new Histogram(SECONDS);
  readonly #log: EventLog;
  readonly #disk: DiskWatch;
  readonly #ledger: Pick<BacklogLedger, 'appended'>;
  readonly #reporter: Reporter;
  /** Events that are not for the log to take: it is full, or they are too large. They are no failure of it. */
  #refused = 0;

  constructor({ log, disk, ledger, reporter }: CommitterOptions) {
    // one group at a time: what arrives meanwhile is the next one
    super({ objectMode: true, highWaterMark: 1 });
    this.#log = log;
    this.#disk = disk;
    this.#ledger = ledger;
    this.#reporter = reporter;
  }

  override _write(group: Group, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#commit(group).then(() => {
      done();
    }, done);
  }

  async #commit(group: Group): Promise<void> {
    const startMs = performance.now();
    const refusedBefore = this.#refused;
    await this.#log.append(group, this.#ended);
    const refused = this.#refused - refusedBefore;
    const events = group.reduce((sum, part) => sum + part.events, 0) - refused;
    if (events === 0) return;
    this.groupEvents.observe(events);
    this.groupSeconds.observe((performance.now() - startMs) / 1000);
  }

  readonly #ended = (part: BatchPart, error: ForebayError | null, batch: string | null): void => {
    if (batch !== null) this.#ledger.appended(part, batch);
    if (error === null) {
      this.accepted += part.events;
      this.#disk.took();
    } else {
      this.#report(part.events, error);
    }
    for (const { request, from, to } of part.ranges) request.acknowledge(from, to, error);
  };

  /** A full disk refuses events for hours: the log says so when it starts, and the counts go on. */
  #report(events: number, error: ForebayError): void {
    const { place } = this.#log;
    const event = { what: 'not appended', batch: '', events, place, code: error.code, error } as const;
    // a log that is full, or an event that is too large for it, is no trouble of the log
    const isOfClient = error.status !== null && error.status < 500;
    if (isOfClient) this.#refused += events;
    else this.failed += events;
    if (!isOfClient && this.#disk.refused(error)) this.#reporter.batch(event);
    else this.#reporter.recent.add(event);
  }
}
