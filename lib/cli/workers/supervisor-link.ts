import cluster from 'node:cluster';
import { EventEmitter } from 'node:events';
import { asError, ERRORS, ForebayError } from '../../base/errors.js';
import type { DeliveryControl } from '../../door/control-routes.js';
import type { DoorsTogether } from '../../door/departures.js';
import type { ProbeAnswer } from '../../door/probes.js';
import type { LiveFeed } from '../../observe/page/live-feed.js';
import type { LiveStream } from '../../observe/page/live-stream.js';
import type { Exposition } from '../../observe/metrics/metrics-route.js';
import { mergeProbes } from '../../observe/together/merge-probes.js';
import type { OwnReports } from '../../observe/together/own-reports.js';
import type { Depth } from '../../observe/together/report.js';
import type { Pause, PauseOutcome, PauseRequest, PauseStore } from '../../seams/pause.js';
import { TASK_VARIABLE } from './messages.js';
import type { ClosingStep, FromSupervisor, FromWorker, Order, Question, Reply, Task } from './messages.js';

/** How long the supervisor may take to ask all workers, in milliseconds. */
const REPLY_MS = 5000;

interface Events {
  stop: [];
  reload: [];
  pause: [pause: Pause | null];
  'leftovers delivered': [];
  'go on': [step: ClosingStep];
}

/** What a worker has of its supervisor. */
export class SupervisorLink extends EventEmitter<Events> implements LiveFeed, DeliveryControl {
  readonly task: Task;
  /** The pause of all workers: the supervisor keeps it. */
  readonly pauses: PauseStore = {
    read: async () => Promise.resolve(this.#pause),
    write: async () => Promise.reject(new Error('the supervisor keeps the pause')),
    watch: (changed) => void this.on('pause', changed),
  };
  /** Those of all workers. */
  readonly doors: DoorsTogether = {
    ended: async (waitMs) => this.#reached('ended', waitMs),
    holding: async (waitMs) => this.#reached('holding', waitMs),
    held: ({ remotePort: port }) => void (port !== undefined && this.tell({ kind: 'held', port })),
    closed: async (waitMs) => this.#reached('closed', waitMs),
  };
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  readonly #asked = new Map<string, Promise<Reply>>();
  #questions = 0;
  #pause: Pause | null;
  #reports: OwnReports | null = null;
  #stream: LiveStream | null = null;
  #areLeftoversDelivered = false;
  #isStopping = false;

  private constructor(task: Task) {
    super();
    this.task = task;
    this.#pause = task.pause;
    process.on('message', (message: FromSupervisor) => {
      this.#take(message);
    });
    // signals of a terminal or of systemd come to all processes: what to do, the supervisor says
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const)
      process.on(signal, () => undefined);
    // without its supervisor a worker would hold its directory, and nobody would restart it
    process.prependListener('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  }

  /** `null`: this process is no worker. */
  static ofThisProcess(): SupervisorLink | null {
    const task = process.env[TASK_VARIABLE];
    delete process.env[TASK_VARIABLE];
    if (task === undefined || !cluster.isWorker) return null;
    return new SupervisorLink(JSON.parse(task) as Task);
  }

  /** Calls back when the supervisor stops, also if it has said so already. */
  onStop(stop: () => void): void {
    if (this.#isStopping) stop();
    else this.once('stop', stop);
  }

  /** Resolves when what is left in other directories is delivered, or goes on in the background. */
  async leftoversDelivered(): Promise<void> {
    if (this.#areLeftoversDelivered) return;
    await new Promise<void>((resolve) => {
      this.once('leftovers delivered', resolve);
    });
  }

  /** Tells how far it has come in closing its door. Resolves when all workers have, or after a while. */
  async #reached(step: ClosingStep, waitMs: number): Promise<void> {
    const heard = new Promise<void>((resolve) => {
      const onStep = (each: ClosingStep): void => {
        if (each === step) end();
      };
      const end = (): void => {
        clearTimeout(timer);
        this.off('go on', onStep);
        resolve();
      };
      const timer = setTimeout(end, waitMs);
      this.on('go on', onStep);
    });
    await this.tell({ kind: 'step', step });
    await heard;
  }

  /** From now on this worker answers what the supervisor asks. */
  answerWith(reports: OwnReports): void {
    this.#reports = reports;
    void this.tell({ kind: 'reporting' });
  }

  /** Resolves when it is sent. */
  async tell(message: FromWorker): Promise<void> {
    await new Promise<void>((resolve) => {
      if (process.send === undefined) resolve();
      else
        process.send(message, undefined, undefined, () => {
          resolve();
        });
    });
  }

  /** The metrics of all workers. @throws ForebayError `WORKER_SILENT` */
  async metrics(isOpen: boolean): Promise<Exposition> {
    const reply = await this.#ask({ about: 'metrics', isOpen });
    if ('exposition' in reply) return reply.exposition;
    throw silent(reply);
  }

  /** The answer of all workers to a probe. What this one says for who asks comes first. */
  async probe(which: 'health' | 'ready', own: ProbeAnswer): Promise<ProbeAnswer> {
    const { worker } = this.task;
    if (own.status !== 200) return { ...own, body: { ...own.body, worker } };
    const reply = await this.#ask({ about: which });
    if ('probe' in reply) return reply.probe;
    return mergeProbes(which, [], [{ worker, why: `got no answer: ${silent(reply).message}` }]);
  }

  /** Of all workers. @throws ForebayError */
  async pause(request: PauseRequest): Promise<PauseOutcome> {
    return this.#order({ about: 'pause', request });
  }

  async resume(request: PauseRequest): Promise<PauseOutcome> {
    return this.#order({ about: 'resume', request });
  }

  async #order(order: Order): Promise<PauseOutcome> {
    const reply = await this.#ask(order);
    if ('outcome' in reply) return reply.outcome;
    if (!('refused' in reply)) throw silent(reply);
    const { code, message } = reply.refused;
    throw new ForebayError(code, { message, ...(ERRORS[code].retry && { retryAfterMs: 1000 }) });
  }

  start(stream: LiveStream): void {
    this.#stream = stream;
  }

  async first(): Promise<string> {
    const reply = await this.#ask({ about: 'page' });
    if ('text' in reply) return reply.text;
    throw silent(reply);
  }

  stop(): void {
    this.#stream = null;
  }

  /** Those who ask the same at the same time share an answer: there is one question of a kind on its way. */
  async #ask(question: Question | Order): Promise<Reply> {
    const kind = JSON.stringify(question);
    const asked = this.#asked.get(kind) ?? this.#send(question).finally(() => this.#asked.delete(kind));
    this.#asked.set(kind, asked);
    return asked;
  }

  async #send(question: Question | Order): Promise<Reply> {
    const id = ++this.#questions;
    const reply = await new Promise<Reply>((resolve) => {
      const timer = setTimeout(() => {
        resolve({ failure: 'The supervisor does not answer' });
      }, REPLY_MS);
      this.#waiting.set(id, (each) => {
        clearTimeout(timer);
        resolve(each);
      });
      void this.tell({ kind: 'question', id, question });
    });
    this.#waiting.delete(id);
    return reply;
  }

  #take(message: FromSupervisor): void {
    switch (message.kind) {
      case 'leftovers delivered':
        this.#areLeftoversDelivered = true;
        this.emit('leftovers delivered');
        break;
      case 'stop':
        this.#isStopping = true;
        this.emit('stop');
        break;
      case 'go on':
        this.emit('go on', message.step);
        break;
      case 'reload':
        this.emit('reload');
        break;
      case 'pause':
        this.#pause = message.pause;
        this.emit('pause', message.pause);
        break;
      case 'report':
        this.#report(message.id, message.depth).catch((error: unknown) => {
          process.emitWarning(asError(error)); // it is said to be silent then
        });
        break;
      case 'reply':
        this.#waiting.get(message.id)?.(message.reply);
        break;
      case 'page':
        this.#stream?.send(message.text);
        break;
    }
  }

  async #report(id: number, depth: Depth): Promise<void> {
    const report = await this.#reports?.report(this.#stream?.pages ?? 0, depth);
    if (report !== undefined) await this.tell({ kind: 'report', id, report });
  }
}

function silent(reply: Reply): ForebayError {
  return new ForebayError('WORKER_SILENT', {
    ...('failure' in reply && { message: reply.failure }),
    retryAfterMs: 1000,
  });
}
