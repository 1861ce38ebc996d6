import type { Logger } from '../../lib/base/reporter.js';
import { Forebay } from '../../lib/forebay.js';
import type { Sink } from '../../lib/seams/sink.js';
import { Clients } from './clients.js';
import { IdClients, rulesOf } from './id-clients.js';
import type { WindowSettings } from './known-ids.js';
import type { Ledger } from './ledger.js';
import { moodySink } from './moody-sink.js';
import type { Moods, SinkMemory } from './moody-sink.js';
import type { Pauses } from './pauses.js';
import type { RunSettings } from './run-settings.js';
import type { SimulatedDisk, Surroundings } from './simulated-disk.js';
import { isBatchFile } from './surviving-log.js';
import { dropLettersNowAndThen } from './operator.js';
import { afterDrain } from './virtual-process.js';

export type Phase = 'starting' | 'start failed' | 'running' | 'stopping' | 'stopped';

/** What ends the time that is given to a life. */
export interface Bound {
  /** After this many steps, */
  readonly steps: number;
  /** or when the disk is doing this for the n-th time, */
  readonly during: { readonly phase: string; readonly times: number } | null;
  /** or when this holds. */
  readonly until?: () => boolean;
}

export interface LifeOptions {
  readonly around: Surroundings;
  readonly ledger: Ledger;
  readonly disk: SimulatedDisk;
  readonly settings: RunSettings;
  readonly moods: Moods;
  readonly sink: SinkMemory;
  /** Whether another life may come to be on the same disk. */
  readonly sharesDisk?: boolean;
  /** What the names of its clients begin with. */
  readonly clientNames?: string;
  /** Whether ids are remembered, and how. */
  readonly window: WindowSettings | null;
  /** Who pauses delivery; `null`: nobody does. */
  readonly pauses: Pauses | null;
}

/** One run of Forebay on a simulated disk, from its start until it stops or someone cuts it off. */
export class Life {
  readonly clients: Clients;
  readonly idClients: IdClients | null;
  /** Other lives that go on at the same time. */
  readonly beside: Life[] = [];
  phase: Phase = 'starting';
  #replaying = false;
  #broken: string | null = null;
  /** Whether it has said that its id window has failed. */
  #hasForgotten = false;
  #phaseStarts = 0;
  #wasInPhase = false;
  readonly #faultsBefore: number;
  readonly #movedBefore: number;
  readonly #forebay: Forebay;
  readonly #options: LifeOptions;

  constructor(options: LifeOptions) {
    const { around, ledger, disk, settings, moods, window, pauses, clientNames = 'client' } = options;
    this.#options = options;
    this.#faultsBefore = disk.faults.happened;
    this.#movedBefore = ledger.moved.length;
    const inOrder = settings.sinkConcurrency === 1 && options.sharesDisk !== true;
    const moody = moodySink(around, ledger, options.sink, moods, inOrder);
    const deliver: Sink['deliver'] = async (batch, signal) => {
      pauses?.attempt(batch.name);
      return moody.deliver(batch, signal);
    };
    const sink = pauses === null ? moody : { ...moody, deliver };
    const ofIds = window === null ? {} : { idRules: rulesOf(window), idWindowMax: window.idsMax };
    this.#forebay = new Forebay({ ...settings, ...ofIds, sink, fs: disk.fs, logger: this.#logger() });
    const isOpen = (): boolean => this.phase === 'running';
    this.clients = new Clients(around, ledger, this.#forebay, clientNames, isOpen);
    this.idClients = window && new IdClients(around, ledger, this.#forebay, window, clientNames, isOpen);
    disk.heardFailedFlush = (path) => {
      if (path.includes('/id-window')) this.#mayForget('a flush failed');
    };
    disk.heardReplaced = (from, to) => {
      // a compressed copy of the same file is no other one
      if (to.includes('/retained/') && !from.includes('.copy-'))
        ledger.violated(`a file that was kept is overwritten: ${to}`);
    };
    this.#forebay.broken.catch((error: unknown) => {
      this.#broken = String(error);
    });
  }

  start(): void {
    const { around, ledger, disk, settings, pauses } = this.#options;
    if (settings.deadLettersBytesMax !== undefined) {
      dropLettersNowAndThen(around, ledger, disk, settings.logDir ?? '');
    }
    this.#forebay.start().then(
      () => {
        this.#options.around.trace.add('  started');
        if (this.phase === 'starting') this.phase = 'running';
        pauses?.started(this.#forebay);
      },
      (error: unknown) => {
        this.#startFailed(error);
      },
    );
  }

  /** Lets clients send. */
  beginSending(): void {
    this.clients.begin();
    this.idClients?.begin();
    this.#options.pauses?.changeNowAndThen(this.#forebay);
  }

  /** Whether the operator was answered well; also if there is none. */
  async pause(): Promise<boolean> {
    return this.#options.pauses?.pause(this.#forebay) ?? true;
  }

  async resume(): Promise<boolean> {
    return this.#options.pauses?.resume(this.#forebay) ?? true;
  }

  /** It is over: what it said of its id window holds for all that came since. */
  ended(): void {
    if (this.#hasForgotten) this.#mayForget('the window failed');
    for (const each of this.beside) each.ended();
  }

  /** Events that were sent and have no answer yet. */
  get #unanswered(): number {
    return this.clients.unanswered + (this.idClients?.unanswered ?? 0);
  }

  #mayForget(why: string): void {
    const { ledger, clientNames = 'client' } = this.#options;
    ledger.ids.mayBeForgotten(clientNames, why);
  }

  stop(): void {
    if (this.phase === 'start failed') return;
    this.#options.around.trace.add('  stop() is called');
    this.phase = 'stopping';
    this.#forebay.stop().then(
      () => {
        this.#stopped();
      },
      (error: unknown) => {
        this.#stopFailed(error);
      },
    );
  }

  /** Lets things happen, one after the other, up to the bound. `false`: nothing is left to happen. */
  async live(bound: Bound): Promise<boolean> {
    const { time, trace } = this.#options.around;
    this.#phaseStarts = 0;
    this.#wasInPhase = false;
    let steps = 0;
    return new Promise((resolve) => {
      const step = (): void => {
        this.check();
        for (const each of this.beside) each.check();
        if (this.#isOver(bound, steps)) {
          resolve(true);
          return;
        }
        const next = time.next();
        if (next === null) {
          resolve(false);
          return;
        }
        steps++;
        trace.add(`${time.nowMs.toFixed(3)} ${next.label}`);
        const run = next.run;
        next.run = null;
        run?.();
        afterDrain(step);
      };
      afterDrain(step);
    });
  }

  /** Whether the door is open, as a load balancer is told. */
  get isReady(): boolean {
    return this.#forebay.unready() === null;
  }

  /** How many events it says are on disk and not delivered. */
  get pending(): number {
    return this.#forebay.counts().pending;
  }

  /** What is going on, as the summary names it. */
  doing(): Set<string> {
    const doing = this.#options.disk.phases();
    if (this.phase === 'stopping') doing.add('stopping');
    if (this.phase === 'starting') doing.add(this.#replaying ? 'replaying' : 'starting');
    if (doing.size === 0) doing.add('waiting for clients or the sink');
    return doing;
  }

  #isOver({ steps, during, until }: Bound, taken: number): boolean {
    if (this.#options.ledger.violation !== null) return true;
    if (taken >= steps || this.phase === 'start failed' || this.phase === 'stopped') return true;
    if (until?.() === true) return true;
    if (during === null) return false;
    const isInPhase = this.doing().has(during.phase);
    if (isInPhase && !this.#wasInPhase) this.#phaseStarts++;
    this.#wasInPhase = isInPhase;
    return this.#phaseStarts >= during.times;
  }

  get #isByHand(): boolean {
    const { world } = this.#options.sink;
    return (['removed files', 'moved directory', 'removed lock'] as const).some((each) => world.has(each));
  }

  /** What must hold at every step. */
  check(): void {
    const { ledger, around } = this.#options;
    const counts = this.#forebay.counts();
    const { accepted, delivered, deadLettered, quarantined, pending } = counts;
    if (accepted !== delivered + deadLettered + quarantined + pending || pending < 0) {
      ledger.violated(`the counts do not add up: ${JSON.stringify(counts)}`);
    }
    around.tally.count('checks', 'counts added up');
    const { queue = 0, backlog = 0 } = this.#forebay.clientUsage()?.largest ?? {};
    // of batches that were only counted, and removed or moved by others, nobody hears
    const isByHand = this.#isByHand;
    const isEmpty = pending === 0 && this.#unanswered === 0 && !isByHand;
    if (queue < 0 || backlog < 0 || (isEmpty && queue + backlog > 0))
      ledger.violated(`nothing waits, and clients have ${queue} of the queue and ${backlog} of the backlog`);
    if (this.#options.sink.world.has('compression') && !isByHand) this.#checkRoom(isEmpty);
    // what is refused has its answer by the end of the step
    const { queueSize } = this.#forebay.settings;
    if (this.clients.unanswered > queueSize)
      ledger.violated(
        `${this.clients.unanswered} events wait for the disk, and the queue may hold ${queueSize}`,
      );
    if (this.#broken !== null) ledger.violated(`the pipeline broke: ${this.#broken}`);
    if (around.tally.total('misuse') > 0) ledger.violated('a file was used that is not open');
  }

  /** What waits takes no less than nothing of the disk, and nothing if no file is there. */
  #checkRoom(isEmpty: boolean): void {
    const { ledger, disk, settings } = this.#options;
    const pendingBytes = this.#forebay.statistics()?.pendingBytes ?? 0;
    const isSure = isEmpty && this.phase === 'running' && disk.faults.happened === this.#faultsBefore;
    const isGone = isSure && ![...disk.tree.files(settings.logDir ?? '').keys()].some(isBatchFile);
    if (pendingBytes < 0 || (isGone && pendingBytes > 0))
      ledger.violated(`${isGone ? 'no file' : 'what'} waits, and takes ${pendingBytes} bytes of the disk`);
  }

  #startFailed(error: unknown): void {
    const { around, ledger, disk, sharesDisk } = this.#options;
    around.trace.add(`  start() rejects: ${String(error)}`);
    around.tally.count('starts', 'failed by a fault, and tried again');
    this.phase = 'start failed';
    if (sharesDisk === true) return; // the lock may be held, and files may be open there
    const isMoved = ledger.moved.length > this.#movedBefore; // while it started
    if (disk.faults.happened === this.#faultsBefore && !isMoved) {
      ledger.violated(`start() rejects, and no call to the disk has failed: ${String(error)}`);
    }
    if (disk.openFiles > 0) ledger.violated(`start() rejects and leaves ${disk.openFiles} files open`);
  }

  #stopFailed(error: unknown): void {
    const { around, ledger, disk } = this.#options;
    if (disk.faults.happened === this.#faultsBefore) ledger.violated(`stop() rejects: ${String(error)}`);
    around.tally.count('ends', 'orderly stops that gave an error of the disk');
    this.#stopped();
  }

  #stopped(): void {
    const { around, ledger, disk, sharesDisk } = this.#options;
    around.trace.add('  stopped');
    this.phase = 'stopped';
    const unanswered = this.#unanswered;
    if (unanswered > 0) ledger.violated(`stopped, and ${unanswered} events have no answer`);
    if (disk.openFiles > 0 && sharesDisk !== true)
      ledger.violated(`stopped, and ${disk.openFiles} files are still open`);
  }

  #logger(): Logger {
    const { around, ledger } = this.#options;
    const line = (fields: object, message: string): void => {
      around.trace.add(`  log: ${message}`);
      if ('code' in fields && /^ID_WINDOW_(FAILED|DAMAGED)$/.test(String(fields.code))) {
        this.#hasForgotten ||= fields.code === 'ID_WINDOW_FAILED';
        around.tally.count('ids', `the log said ${String(fields.code)}`);
        this.#mayForget(`the log said ${String(fields.code)}`);
      }
      if ('code' in fields && fields.code === 'BATCH_GONE' && !this.#isByHand)
        ledger.violated(`nobody has removed a file, and the log said: ${message}`);
      if (message.startsWith('Replaying pending')) this.#replaying = true;
      if (message.startsWith('Stepped aside')) {
        around.tally.count('sink', 'batches that stepped aside, without room for their dead letters');
      }
      const name = /^(batch_\w+\.jsonl) cannot be read: others go first/.exec(message)?.[1];
      if (name === undefined) return;
      ledger.steppedAside.add(name);
      around.tally.count('faults', 'files that could not be read and let others go first');
    };
    return { debug: line, info: line, warn: line, error: line };
  }
}
