import { asError } from '../../base/errors.js';
import type { SinkDescription } from '../../seams/sink.js';
import { processFamilies, workerFamilies } from '../../observe/metrics/process-families.js';
import type { Family } from '../../observe/metrics/family.js';
import { countedBy, mergeFamilies } from '../../observe/metrics/merge-families.js';
import { exposition } from '../../observe/metrics/metrics-route.js';
import type { Exposition } from '../../observe/metrics/metrics-route.js';
import { ProcessStatistics } from '../../observe/metrics/process-statistics.js';
import { firstText, snapshotText } from '../../observe/page/live-feed.js';
import { Observer } from '../../observe/page/observer.js';
import { mergeProbes } from '../../observe/together/merge-probes.js';
import type { Missing } from '../../observe/together/merge-probes.js';
import type { OwnReports } from '../../observe/together/own-reports.js';
import type { Depth, ReportOf } from '../../observe/together/report.js';
import { Whole } from '../../observe/together/whole.js';
import type { Question, Reply } from './messages.js';
import type { Resuming } from '../../observe/page/messages.js';
import type { WorkerSlot } from './worker-slot.js';

const LOOK_MS = 1000;
/** How long a page may take to open once it has asked, in milliseconds. */
const OPENING_MS = 10_000;
/** How long metrics are reused for further requests, in milliseconds. */
const SHARED_MS = 1000;

export interface WholeViewOptions {
  readonly slots: readonly WorkerSlot[];
  /** Reports of what is delivered in this process. */
  readonly leftovers: readonly OwnReports[];
  readonly logDir: string;
  readonly sink: SinkDescription;
  readonly showsData: boolean;
  readonly resuming: Resuming;
}

/** How long what workers said to a probe is reused, in milliseconds. */
const PROBES_MS = 100;

/** What all workers said at one moment. */
interface Look {
  readonly reports: readonly ReportOf[];
  readonly missing: readonly Missing[];
  /** Those that were asked and did not answer in time: sums without them would be wrong. */
  readonly silent: readonly number[];
}

/** The server as operators see it: asks the workers how they are, and adds it up. */
export class WholeView {
  readonly #options: WholeViewOptions;
  readonly #whole: Whole;
  readonly #observer: Observer;
  readonly #process = new ProcessStatistics();
  /** The last metrics of each worker, and the counts of those that have ended: a sum never falls. */
  readonly #last = new Map<WorkerSlot, readonly Family[]>();
  #ended: readonly Family[] = [];
  #missing: readonly Missing[] = [];
  #pagesOpen = new Set<WorkerSlot>();
  readonly #timer: NodeJS.Timeout;
  #isLooking = false;
  /** A page that has asked is open soon: until then, on the clock of `performance.now()`, all is asked for. */
  #pageUntilMs = 0;
  #probes: { readonly atMs: number; readonly look: Promise<Look> } | null = null;
  readonly #made = new Map<boolean, { readonly atMs: number; readonly exposition: Promise<Exposition> }>();

  constructor(options: WholeViewOptions) {
    this.#options = options;
    const { logDir, sink, slots, showsData, resuming } = options;
    this.#whole = new Whole(logDir, sink);
    const workers = (): { number: number; missing: readonly Missing[] } => ({
      number: slots.length,
      missing: this.#missing,
    });
    this.#observer = new Observer({ forebay: this.#whole, door: this.#whole, workers, showsData, resuming });
    this.#timer = setInterval(() => void this.#tick(), LOOK_MS).unref();
  }

  async reply(question: Question): Promise<Reply> {
    try {
      switch (question.about) {
        case 'metrics':
          return { exposition: await this.#metrics(question.isOpen) };
        case 'health':
        case 'ready': {
          const { reports, missing } = await this.#askProbes();
          return { probe: mergeProbes(question.about, reports, missing) };
        }
        case 'page':
          this.#pageUntilMs = performance.now() + OPENING_MS;
          await this.#look('page');
          return { text: firstText(this.#observer) };
      }
    } catch (error) {
      return { failure: error instanceof Error ? error.message : String(error) };
    }
  }

  /** What was just asked for is old. */
  changed(): void {
    this.#probes = null;
  }

  /** Keeps what a worker has counted until now, as it has ended. */
  ended(slot: WorkerSlot): void {
    const last = this.#last.get(slot);
    this.#last.delete(slot);
    this.#pagesOpen.delete(slot);
    if (last === undefined) return;
    const parts = [this.#ended, countedBy(last)].map((families) => ({ worker: '', families }));
    this.#ended = mergeFamilies(parts);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#process.close();
    for (const reports of this.#options.leftovers) reports.close();
  }

  async #tick(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.#look(this.#depth);
    } catch (error) {
      process.emitWarning(asError(error)); // the page says that its data is old
      return;
    } finally {
      this.#isLooking = false;
    }
    this.#observer.tick();
    if (this.#pagesOpen.size === 0) return;
    const text = snapshotText(this.#observer);
    for (const slot of this.#pagesOpen) slot.tell({ kind: 'page', text });
  }

  /** What to ask for: each look replaces what an open page sees. */
  get #depth(): 'counts' | 'page' {
    return this.#pagesOpen.size > 0 || performance.now() < this.#pageUntilMs ? 'page' : 'counts';
  }

  /** Asks all, and keeps what they said for the page and for their end. */
  async #look(depth: Exclude<Depth, 'probes'>): Promise<Look> {
    const look = await this.#ask(depth);
    const { reports, missing } = look;
    for (const { worker, report } of reports) {
      const slot = this.#options.slots.find(({ number }) => number === worker);
      if (slot?.isReporting !== true) continue; // of no worker, or it has ended meanwhile
      this.#last.set(slot, report.families);
      if (report.pagesOpen > 0) this.#pagesOpen.add(slot);
      else this.#pagesOpen.delete(slot);
    }
    this.#whole.update(reports);
    this.#missing = missing;
    return look;
  }

  /** One question to all serves those who come within a moment: whoever asks fast costs the workers no more. */
  async #askProbes(): Promise<Look> {
    const nowMs = performance.now();
    if (this.#probes === null || nowMs - this.#probes.atMs > PROBES_MS)
      this.#probes = { atMs: nowMs, look: this.#ask('probes') };
    return this.#probes.look;
  }

  async #ask(depth: Depth): Promise<Look> {
    const { slots, leftovers } = this.#options;
    const left = leftovers.map(async (each) => ({ worker: 0, report: await each.report(0, depth) }));
    const asked = slots.filter(({ isReporting }) => isReporting);
    const answers = asked.map(async (slot) => ({ worker: slot.number, report: await slot.report(depth) }));
    const found = await Promise.all([...left, ...answers]);
    const reports = found.filter((each): each is ReportOf => each.report !== null);
    const heard = new Set(reports.map(({ worker }) => worker));
    const silent = asked.filter((slot) => slot.isReporting && !heard.has(slot.number));
    const missing = slots
      .filter(({ number }) => !heard.has(number))
      .map((slot) => ({
        worker: slot.number,
        why: silent.includes(slot) ? 'does not answer' : 'is being started',
      }));
    return { reports, missing, silent: silent.map(({ number }) => number) };
  }

  /** @throws Error if a worker does not answer: sums without it would be wrong */
  async #metrics(isOpen: boolean): Promise<Exposition> {
    const last = this.#made.get(isOpen);
    if (last !== undefined && performance.now() - last.atMs < SHARED_MS) return last.exposition;
    const made = this.#families().then(async (families) => exposition(families, isOpen));
    this.#made.set(isOpen, { atMs: performance.now(), exposition: made });
    made.catch(() => this.#made.delete(isOpen));
    return made;
  }

  async #families(): Promise<Family[]> {
    const { reports, silent } = await this.#look(this.#depth);
    if (silent.length > 0) throw new Error(`Worker ${silent.join(' and ')} does not answer`);
    const { slots } = this.#options;
    const restarts = slots.reduce((sum, slot) => sum + slot.restarts, 0);
    return mergeFamilies([
      { worker: '', families: this.#ended },
      ...reports.map(({ worker, report }) => ({ worker: String(worker), families: report.families })),
      {
        worker: 'supervisor',
        families: [...processFamilies(this.#process), ...workerFamilies(0, slots.length, restarts)],
      },
    ]);
  }
}
