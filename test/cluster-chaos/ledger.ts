import { Random } from '../simulation/random.js';

/** What became of a request: `refused` for certain, or `doubtful`: it may have been taken all the same. */
export type Outcome = 'acknowledged' | 'refused' | 'doubtful';

/** The events of one request. */
export interface Sending {
  readonly client: number;
  /** Its first event counts from here, among those of the client. */
  readonly first: number;
  readonly count: number;
  readonly body: string;
}

/** What one round brought, for the report. */
export interface Tally {
  acknowledged: number;
  doubtful: number;
  /** Answers 429. */
  full: number;
  /** Answers that refuse for certain, and are no 429. */
  refused: number;
  /** Deliveries beyond the first of an event. */
  duplicates: number;
  /** The longest time without a 202 of anybody, in milliseconds. */
  gapMs: number;
  /** When it started, from the start of the round. */
  gapStartMs: number;
}

/** The state of an event by the best answer that it got. */
const [SENT, REFUSED, DOUBTFUL, ACKNOWLEDGED] = [0, 1, 2, 3] as const;
const RANKS = { refused: REFUSED, doubtful: DOUBTFUL, acknowledged: ACKNOWLEDGED } as const;
const ID = /^\{"id":"c(\d+)-(\d+)"/;
/** In the key of a batch. */
const MESSAGES = /events_(\d+)(?:-(\d+))?/;
const EXAMPLES_MAX = 5;

interface Account {
  readonly states: number[];
  /** Which of all requests of the client it came with. */
  readonly requests: number[];
  /** When it was first delivered, counted in deliveries; 0: it was not. */
  readonly delivered: number[];
  /** The messages that it may be in, by the batches that it came in: the first and the last one. */
  readonly messages: (readonly [number, number])[];
  sendings: number;
}

/** All that clients sent, what they were answered and what the sink was given, and what of this must not be. */
export class Ledger {
  /** What was wrong at once, as it was delivered or answered. */
  readonly violations: string[] = [];
  readonly #seed: number;
  readonly #accounts: readonly Account[];
  /** Events that are in two messages. */
  readonly #twice = new Set<string>();
  #acknowledged = 0;
  #undelivered = 0;
  #deliveries = 0;
  #duplicates = 0;
  #startMs = performance.now();
  #lastMs = performance.now();
  #isGapMeasured = true;
  #tally = emptyTally();

  constructor(seed: number, clients: number) {
    this.#seed = seed;
    this.#accounts = Array.from({ length: clients }, () => ({
      states: [],
      requests: [],
      delivered: [],
      messages: [],
      sendings: 0,
    }));
  }

  /** Events that got a 202. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Events with a 202 that the sink does not have. */
  get undelivered(): number {
    return this.#undelivered;
  }

  get duplicates(): number {
    return this.#duplicates;
  }

  /** Of this round so far. */
  get tally(): Readonly<Tally> {
    return this.#tally;
  }

  next(client: number, count: number): Sending {
    const account = this.#account(client);
    const first = account.states.length;
    account.sendings++;
    const lines: string[] = [];
    for (let number = first; number < first + count; number++) {
      account.states.push(SENT);
      account.requests.push(account.sendings);
      account.delivered.push(0);
      lines.push(eventText(this.#seed, client, number));
    }
    return { client, first, count, body: lines.join('\n') };
  }

  answered({ client, first, count }: Sending, outcome: Outcome, status: number | null): void {
    const account = this.#account(client);
    const rank = RANKS[outcome];
    for (let number = first; number < first + count; number++) {
      const before = account.states[number] ?? SENT;
      if (rank <= before) continue;
      account.states[number] = rank;
      if (rank !== ACKNOWLEDGED) continue;
      this.#acknowledged++;
      this.#tally.acknowledged++;
      if (account.delivered[number] === 0) this.#undelivered++;
    }
    if (outcome === 'acknowledged') this.#noteGap();
    else if (outcome === 'doubtful') this.#tally.doubtful++;
    else if (status === 429) this.#tally.full++;
    else this.#tally.refused++;
  }

  /**
   * The body of a request to the sink that it has taken: events, one a line.
   *
   * @param key of the batch, which names its first and last message
   */
  deliver(body: string, key: string = ''): void {
    const [, first, last = first] = MESSAGES.exec(key) ?? [];
    const messages = first === undefined ? null : ([Number(first), Number(last)] as const);
    for (const line of body.split('\n')) if (line !== '') this.#deliverOne(line, messages);
  }

  /** Whether clients got a 429 in this round. */
  get isFull(): boolean {
    return this.#tally.full > 0;
  }

  /** What is counted from now on is of another round. */
  startRound(): void {
    this.#isGapMeasured = true;
    this.#tally = emptyTally();
    this.#startMs = performance.now();
    this.#lastMs = this.#startMs;
  }

  /** From now on, in this round, it does not matter how long there is no 202. */
  endGap(): void {
    this.#noteGap();
    this.#isGapMeasured = false;
  }

  /** What must not be, once all that waits is delivered. */
  check(isOrdered: boolean, hasIds: boolean = false): string[] {
    const found = [...this.violations];
    if (hasIds && this.#twice.size > 0) found.push(`stored twice: ${sample([...this.#twice])}`);
    const lost = this.#where((account, number) => {
      return account.states[number] === ACKNOWLEDGED && account.delivered[number] === 0;
    });
    if (lost.length > 0) found.push(`acknowledged and not delivered: ${sample(lost)}`);
    const refused = this.#where((account, number) => {
      return (account.states[number] ?? SENT) <= REFUSED && account.delivered[number] !== 0;
    });
    if (refused.length > 0) found.push(`refused and delivered: ${sample(refused)}`);
    if (isOrdered) found.push(...this.#disorder());
    return found;
  }

  /** Events of a client that were delivered before one of an earlier request, which had its 202 before they were sent. */
  #disorder(): string[] {
    const wrong: string[] = [];
    for (const [client, { states, requests, delivered }] of this.#accounts.entries()) {
      let [last, lastOfEarlier, request] = [-1, -1, 0];
      const at = (number: number): number => delivered[number] ?? 0;
      for (const [number, state] of states.entries()) {
        if (state !== ACKNOWLEDGED) continue;
        if (requests[number] !== request) [lastOfEarlier, request] = [last, requests[number] ?? 0];
        if (at(number) < at(lastOfEarlier))
          wrong.push(`c${client}-${number} before c${client}-${lastOfEarlier}`);
        if (at(number) > at(last)) last = number;
      }
    }
    return wrong.length > 0 ? [`delivered before what was acknowledged earlier: ${sample(wrong)}`] : [];
  }

  #deliverOne(line: string, messages: readonly [number, number] | null): void {
    const [, client, number] = (ID.exec(line) ?? []).map(Number);
    const account = this.#accounts[client ?? -1];
    const before = account?.delivered[number ?? -1];
    if (account === undefined || client === undefined || number === undefined || before === undefined) {
      this.violations.push(`delivered, and nobody sent it: ${line.slice(0, 200)}`);
      return;
    }
    // the log may leave white space at the end of a line
    if (line.trimEnd() !== eventText(this.#seed, client, number))
      this.violations.push(`delivered with other content: ${line.slice(0, 200)}`);
    if (messages !== null) this.#isIn(account, `c${client}-${number}`, number, messages);
    this.#deliveries++;
    if (before !== 0) {
      this.#duplicates++;
      this.#tally.duplicates++;
      return;
    }
    account.delivered[number] = this.#deliveries;
    if (account.states[number] === ACKNOWLEDGED) this.#undelivered--;
  }

  /** An event that comes again is in the same message, unless it is stored twice. */
  #isIn(account: Account, name: string, number: number, [first, last]: readonly [number, number]): void {
    const [from, to] = account.messages[number] ?? [first, last];
    const [least, most] = [Math.max(from, first), Math.min(to, last)];
    if (least > most) this.#twice.add(name);
    else account.messages[number] = [least, most];
  }

  #noteGap(): void {
    const nowMs = performance.now();
    const gapMs = nowMs - this.#lastMs;
    if (this.#isGapMeasured && gapMs > this.#tally.gapMs) {
      this.#tally.gapMs = gapMs;
      this.#tally.gapStartMs = this.#lastMs - this.#startMs;
    }
    this.#lastMs = nowMs;
  }

  #where(holds: (account: Account, number: number) => boolean): string[] {
    return this.#accounts.flatMap((account, client) =>
      [...account.states.keys()]
        .filter((number) => holds(account, number))
        .map((number) => `c${client}-${number}`),
    );
  }

  #account(client: number): Account {
    const account = this.#accounts[client];
    if (account === undefined) throw new Error(`there is no client ${client}`);
    return account;
  }
}

/** The text of an event follows from its id, so that its content can be checked without keeping it. */
export function eventText(seed: number, client: number, number: number): string {
  const random = new Random(seed ^ (client * 0x9e3779b1) ^ (number * 0x85ebca6b));
  const padding = random.next().toString(36).slice(2).repeat(random.whole(1, 40));
  return `{"id":"c${client}-${number}","type":"chaos","data":{"number":${number},"padding":"${padding}","é":1.0},"timestamp":${number}}`;
}

function emptyTally(): Tally {
  return { acknowledged: 0, doubtful: 0, full: 0, refused: 0, duplicates: 0, gapMs: 0, gapStartMs: 0 };
}

function sample(ids: readonly string[]): string {
  const more = ids.length > EXAMPLES_MAX ? ', …' : '';
  return `${ids.length} (${ids.slice(0, EXAMPLES_MAX).join(', ')}${more})`;
}
