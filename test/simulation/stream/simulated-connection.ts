import { errors, headers } from '@nats-io/nats-core';
import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { BATCH_ID } from '../../../lib/logs/jetstream/stream-message.js';
import type {
  LogConnection,
  Servers,
  ServersMessage,
  StreamManager,
} from '../../../lib/logs/jetstream/servers.js';
import type { Owner } from '../virtual-time.js';
import type { Holder } from './simulated-consumer.js';
import type { ServersAnswer, SimulatedServers } from './simulated-servers.js';
import { headOf, linesOf } from './simulated-stream.js';
import type { NewMessage, StoredMessage } from './simulated-stream.js';

const API_MS = 5000;
/** What comes late comes within the window in which the servers know an id. */
const LATE_MS = [2000, 60_000] as const;
const PIN_ID = 'Nats-Pin-Id';

type Callback = (error: Error | null, message: ServersMessage) => void;

/** What one instance has of the servers: a connection that loses things, and may be down. */
export class SimulatedConnection implements LogConnection, Holder, Servers {
  readonly nc: Servers = this;
  readonly info: { readonly max_payload: number };
  /** What the instance knows: it finds out later. */
  isUp = true;
  #isReached = true;
  #isClosed = false;
  /** Counts connections: what was on its way when one was lost does not arrive. */
  #epoch = 0;
  #troubleMs = -Infinity;
  #waiting: (() => void)[] = [];
  /** Requests that were made while it was known to be down: the client sends them as soon as it can. */
  #unsent: (() => void)[] = [];
  /** Messages that are to be stored with a later one, by their batch. */
  readonly #unfinished = new Map<string, readonly NewMessage[]>();
  #flushes: ((error: Error) => void)[] = [];
  readonly #callbacks = new Map<string, Callback>();
  readonly #servers: SimulatedServers;
  readonly #owner: Owner;

  constructor(servers: SimulatedServers, owner: Owner) {
    this.#servers = servers;
    this.#owner = owner;
    this.info = { max_payload: servers.options.payloadMax };
  }

  get name(): string {
    return this.#owner.name;
  }

  get troubleMs(): number {
    const isWell = this.#isReached && !this.#isClosed && this.#owner.state === 'runs';
    return isWell ? this.#troubleMs : Infinity;
  }

  /** What the log asks about its streams. */
  get manager(): StreamManager {
    const servers = this.#servers;
    return {
      streams: {
        info: async (name, options) =>
          this.#ask(() => servers.facts(name, options?.subjects_filter ?? `${name}.>`)),
        update: async (name, { metadata }) =>
          this.#ask(() => {
            servers.update(name, metadata);
          }),
        purge: async (name, { filter, keep = 0 }) =>
          this.#ask(() => {
            servers.purge(name, filter, keep);
          }),
        getMessage: async (name, query) => this.#ask(() => servers.message(name, query)),
      },
      consumers: {
        info: async () => this.#ask(() => servers.consumerFacts()),
        unpin: async (_name, _consumer, group) =>
          this.#ask(() => {
            servers.unpin(group);
          }),
      },
    };
  }

  async up(endMs: number): Promise<boolean> {
    if (this.isUp) return true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, endMs - performance.now()));
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    return this.isUp;
  }

  async request(
    subject: string,
    data: Uint8Array | string,
    { timeout, headers: head }: { timeout: number; headers?: MsgHdrs },
  ): Promise<Pick<Msg, 'string'>> {
    const message = { subject, data: Buffer.from(data), head: head ?? headers() };
    const before = this.#unfinished.get(message.head.get(BATCH_ID)) ?? [];
    this.#unfinished.clear();
    const answer = await this.#sent(timeout, () => this.#servers.ask(this.name, message, before));
    if (answer === 'nobody')
      throw new errors.RequestError('no responders', { cause: new errors.NoRespondersError(subject) });
    return { string: () => JSON.stringify(answer.json) };
  }

  publish(
    subject: string,
    content: Uint8Array | string,
    options: { readonly reply?: string; readonly headers?: MsgHdrs } = {},
  ): void {
    if (this.#isClosed) throw new errors.ClosedConnectionError();
    if (options.headers !== undefined) {
      this.#publishFirst({ subject, data: Buffer.from(content), head: options.headers });
      return;
    }
    const data = String(content);
    const { network, options: ofServers } = this.#servers;
    const { random, tally } = ofServers.around;
    const { reply } = options;
    if (random.chance(network.wordLost)) {
      tally.count('stream', 'words lost');
      this.#hasTrouble();
      return;
    }
    this.#toServers(this.#latencyMs(), `the servers hear ${data.slice(0, 4)}`, () => {
      if (reply === undefined) this.#servers.word(subject, data);
      else this.#servers.pull(this, subject, reply, data);
    });
  }

  /** A message that goes with the next request, on the same way and in the same order. */
  #publishFirst(message: NewMessage): void {
    const { network, options } = this.#servers;
    if (options.around.random.chance(network.wordLost / 10)) return;
    const batch = message.head.get(BATCH_ID);
    this.#unfinished.set(batch, [...(this.#unfinished.get(batch) ?? []), message]);
  }

  subscribe(subject: string, { callback }: { callback: Callback }): { unsubscribe(): void } {
    this.#callbacks.set(subject, callback);
    return { unsubscribe: () => this.#callbacks.delete(subject) };
  }

  async flush(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#flushes.push(reject);
      this.#toServers(this.#latencyMs(), 'the servers answer a flush', () => {
        this.#toInstance(this.#latencyMs(), 'a flush is over', resolve);
      });
    });
  }

  isClosed(): boolean {
    return this.#isClosed;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.isUp = false;
    this.#lost();
    return Promise.resolve();
  }

  /** The instance is gone, and with it the connection; the servers notice at once, or in a while. */
  killed(noticedMs: number): void {
    const { time } = this.#servers.options.around;
    time.after(noticedMs, `the servers miss ${this.name}`, () => this.#servers.consumer.forget(this), null);
  }

  /** The connection is lost for a while. The instance finds out in a while. */
  down(noticedMs: number, lastsMs: number): void {
    if (!this.#isReached || this.#isClosed) return;
    const { time } = this.#servers.options.around;
    this.#isReached = false;
    this.#lost();
    time.after(
      noticedMs,
      `${this.name} misses the servers`,
      () => {
        this.isUp = false;
        for (const fail of this.#flushes.splice(0)) fail(new errors.ConnectionError('disconnect'));
        time.after(lastsMs, `${this.name} connects again`, () => this.#reconnected());
      },
      this.#owner,
    );
  }

  /** It was frozen. */
  thawed(): void {
    this.#hasTrouble();
  }

  takeMessage(inbox: string, message: StoredMessage, reply: string, pin: string | null): void {
    const { network, options } = this.#servers;
    const { random, tally } = options.around;
    if (random.chance(network.messageLost)) {
      tally.count('stream', 'messages lost on the way to an instance');
      this.#hasTrouble();
      return;
    }
    const { subject, seq } = message;
    const data = Buffer.from(message.data);
    const head = headOf(linesOf(message.head));
    if (pin !== null) head.set(PIN_ID, pin);
    this.#toInstance(this.#latencyMs(), `${this.name} is handed message ${seq}`, () => {
      const callback = this.#callbacks.get(subscriptionOf(inbox));
      if (callback === undefined) this.#hasTrouble();
      else callback(null, { subject, reply, data, headers: head });
    });
  }

  /** The messages that were asked for, and the last word, in this order. */
  takeFound(inbox: string, found: readonly StoredMessage[]): void {
    this.#toInstance(this.#latencyMs(), `${this.name} hears what is known`, () => {
      const take = this.#callbacks.get(subscriptionOf(inbox));
      for (const { subject, data } of found) {
        const message = {
          subject: inbox,
          data: Buffer.from(data),
          headers: headOf([['Nats-Subject', subject]]),
        };
        take?.(null, message);
      }
      const last = headers(found.length > 0 ? 204 : 404, 'as it is');
      take?.(null, { subject: inbox, data: new Uint8Array(), headers: last });
    });
  }

  takeStatus(inbox: string, status: number): void {
    this.#toInstance(this.#latencyMs(), `${this.name} hears ${status}`, () => {
      const data = new Uint8Array();
      this.#callbacks.get(subscriptionOf(inbox))?.(null, {
        subject: inbox,
        data,
        headers: headers(status, 'as it is'),
      });
    });
  }

  #reconnected(): void {
    if (this.#isClosed) return;
    this.#isReached = true;
    this.isUp = true;
    this.#hasTrouble();
    for (const goOn of [...this.#unsent.splice(0), ...this.#waiting.splice(0)]) goOn();
  }

  #lost(): void {
    this.#epoch++;
    this.#servers.consumer.forget(this);
  }

  #hasTrouble(): void {
    this.#troubleMs = this.#servers.options.around.time.nowMs;
  }

  async #ask<T>(run: () => T): Promise<T> {
    let found: { readonly value: T } | null = null;
    await this.#sent(API_MS, () => {
      const { outage } = this.#servers;
      if (outage !== null) return outage;
      found = { value: run() };
      return { json: {} };
    });
    if (found === null) throw new Error('no leader answers');
    return (found as { readonly value: T }).value;
  }

  /** Sends a request, and waits for its answer. @throws TimeoutError */
  async #sent(timeoutMs: number, heard: () => ServersAnswer): Promise<Exclude<ServersAnswer, 'silence'>> {
    if (this.#isClosed) throw new errors.ClosedConnectionError();
    const { random, time, tally } = this.#servers.options.around;
    const { network } = this.#servers;
    return new Promise((resolve, reject) => {
      const timer = time.after(timeoutMs, 'a request times out', () => {
        reject(new errors.TimeoutError());
      });
      const answer = (given: ServersAnswer): void => {
        if (given === 'silence') return;
        const isLate = random.chance(network.answerLate);
        if (isLate) tally.count('stream', 'answers late');
        if (random.chance(network.answerLost)) tally.count('stream', 'answers lost');
        else
          this.#toInstance(
            isLate ? random.spread(...LATE_MS) : this.#latencyMs(),
            'the servers answer',
            () => {
              timer.run = null;
              resolve(given);
            },
          );
      };
      const arrives = (): void => {
        const given = heard();
        answer(given);
        if (typeof given === 'string' || 'error' in given.json || !random.chance(network.doubled)) return;
        tally.count('stream', 'requests doubled');
        const again = (): void => {
          heard();
          answer(given); // the second word about it is not another one
        };
        time.after(random.spread(1, 5000), 'a request comes again', again, null);
      };
      const send = (): void => {
        this.#toServers(this.#latencyMs(), 'the servers get a request', arrives);
      };
      if (!this.isUp) this.#unsent.push(send);
      else if (random.chance(network.requestLost)) tally.count('stream', 'requests lost');
      else if (random.chance(network.requestLate)) {
        tally.count('stream', 'requests late');
        time.after(random.spread(...LATE_MS), 'a request arrives late', arrives, null);
      } else send();
    });
  }

  /** What is on its way when the connection is lost does not arrive. */
  #toServers(inMs: number, label: string, run: () => void): void {
    this.#inTime(inMs, label, run, null);
  }

  #toInstance(inMs: number, label: string, run: () => void): void {
    this.#inTime(inMs, label, run, this.#owner);
  }

  #inTime(inMs: number, label: string, run: () => void, owner: Owner | null): void {
    const epoch = this.#epoch;
    const { time } = this.#servers.options.around;
    const arrived = (): void => {
      if (epoch === this.#epoch && this.#isReached) run();
    };
    time.after(inMs, label, arrived, owner);
  }

  #latencyMs(): number {
    return this.#servers.network.latencyMs * (0.2 + this.#servers.options.around.random.next());
  }
}

/** An instance listens to all subjects below its inbox, one for each request. */
function subscriptionOf(inbox: string): string {
  return inbox.replace(/\.[^.]*$/, '.*');
}
