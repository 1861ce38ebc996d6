import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { silentLogger } from '../../lib/base/reporter.js';
import type { Source } from '../../lib/seams/source.js';
import { openSources } from '../../lib/sources/registry.js';
import type { Door } from '../helpers/raw-door.js';
import { openRaw } from '../helpers/raw-door.js';
import { tempDir } from '../helpers/temp-dir.js';
import type { Scope } from '../helpers/temp-dir.js';
import { Random } from '../simulation/random.js';
import { difference, told } from './outcome.js';
import type { Allowance, Outcome } from './outcome.js';
import { ORDINARY, SECRET } from './samples.js';
import type { Sample } from './samples.js';
import { Sender } from './sender.js';
import type { Sent } from './sender.js';
import { waysOf } from './ways.js';
import type { Cutting, Way } from './ways.js';

const CONNECTIONS = 50;
const EVENT_BYTES_MAX = 65_536;
const BODY_BYTES_MAX = 2 ** 20;
/** How long events are waited for that were taken. */
const STORED_WITHIN_MS = 20_000;
/** No letter of a token is one of hexadecimal, or stands in an event for something else. */
const LETTERS = 'GHIJKLMNOPQRSTUV';
const TOKEN_LENGTH = 8;
const TOKEN_LETTER = /[G-V]/g;
/** What an event gets that has no time of its own. */
const TIME = /"timestamp":\d{13}\}$/;

/** What an event gets whose sender names it in no header. */
const MADE_ID = /"[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}"/;

const CODED = /content-encoding:/i;

export interface Difference {
  readonly sample: string;
  readonly what: string;
  readonly bytes: string;
  readonly ways: readonly [string, string];
  readonly outcomes: readonly [string, string];
}

interface Job {
  readonly sample: Sample;
  readonly way: Way;
  readonly token: string;
  readonly sent: Promise<Sent>;
}

/** Sends samples to one door in each way, and compares what comes of it. */
export class Comparison {
  readonly differences: Difference[] = [];
  readonly allowed: Record<Allowance, number> = {
    'closed early': 0,
    'another fault first': 0,
    'another order': 0,
  };
  readonly statuses = new Map<number, number>();
  samples = 0;
  sendings = 0;
  events = 0;
  readonly #door: Door;
  readonly #sender: Sender;
  readonly #seed: number;
  #tokens = 0;
  /** Resolve where a connection is free. */
  readonly #waiting: (() => void)[] = [];
  #open = 0;

  private constructor(door: Door, seed: number) {
    this.#door = door;
    this.#sender = new Sender(door.server.port);
    this.#seed = seed;
  }

  static async open(scope: Scope, seed: number): Promise<Comparison> {
    const door = await openRaw(scope, {
      sources: sourcesOf(tempDir(scope)),
      fsync: 'never',
      eventBytesMax: EVENT_BYTES_MAX,
      bodyBytesMax: BODY_BYTES_MAX,
      // a busy machine sends byte by byte slowly, which is no difference between the ways
      headersTimeoutMs: 120_000,
      requestTimeoutMs: 120_000,
      bodyRateMin: 0,
      corsOrigins: ['https://good.example'],
    });
    const comparison = new Comparison(door, seed);
    scope.teardown(() => {
      comparison.#sender.close();
    });
    return comparison;
  }

  /** How many connections did not stay in the fast path. */
  get handedOver(): number {
    return this.#door.server.handedOverConnections;
  }

  /** How many pieces the server read alone, and how many perhaps not. */
  get pieces(): { readonly alone: number; readonly together: number } {
    return this.#sender;
  }

  async compare(samples: readonly Sample[], cutting: Cutting): Promise<void> {
    const groups: Job[][] = [];
    for (const sample of samples) {
      const random = new Random(this.#seed ^ crc32(sample.name));
      const any = this.#newToken();
      const ordinary = ORDINARY.map((wire) => wire(any));
      const ways = waysOf(sample.wire(any), cutting, random, ordinary);
      const jobs: Job[] = [];
      for (const way of ways) {
        await this.#free();
        const token = this.#newToken();
        jobs.push({ sample, way, token, sent: this.#send(sample.wire(token), way) });
      }
      groups.push(jobs);
    }
    const answered = await Promise.all(
      groups.map(async (jobs) => Promise.all(jobs.map(async (job) => ({ ...job, ...(await job.sent) })))),
    );
    const tokens = new Set(groups.flatMap((jobs) => jobs.map(({ token }) => token)));
    const stored = await this.#stored(tokens);
    for (const jobs of answered) {
      const outcomes = jobs.map((job) => ({ ...job, stored: stored.get(job.token) ?? [] }));
      this.#hold(outcomes);
    }
  }

  #hold(outcomes: readonly (Job & Outcome)[]): void {
    this.samples++;
    const [first] = outcomes;
    if (first === undefined) return;
    const isCoded = CODED.test(first.sample.wire(first.token).toString('latin1'));
    for (const outcome of outcomes) {
      this.sendings++;
      this.events += outcome.stored.length;
      for (const { status } of outcome.answers)
        this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
      const what = difference(first, outcome, isCoded, (why) => this.allowed[why]++);
      if (what === null) continue;
      this.differences.push({
        sample: outcome.sample.name,
        what,
        bytes: JSON.stringify(outcome.sample.wire(outcome.token).toString('latin1')),
        ways: [first.way.name, outcome.way.name],
        outcomes: [told(first), told(outcome)],
      });
    }
  }

  async #send(bytes: Buffer, way: Way): Promise<Sent> {
    this.#open++;
    try {
      return await this.#sender.send(bytes, way);
    } finally {
      this.#open--;
      this.#waiting.shift()?.();
    }
  }

  async #free(): Promise<void> {
    while (this.#open >= CONNECTIONS) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  /**
   * What has reached the sink since the last time, by token.
   *
   * @param tokens of what was sent meanwhile
   */
  async #stored(tokens: ReadonlySet<string>): Promise<Map<string, string[]>> {
    const { forebay, sink } = this.#door;
    const untilMs = performance.now() + STORED_WITHIN_MS;
    const isDelivered = (): boolean => {
      const { accepted, delivered } = forebay.counts();
      return accepted === delivered;
    };
    while (!isDelivered()) {
      if (performance.now() > untilMs) throw new Error('accepted events are not delivered');
      await sleep(5);
    }
    const stored = new Map<string, string[]>();
    const texts = sink.batches.splice(0).map(({ text }) => text);
    for (const line of texts.flatMap((text) => text.split('\n'))) {
      if (line === '') continue;
      const token = tokenIn(line, tokens);
      if (token === null) throw new Error(`nobody has sent ${line}`);
      const events = stored.get(token) ?? [];
      const same = line.replaceAll(TOKEN_LETTER, '#').replace(TIME, '"timestamp":now}');
      events.push(same.replace(MADE_ID, '"made"'));
      stored.set(token, events);
    }
    return stored;
  }

  #newToken(): string {
    // neighbours share no more letters than others do
    let number = Math.imul(this.#tokens++, 0x9e3779b1) >>> 0;
    let token = '';
    for (; token.length < TOKEN_LENGTH; number >>>= 4) token += LETTERS[number & 15];
    return token;
  }
}

/** Plain events, signed webhooks and CloudEvents. */
function sourcesOf(dir: string): readonly Source[] {
  const secretFile = join(dir, 'github.secret');
  writeFileSync(secretFile, `${SECRET}\n`);
  const github = { name: 'github', given: { 'secret-file': secretFile } };
  return openSources([github, { name: 'cloudevents', given: {} }], { logger: silentLogger });
}

/** Each event has its token twice: one that was cut or joined is not whole. */
function tokenIn(line: string, tokens: ReadonlySet<string>): string | null {
  for (let at = 0; at + TOKEN_LENGTH <= line.length; at++) {
    const each = line.slice(at, at + TOKEN_LENGTH);
    if (tokens.has(each)) return each;
  }
  return null;
}
