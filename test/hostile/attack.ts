import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../simulation/random.js';
import { Connection } from './connection.js';

/** How many exchanges run at once. */
const AT_ONCE = 20;
const WITHIN_MS = 3000;
/** How long an answer too many is waited for, in milliseconds. */
const SETTLE_MS = 30;
/** What lies between two pieces, so that the server gets them as two, in milliseconds. */
const PIECE_MS = 4;
const FAULTS_KEPT_MAX = 200;

/** What is sent over a connection of its own, and what may come back. */
export interface Exchange {
  readonly label: string;
  readonly pieces: readonly Buffer[];
  /** The statuses that each answer may have, in order. `null`: whatever comes. */
  readonly may: readonly (readonly number[])[] | null;
  /** At least this many answers must come before the server closes the connection; all by default. */
  readonly least?: number;
  /** Whether the server must close the connection after the answers. */
  readonly closes?: boolean;
  readonly withinMs?: number;
  /** What lies between two pieces, in milliseconds. */
  readonly pauseMs?: number;
  /** What the client does after the last piece, instead of waiting. */
  readonly after?: 'end' | 'reset';
  /** The answers may be this long together, in bytes. */
  readonly answerBytesMax?: number;
}

/** The strangers of one kind of attack: what they send, what they are answered, and what of it is wrong. */
export class Attack {
  readonly port: number;
  readonly random: Random;
  /** What was answered that must not have been, or was not; the first of them. */
  readonly faults: string[] = [];
  /** Events that must not be stored. */
  readonly never = new Set<string>();
  readonly #name: string;
  readonly #connections = new Set<Connection>();
  readonly #over = new AbortController();
  readonly #answers = new Map<string, number>();
  #bytes = 0;
  #ids = 0;

  constructor(name: string, port: number, random: Random) {
    setMaxListeners(0, this.#over.signal);
    this.#name = name;
    this.port = port;
    this.random = random;
  }

  /** The `Host` that the server goes by. */
  get host(): string {
    return `localhost:${this.port}`;
  }

  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  /** How many bytes were sent. */
  get bytes(): number {
    return [...this.#connections].reduce((sum, { bytes }) => sum + bytes, this.#bytes);
  }

  /** How often which answer came: a status, or what came instead of one. */
  get answers(): ReadonlyMap<string, number> {
    return new Map([...this.#answers].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  newId(): string {
    return `${this.#name}-${++this.#ids}`;
  }

  connect(reads: boolean = true): Connection {
    const connection = new Connection(this.port, reads);
    this.#connections.add(connection);
    return connection;
  }

  /** Waits, at most until the attack is over. */
  async hold(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#over.signal }).catch(() => undefined);
  }

  fault(text: string): void {
    if (this.isOver) return;
    if (this.faults.length < FAULTS_KEPT_MAX) this.faults.push(text);
  }

  /** Runs all, some at once, each over a connection of its own. */
  async all(exchanges: Iterable<Exchange>, atOnce: number = AT_ONCE): Promise<void> {
    const left = exchanges[Symbol.iterator]();
    const work = async (): Promise<void> => {
      for (let next = left.next(); next.done !== true && !this.isOver; next = left.next())
        await this.exchange(next.value);
    };
    await Promise.all(Array.from({ length: atOnce }, work));
  }

  /** @returns the statuses of the answers */
  async exchange(exchange: Exchange): Promise<readonly number[]> {
    const { pieces, may, after, closes = false, withinMs = WITHIN_MS, pauseMs = PIECE_MS } = exchange;
    const connection = this.connect();
    const { statuses } = connection.answers;
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) await sleep(pauseMs);
      connection.send(piece);
    }
    if (after === 'end') connection.end();
    if (after === 'reset') {
      await connection.until(() => connection.isOpen, withinMs);
      await this.hold(this.random.whole(0, 20));
      connection.reset();
    }
    const isWhole = (): boolean => may !== null && !closes && statuses.length >= may.length;
    await connection.until(isWhole, withinMs);
    if (!connection.isClosed && isWhole()) await connection.until(() => false, SETTLE_MS);
    const { isClosed } = connection;
    this.leave(connection);
    this.#judge(exchange, connection, isClosed);
    return statuses;
  }

  /**
   * Sends the same over some connections and holds them.
   *
   * @param statuses that may come
   */
  async flood(
    bytes: Buffer,
    {
      connections = 1,
      reads = true,
      holdMs,
      statuses,
    }: { connections?: number; reads?: boolean; holdMs: number; statuses: readonly number[] },
  ): Promise<void> {
    const held = Array.from({ length: connections }, () => this.connect(reads));
    for (const connection of held) connection.send(bytes);
    await Promise.race([
      this.hold(holdMs),
      Promise.all(held.map(async (each) => each.until(() => false, holdMs))),
    ]);
    for (const connection of held) this.leave(connection, statuses);
  }

  /** Closes a connection and counts its answers. @param statuses that may have come; `null`: any */
  leave(connection: Connection, statuses: readonly number[] | null = null): void {
    if (!this.#connections.delete(connection)) return;
    const { answers, bytes, isClosed } = connection;
    connection.close();
    this.#bytes += bytes;
    for (const status of [...answers.interim, ...answers.statuses]) this.#count(String(status));
    if (answers.statuses.length === 0) this.#count(isClosed ? 'closed' : 'none');
    const strange = answers.statuses.filter((each) => statuses?.includes(each) === false);
    if (strange.length > 0) this.fault(`${strange.length} answers of ${[...new Set(strange)].join(', ')}`);
    this.#judgeForm('the answers', connection);
  }

  end(): void {
    this.#over.abort();
    for (const connection of this.#connections) this.leave(connection);
  }

  #judge(exchange: Exchange, { answers }: Connection, isClosed: boolean): void {
    const { label, may, after, closes = false, answerBytesMax = Infinity } = exchange;
    const { statuses, bytes } = answers;
    if (bytes > answerBytesMax) this.fault(`${label}: an answer of ${bytes} bytes`);
    if (may === null) {
      if (after === 'end' && !isClosed)
        this.fault(`${label}: left open after the client had closed its side`);
      if (statuses.some((each) => each === 500)) this.fault(`${label}: answered 500`);
      return;
    }
    const least = exchange.least ?? may.length;
    const what = statuses.length === 0 ? 'no answer' : `answered ${statuses.join(', ')}`;
    const end = isClosed ? ' and closed' : ' and left open';
    const isRight = statuses.every((each, index) => may[index]?.includes(each) === true);
    const isWhole = statuses.length === may.length || (isClosed && statuses.length >= least);
    if (isRight && isWhole && (isClosed || !closes)) return;
    this.fault(`${label}: ${what}${end}, not ${may.map((each) => each.join(' or ')).join(', ')}`);
  }

  #judgeForm(label: string, { answers }: Connection): void {
    if (answers.garbage !== null)
      this.fault(`${label}: not HTTP where an answer begins: ${JSON.stringify(answers.garbage)}`);
    if (answers.wentOnAfterClose) this.fault(`${label}: an answer after one with Connection: close`);
  }

  #count(answer: string): void {
    this.#answers.set(answer, (this.#answers.get(answer) ?? 0) + 1);
  }
}

/** A kind of attack. */
export interface Kind {
  readonly name: string;
  /** What it sends, in a few words. */
  readonly about: string;
  /** How long it may take; then it is broken off, which is a fault. */
  readonly limitMs?: number;
  /** Whether the server takes TLS. */
  readonly isTls?: boolean;
  readonly attack: (attack: Attack) => Promise<void>;
}
