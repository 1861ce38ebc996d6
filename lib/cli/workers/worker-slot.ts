import cluster from 'node:cluster';
import type { Worker } from 'node:cluster';
import type { EventCounts } from '../../event-counts.js';
import { asError } from '../../base/errors.js';
import type { ErrorCode } from '../../base/errors.js';
import type { Depth, Report } from '../../observe/together/report.js';
import type { Pause } from '../../seams/pause.js';
import { TASK_VARIABLE } from './messages.js';
import type { ClosingStep, FromSupervisor, FromWorker, Order, Question, Task } from './messages.js';

/** What the processes of a slot get at each start; the slot adds who they are, and what holds then. */
export type GivenTask = Omit<Task, 'worker' | 'pause'>;

/** How long a worker may take to say how it is, in milliseconds. */
const REPORT_MS = 2000;
/** How soon a worker is started again, in milliseconds: longer each time, unless it has run for a while. */
const RESTART_MS_MIN = 100;
const RESTART_MS_MAX = 10_000;
const SOUND_MS = 30_000;
/** At most this many messages wait for a process to read them. */
const UNSENT_MAX = 100;

/** `starting` until it listens; `down`: it has ended, and is about to be started again. */
export type SlotState = 'starting' | 'listening' | 'down' | 'stopped';

/** Why a worker could not start. */
export interface StartFailure {
  readonly code: ErrorCode | null;
  readonly message: string;
}

/** How a worker ended. */
export interface WorkerEnd {
  /** `SIGKILL`, or `exit code 1`. */
  readonly how: string;
  readonly failure: StartFailure | null;
}

export interface SlotEvents {
  listening(slot: WorkerSlot, isTls: boolean): void;
  ended(slot: WorkerSlot, end: WorkerEnd): void;
  reporting(slot: WorkerSlot): void;
  reached(slot: WorkerSlot): void;
  held(port: number): void;
  asks(slot: WorkerSlot, id: number, question: Question | Order): void;
  /** The pause as of now. */
  paused(): Pause | null;
}

/** The place of one worker: its process, and the next one if that ends. */
export class WorkerSlot {
  readonly number: number;
  state: SlotState = 'starting';
  /** How often it was started again. */
  restarts = 0;
  /** Whether it answers when it is asked for a report. */
  isReporting = false;
  /** How far it has come in closing its door; `null`: it has not begun. */
  step: ClosingStep | null = null;
  /** What it held when it stopped; `null`: it did not say. */
  stoppedWith: EventCounts | null = null;
  readonly #events: SlotEvents;
  readonly #waiting = new Map<number, (report: Report | null) => void>();
  #worker: Worker | null = null;
  #failure: StartFailure | null = null;
  #reports = 0;
  /** Messages that the process has not read. */
  #unsent = 0;
  #startedMs = 0;
  #waitMs = RESTART_MS_MIN;
  #timer: NodeJS.Timeout | undefined;

  constructor(number: number, events: SlotEvents) {
    this.number = number;
    this.#events = events;
  }

  /** Starts the process. */
  start(task: GivenTask): void {
    this.state = 'starting';
    this.#failure = null;
    this.#startedMs = performance.now();
    this.#unsent = 0;
    const whole = JSON.stringify({
      ...task,
      worker: this.number,
      pause: this.#events.paused(),
    } satisfies Task);
    let worker: Worker;
    try {
      worker = cluster.fork({ [TASK_VARIABLE]: whole });
    } catch (error) {
      this.#ended(noProcess(asError(error)));
      return;
    }
    this.#worker = worker;
    worker.on('message', (message: FromWorker) => {
      this.#take(message);
    });
    worker.on('error', (error) => {
      // else it is a message to a process that is gone; `exit` follows then
      if (worker.process.pid === undefined && this.#worker === worker) this.#ended(noProcess(error));
    });
    worker.once('exit', (code: number | null, signal: string | null) => {
      const ended = (): void => {
        if (this.#worker === worker) this.#ended(signal ?? `exit code ${code}`);
      };
      // the last that it said may come after its end is known
      if (worker.isConnected()) worker.once('disconnect', ended);
      else ended();
    });
  }

  /** Starts it again after a while. @returns how long that is, in milliseconds */
  startLater(task: GivenTask): number {
    if (performance.now() - this.#startedMs > SOUND_MS) this.#waitMs = RESTART_MS_MIN;
    const waitMs = this.#waitMs;
    this.#waitMs = Math.min(RESTART_MS_MAX, 2 * waitMs);
    this.restarts++;
    this.#timer = setTimeout(() => {
      this.start(task);
    }, waitMs);
    return waitMs;
  }

  /** Sends a message to the process, if there is one. Of one that hangs, and does not read them, memory holds only some. */
  tell(message: FromSupervisor): void {
    const worker = this.#worker;
    if (worker?.isConnected() !== true) return;
    if (this.#unsent >= UNSENT_MAX && message.kind !== 'stop' && message.kind !== 'pause') return;
    this.#unsent++;
    worker.send(message, () => {
      if (this.#worker === worker) this.#unsent--;
    });
  }

  /** What it says of itself; `null`: it does not answer in time. */
  async report(depth: Depth): Promise<Report | null> {
    const id = ++this.#reports;
    const report = await new Promise<Report | null>((resolve) => {
      const timer = setTimeout(resolve, REPORT_MS, null);
      this.#waiting.set(id, (each) => {
        clearTimeout(timer);
        resolve(each);
      });
      this.tell({ kind: 'report', id, depth });
    });
    this.#waiting.delete(id);
    return report;
  }

  /** Asks it to stop. It is not started again. */
  stop(): void {
    clearTimeout(this.#timer);
    if (this.#worker === null) this.state = 'stopped';
    else this.tell({ kind: 'stop' });
  }

  kill(): void {
    clearTimeout(this.#timer);
    this.#worker?.process.kill('SIGKILL');
  }

  get isRunning(): boolean {
    return this.#worker !== null;
  }

  #take(message: FromWorker): void {
    switch (message.kind) {
      case 'reporting':
        this.isReporting = true;
        this.#events.reporting(this);
        break;
      case 'listening':
        this.state = 'listening';
        this.#events.listening(this, message.isTls);
        break;
      case 'failed':
        this.#failure = { code: message.code, message: message.message };
        break;
      case 'step':
        this.step = message.step;
        this.#events.reached(this);
        break;
      case 'held':
        this.#events.held(message.port);
        break;
      case 'stopped':
        this.stoppedWith = message.counts;
        break;
      case 'report':
        this.#waiting.get(message.id)?.(message.report);
        break;
      case 'question':
        this.#events.asks(this, message.id, message.question);
        break;
    }
  }

  #ended(how: string): void {
    this.#worker = null;
    this.isReporting = false;
    this.state = this.stoppedWith === null ? 'down' : 'stopped';
    for (const answer of this.#waiting.values()) answer(null);
    this.#events.ended(this, { how, failure: this.#failure });
  }
}

function noProcess(error: Error): string {
  return `the system starts no process for it: ${error.message}`;
}
