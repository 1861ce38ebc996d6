import { GROUP } from '../../../lib/logs/jetstream/delivery-consumer.js';
import { quarantineBytesMax } from '../../../lib/logs/jetstream/stream-setup.js';
import { streamNames } from '../../../lib/logs/jetstream/stream-names.js';
import { BATCH_PLACE } from '../../../lib/logs/jetstream/stream-message.js';
import type {
  ConsumerFacts,
  FoundMessage,
  MessageQuery,
  StreamFacts,
} from '../../../lib/logs/jetstream/servers.js';
import type { Ledger } from '../ledger.js';
import type { Surroundings } from '../simulated-disk.js';
import { lettersOf, validTexts } from '../surviving-log.js';
import { isCompressed, linesInMessage } from './surviving-stream.js';
import { SimulatedConsumer } from './simulated-consumer.js';
import type { Holder, PullRequest } from './simulated-consumer.js';
import { SimulatedStream } from './simulated-stream.js';
import type { NewMessage } from './simulated-stream.js';

export const NAMES = streamNames('forebay');
const PULL = `$JS.API.CONSUMER.MSG.NEXT.${NAMES.events}.${NAMES.consumer}`;
const DIRECT = `$JS.API.DIRECT.GET.${NAMES.events}`;
/** In an answer of the servers that is an error. */
const STORE_FAILED = 10077;
const UNAVAILABLE = 10008;
const SUBJECT_TAKEN = 10071;
const SUBJECT_UNDER_WAY = 10164;
const INCOMPLETE = 10176;
/** An instance looks for dead letters at most this seldom. */
const LOOK_MS = 1000;

/** How likely it is that something goes wrong on the way to the servers and back. */
export interface NetworkMoods {
  /** A request that is lost on its way, and its answer; a message that is, and a word that nobody confirms. */
  requestLost: number;
  answerLost: number;
  messageLost: number;
  wordLost: number;
  /** A request that arrives when nobody waits for it any longer, and its answer. */
  requestLate: number;
  answerLate: number;
  /** A stored message that comes again. */
  doubled: number;
  /** The servers are out of resources: nothing is stored. */
  unavailable: number;
  latencyMs: number;
}

export const QUIET: NetworkMoods = {
  requestLost: 0,
  answerLost: 0,
  messageLost: 0,
  wordLost: 0,
  requestLate: 0,
  answerLate: 0,
  doubled: 0,
  unavailable: 0,
  latencyMs: 0.5,
};

/** What a request gets: JSON, or that nobody listens, or nothing. */
export type ServersAnswer = { readonly json: object } | 'nobody' | 'silence';

export interface ServersOptions {
  readonly around: Surroundings;
  readonly ledger: Ledger;
  readonly inOrder: boolean;
  readonly backlogBytesMax: number;
  /** Beside the events. */
  readonly idsBytesMax: number;
  readonly deadLettersBytesMax: number;
  readonly payloadMax: number;
}

/** All servers as one: the streams and the consumer, while there is a leader. They outlive every instance. */
export class SimulatedServers {
  readonly events: SimulatedStream;
  readonly letters: SimulatedStream;
  readonly quarantine: SimulatedStream;
  readonly consumer: SimulatedConsumer;
  readonly options: ServersOptions;
  network: NetworkMoods = { ...QUIET };
  /** Hears who stores a dead letter. */
  keptLetter: (name: string) => void = () => undefined;
  /** How requests fail while no leader is there; `null`: one is. */
  outage: 'nobody' | 'silence' | null = null;
  /** The events that were ever stored, by their lines. */
  /** Each with the purges of ids before it was stored. */
  readonly #lines = new Map<string, number>();
  #troubleMs = -Infinity;

  constructor(options: ServersOptions) {
    const { around, ledger, inOrder, backlogBytesMax, deadLettersBytesMax, payloadMax } = options;
    const { idsBytesMax } = options;
    const { time } = around;
    this.options = options;
    const stream = (name: string, bytesMax: number, onePerSubject: boolean): SimulatedStream =>
      new SimulatedStream({ name, bytesMax, onePerSubject }, time);
    this.events = stream(NAMES.events, backlogBytesMax + idsBytesMax, false);
    this.letters = stream(NAMES.letters, deadLettersBytesMax + 16 * payloadMax, true);
    this.quarantine = stream(NAMES.quarantine, quarantineBytesMax(options), false);
    const troubleMs = (): number => (this.outage === null ? this.#troubleMs : Infinity);
    const handedOutMax = inOrder ? 24 : 48;
    this.consumer = new SimulatedConsumer({
      around,
      ledger,
      stream: this.events,
      inOrder,
      handedOutMax,
      troubleMs,
    });
  }

  leaderLost(how: 'nobody' | 'silence'): void {
    this.outage = how;
  }

  leaderElected(): void {
    if (this.outage === null) return;
    this.outage = null;
    this.#troubleMs = this.options.around.time.nowMs;
    this.consumer.newLeader();
  }

  /**
   * A request that waits for an answer.
   *
   * @param before messages that are to be stored with it, or not at all
   */
  ask(from: string, { subject, data, head }: NewMessage, before: readonly NewMessage[]): ServersAnswer {
    if (this.outage !== null) return this.outage;
    if (subject.startsWith('$JS.ACK.')) {
      this.word(subject, String(Buffer.from(data)));
      return { json: {} };
    }
    const { random, tally } = this.options.around;
    const stream = this.#streams().find(({ name }) => subject.startsWith(`${name}.`));
    if (stream === undefined) return 'nobody';
    const all = [...before, { subject, data, head }];
    if (random.chance(this.network.unavailable)) {
      tally.count('stream', 'requests refused for want of resources');
      // with ids the stream has room to spare, and is hardly ever full by itself
      if (this.options.idsBytesMax > 0 && random.chance(0.3))
        return failed(STORE_FAILED, 'maximum bytes exceeded');
      if (before.length > 0 && random.chance(0.5)) return failed(SUBJECT_UNDER_WAY, 'wrong last sequence');
      return failed(UNAVAILABLE, 'JetStream system unavailable');
    }
    if (head.has(BATCH_PLACE) && Number(head.get(BATCH_PLACE)) !== all.length) {
      tally.count('stream', 'messages of which not all arrived');
      return failed(INCOMPLETE, 'atomic publish batch is incomplete');
    }
    if (!stream.hasRoom(all)) {
      tally.count('stream', 'messages without room');
      return failed(STORE_FAILED, 'maximum bytes exceeded');
    }
    if (!stream.areExpected(all)) {
      tally.count('stream', 'messages with an id that was known');
      return failed(SUBJECT_TAKEN, 'wrong last sequence: 1');
    }
    for (const message of before) stream.store(message);
    return this.#store(from, stream, { subject, data, head });
  }

  #store(from: string, stream: SimulatedStream, message: NewMessage): ServersAnswer {
    const { tally, trace } = this.options.around;
    const { seq, isKnown } = stream.store(message);
    trace.add(`  ${isKnown ? 'known' : 'stored'}: ${message.subject} ${seq}`);
    tally.count('stream', isKnown ? 'messages that were known by their id' : 'messages stored');
    if (stream === this.letters) this.keptLetter(from);
    if (stream !== this.events) return this.#stored(stream.name, seq, isKnown);
    if (!isKnown) this.#checkOnce(message, seq);
    this.consumer.deal();
    return this.#stored(stream.name, seq, isKnown);
  }

  #stored(stream: string, seq: number, isKnown: boolean): ServersAnswer {
    return { json: { stream, seq, ...(isKnown && { duplicate: true }) } };
  }

  /** Who confirms an event that the sink has taken has withdrawn what was kept of it before. */
  #checkLetters(seq: number, handedOutAtMs: number): void {
    const { ledger, around } = this.options;
    const of = `.${seq}.`; // whichever index, after the identity of the stream
    for (const { subject, data, storedMs } of this.letters.messages.values()) {
      if (!subject.includes(of) || storedMs > handedOutAtMs - LOOK_MS) continue;
      around.tally.count('checks', 'dead letters of instances before, at a confirmation');
      const [line = ''] = lettersOf(data);
      if (ledger.isSeenAsTaken(line))
        ledger.violated(
          `message ${seq} is confirmed, and this is a dead letter, and the sink has it: ${line.slice(0, 100)}`,
        );
    }
  }

  /**
   * An event whose answer was lost is stored once all the same, unless it came with an id that went for want of room
   * (`--id-window-max`) before a late request brought it again.
   */
  #checkOnce({ data, head }: NewMessage, seq: number): void {
    const { ledger, around } = this.options;
    const { nowMs } = around.time;
    const { purges } = this.events;
    const content = Buffer.from(data);
    if (isCompressed(content)) around.tally.count('stream', 'compressed messages');
    for (const line of validTexts(linesInMessage(content))) {
      const purgesBefore = this.#lines.get(line);
      const isForgotten = head.has(BATCH_PLACE) && purgesBefore !== purges;
      if (!ledger.idStored(line, String(seq), nowMs) && purgesBefore !== undefined && !isForgotten)
        ledger.violated(`stored twice: ${line.slice(0, 100)}`);
      this.#lines.set(line, purges);
    }
  }

  /** Whether an event was stored, ever. */
  hasStored(line: string): boolean {
    return this.#lines.has(line);
  }

  /** What is said about a message that was handed out. */
  word(reply: string, word: string): void {
    if (this.outage !== null) return;
    const [deliveries = 0, seq = 0] = reply.split('.').slice(4).map(Number);
    this.options.around.trace.add(`  ${word} of message ${seq}`);
    if (word === '+ACK') {
      this.#checkLetters(seq, this.consumer.handedOutAtMs(seq, deliveries));
      this.consumer.confirmed(seq);
    }
    if (word === '-NAK') this.consumer.handedBack(seq);
    else if (word === '+WPI') this.consumer.isWorkedOn(seq, deliveries);
  }

  /** A request for messages. */
  pull(holder: Holder, subject: string, inbox: string, data: string): void {
    if (this.outage !== null) return;
    if (subject === DIRECT) this.#lookUp(holder, inbox, JSON.parse(data) as { multi_last: string[] });
    if (subject !== PULL) return;
    this.consumer.pull(holder, inbox, JSON.parse(data) as PullRequest);
  }

  /** A server that is asked may not have what was stored a moment ago. */
  #lookUp(holder: Holder, inbox: string, { multi_last: subjects }: { multi_last: string[] }): void {
    const { random } = this.options.around;
    const found = subjects.flatMap((subject) => {
      const message = this.events.last(subject);
      return message === null || random.chance(this.network.unavailable) ? [] : [message];
    });
    holder.takeFound(inbox, found);
  }

  facts(name: string, filter: string): StreamFacts {
    return this.#stream(name).facts(filter);
  }

  consumerFacts(): ConsumerFacts {
    return this.consumer.facts;
  }

  update(name: string, metadata: Record<string, string>): void {
    this.#stream(name).metadata = metadata;
  }

  purge(name: string, filter: string, keep: number): void {
    this.#stream(name).purge(filter, keep);
  }

  message(name: string, query: MessageQuery): FoundMessage | null {
    const message = this.#stream(name).find(query);
    return message && { ...message, time: new Date(message.atMs) };
  }

  unpin(group: string): void {
    if (group === GROUP) this.consumer.unpin();
  }

  #stream(name: string): SimulatedStream {
    const stream = this.#streams().find((each) => each.name === name);
    if (stream === undefined) throw new Error(`no stream ${name}`);
    return stream;
  }

  #streams(): SimulatedStream[] {
    return [this.events, this.letters, this.quarantine];
  }
}

function failed(code: number, description: string): ServersAnswer {
  return { json: { error: { code: 503, err_code: code, description } } };
}
