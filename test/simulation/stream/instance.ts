import type { Logger } from '../../../lib/base/reporter.js';
import { Forebay } from '../../../lib/forebay.js';
import type { LogContext } from '../../../lib/open-log.js';
import { Puller } from '../../../lib/logs/jetstream/puller.js';
import { StreamLog } from '../../../lib/logs/jetstream/stream-log.js';
import { GROUP } from '../../../lib/logs/jetstream/delivery-consumer.js';
import { openStreamSecret } from '../../../lib/logs/jetstream/ids/id-secret.js';
import { Clients } from '../clients.js';
import { IdClients, rulesOf } from '../id-clients.js';
import type { WindowSettings } from '../known-ids.js';
import type { Ledger } from '../ledger.js';
import type { Phase } from '../life.js';
import { moodySink } from '../moody-sink.js';
import type { Sink } from '../../../lib/seams/sink.js';
import type { Moods, SinkMemory } from '../moody-sink.js';
import type { RunSettings } from '../run-settings.js';
import type { Surroundings } from '../simulated-disk.js';
import type { Owner } from '../virtual-time.js';
import { SimulatedConnection } from './simulated-connection.js';
import { NAMES } from './simulated-servers.js';
import type { SimulatedServers } from './simulated-servers.js';

const CANNOT_BE_READ = /^(events_[\d-]+) cannot be read: others go first/;

/** All instances are one to those who send. */
const FLEET = 'fleet';

/** Ids that a stream remembers. */
export function idsMaxOf(window: WindowSettings | null): number {
  return window === null ? 0 : rulesOf(window).length * window.idsMax;
}

export interface InstanceOptions {
  readonly name: string;
  readonly around: Surroundings;
  readonly ledger: Ledger;
  readonly servers: SimulatedServers;
  readonly settings: RunSettings;
  readonly sink: SinkMemory;
  readonly moods: Moods;
  /** How much longer than usual its clients pause. */
  readonly slowness: number;
  /** The id windows of all instances; `null`: there are none. */
  readonly window: WindowSettings | null;
  /** Whether it compresses its messages. */
  readonly compresses: boolean;
}

/** One Forebay of a fleet, with its clients: a process that can be frozen and killed by itself. */
export class Instance {
  readonly clients: Clients;
  readonly #idClients: IdClients | null;
  readonly connection: SimulatedConnection;
  readonly owner: Owner;
  phase: Phase = 'starting';
  readonly #options: InstanceOptions;
  readonly #forebay: Forebay;
  #broken: string | null = null;
  /** Whether it has answered a pause, and nobody has asked for its end. */
  #isPaused = false;
  /** How often someone has asked for the end of a pause. */
  #ends = 0;

  constructor(options: InstanceOptions) {
    const { name, around, ledger, servers, settings, sink: memory, moods, slowness } = options;
    this.#options = options;
    this.owner = { name, state: 'runs', kept: [] };
    this.connection = new SimulatedConnection(servers, this.owner);
    const { inOrder } = servers.options;
    const moody = moodySink(around, ledger, memory, moods, inOrder && settings.sinkConcurrency === 1);
    const deliver: Sink['deliver'] = async (batch, signal) => {
      if (this.#isPaused)
        ledger.violated(`${name} has paused delivery, and an attempt starts: ${batch.name}`);
      return moody.deliver(batch, signal);
    };
    const sink = { ...moody, deliver };
    const openLog = async (context: LogContext): Promise<StreamLog> => this.#openLog(context);
    const { window } = options;
    const ofIds = window === null ? {} : { idRules: rulesOf(window), idWindowMax: window.idsMax };
    this.#forebay = new Forebay({ ...settings, ...ofIds, sink, logger: this.#logger(), openLog });
    const isOpen = (): boolean => this.phase === 'running';
    this.#idClients = window && new IdClients(around, ledger, this.#forebay, window, FLEET, isOpen);
    this.clients = new Clients(around, ledger, this.#forebay, name, isOpen, slowness);
    this.#forebay.broken.catch((error: unknown) => {
      this.#broken = String(error);
    });
  }

  get name(): string {
    return this.#options.name;
  }

  /** Whether it can do something. */
  get isAlive(): boolean {
    return this.owner.state !== 'dead' && this.phase !== 'stopped' && this.phase !== 'start failed';
  }

  get isReady(): boolean {
    return this.#forebay.unready() === null;
  }

  get pending(): number {
    return this.#forebay.counts().pending;
  }

  start(): void {
    this.#within('starts', () => {
      this.#forebay.start().then(
        () => {
          if (this.phase === 'starting') this.phase = 'running';
        },
        (error: unknown) => {
          this.#options.around.trace.add(`  ${this.name} does not start: ${String(error)}`);
          this.phase = 'start failed';
        },
      );
    });
  }

  get knowsOfPause(): boolean {
    return this.#forebay.paused !== null;
  }

  /** Asks it to pause the delivery of all instances. @param isCertain whether nobody's wish to go on is still on its way */
  pause(isCertain: boolean): void {
    const ends = this.#ends;
    this.#within('is asked for a pause', () => {
      this.#forebay.pause({ by: this.name }).then(
        () => {
          this.#options.around.tally.count('stream', 'pauses answered');
          // who asks for its end before it is answered may come after it at the servers
          this.#isPaused = isCertain && ends === this.#ends;
        },
        () => undefined,
      );
    });
  }

  /** Asks it to let delivery go on. */
  resume(answered: () => void = () => undefined): void {
    this.#within('is asked to go on', () => {
      this.#forebay.resume({ by: this.name }).then(answered, () => undefined);
    });
  }

  /** Someone asks for the end of any pause, here or elsewhere. */
  mayGoOn(): void {
    this.#ends++;
    this.#isPaused = false;
  }

  startSending(): void {
    this.#within('gets clients', () => {
      this.clients.begin();
      this.#idClients?.begin();
    });
  }

  probe(events: number): Promise<void> {
    return new Promise((resolve) => {
      this.#within('is probed', () => void this.clients.probe(events).then(resolve));
    });
  }

  /** Sends again what was acknowledged by any instance. */
  sendAgain(): Promise<void> {
    return new Promise((resolve) => {
      this.#within('gets again what is known', () => {
        void (this.#idClients?.sendAgain() ?? Promise.resolve()).then(resolve);
      });
    });
  }

  stop(): void {
    this.#within('stops', () => {
      if (this.phase === 'start failed') return;
      this.phase = 'stopping';
      this.#forebay.stop().then(
        () => {
          this.#stopped();
        },
        (error: unknown) => {
          this.#options.ledger.violated(`stop() of ${this.name} rejects: ${String(error)}`);
        },
      );
    });
  }

  /** Nothing runs on. */
  kill(): void {
    const { around, ledger } = this.#options;
    this.owner.state = 'dead';
    this.owner.kept = [];
    this.connection.killed(around.random.chance(0.5) ? 1 : around.random.spread(1, 20_000));
    ledger.processEnded([...this.clients.waiting, ...(this.#idClients?.waiting ?? [])]);
  }

  freeze(forMs: number): void {
    const { time, trace } = this.#options.around;
    this.owner.state = 'frozen';
    time.after(
      forMs,
      `${this.name} goes on`,
      () => {
        if (this.owner.state !== 'frozen') return;
        trace.add(`  with ${this.owner.kept.length} things to do`);
        time.thaw(this.owner);
        this.connection.thawed();
      },
      null,
    );
  }

  /** What must hold at every step. */
  check(): void {
    const { ledger, around } = this.#options;
    const counts = this.#forebay.counts();
    if (Object.values(counts).some((each) => !Number.isFinite(each)))
      ledger.violated(`a count is no number: ${JSON.stringify(counts)}`);
    around.tally.count('checks', 'counts looked at');
    const { queue = 0, backlog = 0 } = this.#forebay.clientUsage()?.largest ?? {};
    if (queue < 0 || backlog < 0)
      ledger.violated(`a client has ${queue} of the queue and ${backlog} of the backlog`);
    const { queueSize } = this.#forebay.settings;
    // a twin waits beside the queue
    if (this.clients.unanswered > queueSize)
      ledger.violated(`${this.clients.unanswered} events wait, and the queue may hold ${queueSize}`);
    if (this.#broken !== null) ledger.violated(`the pipeline of ${this.name} broke: ${this.#broken}`);
  }

  #stopped(): void {
    const { around, ledger } = this.#options;
    this.phase = 'stopped';
    around.tally.count('ends', 'orderly stops');
    if (this.clients.unanswered + (this.#idClients?.unanswered ?? 0) > 0)
      ledger.violated(`${this.name} stopped, and ${this.clients.unanswered} events have no answer`);
    // its clients and timers go with the process
    this.owner.state = 'dead';
  }

  /** As openStreamLog, once the streams are made. */
  async #openLog({ settings, reporter }: LogContext): Promise<StreamLog> {
    const { connection } = this;
    const { inOrder, backlogBytesMax, deadLettersBytesMax } = this.#options.servers.options;
    const puller = new Puller(connection, NAMES.events, NAMES.consumer, inOrder ? GROUP : null);
    const { window } = this.#options;
    const never = new AbortController().signal;
    const secret = window && (await openStreamSecret(connection, connection.manager, NAMES.events, never));
    const log = new StreamLog({
      connection,
      jsm: connection.manager,
      puller,
      names: NAMES,
      streamId: '0123456789abcdef',
      ids: secret && { secret, idsMax: idsMaxOf(window) },
      bounds: settings,
      backlogBytesMax,
      deadLettersBytesMax,
      ackTimeoutMs: settings.ackTimeoutMs,
      inOrder,
      compresses: this.#options.compresses,
      reporter,
    });
    try {
      await log.open(new AbortController().signal);
    } catch (error) {
      await connection.close();
      throw error;
    }
    return log;
  }

  #within(what: string, run: () => void): void {
    this.#options.around.time.after(0, `${this.name} ${what}`, run, this.owner);
  }

  #logger(): Logger {
    const { around, ledger } = this.#options;
    const line = (_fields: object, message: string): void => {
      around.trace.add(`  ${this.#options.name}: ${message}`);
      const name = CANNOT_BE_READ.exec(message)?.[1];
      if (name === undefined) return;
      ledger.steppedAside.add(name);
      around.tally.count('stream', 'batches that could not be read and let others go first');
    };
    return { debug: line, info: line, warn: line, error: line };
  }
}
