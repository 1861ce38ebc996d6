/**
 * One seed: some instances share a stream and a sink, all in virtual time. Instances are killed, frozen and stopped, the
 * servers lose their leader, connections lose what is on them; the ledger knows what each client was answered.
 */
import { nuid } from '@nats-io/nats-core';
import { idsRoom } from '../../../lib/logs/jetstream/ids/id-message.js';
import { lineDamaged } from '../flips.js';
import { drawWindow } from '../id-clients.js';
import type { WindowSettings } from '../known-ids.js';
import { Ledger } from '../ledger.js';
import { SinkMemory, WELL } from '../moody-sink.js';
import type { Moods } from '../moody-sink.js';
import { Random } from '../random.js';
import { plainSettings, randomSettings } from '../run-settings.js';
import type { RunSettings } from '../run-settings.js';
import type { Surroundings } from '../simulated-disk.js';
import type { SeedOptions, SeedResult } from '../simulation.js';
import { lettersOf, validTexts } from '../surviving-log.js';
import type { Tally } from '../tally.js';
import { Trace } from '../trace.js';
import { afterDrain, enterWorld } from '../virtual-process.js';
import { VirtualTime } from '../virtual-time.js';
import { idsMaxOf, Instance } from './instance.js';
import { NAMES, QUIET, SimulatedServers } from './simulated-servers.js';
import type { NetworkMoods } from './simulated-servers.js';
import {
  BatchesAside,
  eventMessages,
  isCompressed,
  linesInMessage,
  readSurvivingStream,
  seqOfSubject,
} from './surviving-stream.js';

const START_MS = Date.UTC(2025, 11, 11, 1, 28);
/** A request may be on its way for this long, as its instance is frozen, or it is late. */
const LATE_MS = 200_000;
/** Mixed into a seed for what is drawn apart. */
const APART = 0x1d5;
const LINE_FEED = 10;
/** Draws the id windows, so that a seed is otherwise the same as before. */
const IDS_APART = 0x2b7;
/** More ids than clients ever send. */
const IDS_MANY = 1000;
const BITS = 8;
/** How long it may take to deliver everything once the faults are off. */
const CATCH_UP_MS = 20 * 60_000;
const CATCH_UP_STEPS = 100_000;
/** Longer than the servers wait for a word: what is frozen for this time loses what it holds. */
const FROZEN_MS = [500, 40_000] as const;
/** Longer than they know what they have stored. */
const FROZEN_LONG_MS = [121_000, 140_000] as const;
/** Draws which freezes are long. */
const FREEZES_APART = 0x3c1;
/** Draws which instances compress their messages. */
const COMPRESSING_APART = 0x5e3;

interface Bound {
  readonly steps: number;
  readonly untilMs: number;
  readonly until?: () => boolean;
}

export class StreamSimulation {
  readonly #around: Surroundings;
  readonly #ledger: Ledger;
  readonly #options: SeedOptions;
  readonly #servers: SimulatedServers;
  readonly #sink: SinkMemory;
  readonly #inOrder: boolean;
  readonly #backlogBytesMax: number;
  readonly #deadLettersBytesMax: number;
  /** What the sinks of all instances are like. */
  readonly #moods: Moods = { ...WELL };
  readonly #instances: Instance[] = [];
  readonly #slowness: number;
  /** The id windows of all instances; `null`: there are none. */
  readonly #window: WindowSettings | null;
  /** Draws what came later, so that a seed is otherwise the same as before. */
  readonly #apart: Random;
  readonly #freezes: Random;
  readonly #compressing: Random;
  readonly #isPausing: boolean;
  #started = 0;
  /** When someone has last asked for the end of a pause. */
  #resumedAtMs = -Infinity;

  constructor(options: SeedOptions, tally: Tally) {
    const random = new Random(options.seed);
    this.#apart = new Random(options.seed ^ APART);
    this.#freezes = new Random(options.seed ^ FREEZES_APART);
    this.#compressing = new Random(options.seed ^ COMPRESSING_APART);
    this.#isPausing = this.#apart.chance(0.3);
    const time = new VirtualTime(START_MS);
    this.#around = { random, time, tally, trace: new Trace(options.traced) };
    this.#options = options;
    this.#ledger = new Ledger(tally, false, false, new BatchesAside());
    this.#ledger.contexts.areSent = options.seed % 3 === 0;
    this.#sink = new SinkMemory(new Set(), this.#ledger);
    this.#inOrder = random.chance(0.3);
    this.#slowness = random.pick([1, 20, 200]);
    this.#backlogBytesMax = random.pick([40_000, 100_000, 64 * 2 ** 20]);
    this.#deadLettersBytesMax = random.pick([1024, 4096, 2 ** 20, 2 ** 20]);
    const apart = new Random(options.seed ^ IDS_APART);
    this.#window = apart.chance(0.4) ? drawWindow(apart) : null;
    this.#ledger.ids.windowMs = this.#window?.windowMs ?? Infinity;
    this.#ledger.ids.isShared = true;
    const idsMax = idsMaxOf(this.#window);
    if (this.#window !== null && this.#window.idsMax < IDS_MANY)
      this.#ledger.ids.excuseAll('there are more ids than are kept');
    this.#servers = new SimulatedServers({
      idsBytesMax: idsRoom(NAMES.events, idsMax),
      around: this.#around,
      ledger: this.#ledger,
      inOrder: this.#inOrder,
      backlogBytesMax: this.#backlogBytesMax,
      deadLettersBytesMax: this.#deadLettersBytesMax,
      payloadMax: random.pick([16_384, 65_536]),
    });
    this.#ledger.isOnDisk = (line) => this.#servers.hasStored(line);
    this.#ledger.mayBeBoth = (line) => this.#hadSeveralHolders(line);
  }

  async run(): Promise<SeedResult> {
    enterWorld(this.#around);
    nuid.reset(); // it draws its start once in a process
    const { random, trace, time } = this.#around;
    trace.add(`=== a stream${this.#inOrder ? ' in order' : ''}, ${this.#backlogBytesMax} bytes`);
    for (let left = random.whole(2, 3); left > 0; left--) this.#startInstance(null);
    for (let round = random.whole(6, 16); round > 0 && this.#ledger.violation === null; round--) {
      await this.#live({ steps: 1500, untilMs: time.nowMs + random.spread(20, 40_000) });
      if (this.#ledger.violation === null) this.#somethingHappens();
      if (this.#ledger.violation === null) this.#pauseOrResume();
    }
    if (this.#ledger.violation === null) await this.#catchUp();
    time.forgetAll();
    return { violation: this.#ledger.violation, trace };
  }

  #startInstance(plain: RunSettings | null): Instance {
    const { random, tally } = this.#around;
    const name = `instance ${++this.#started}`;
    const bounds = {
      backlogBytesMax: this.#backlogBytesMax,
      deadLettersBytesMax: this.#deadLettersBytesMax,
    };
    const settings = { ...(plain ?? randomSettings(random, '/unused', 'always', false)), ...bounds };
    const instance = new Instance({
      name,
      around: this.#around,
      ledger: this.#ledger,
      servers: this.#servers,
      settings,
      sink: this.#sink,
      moods: this.#moods,
      slowness: this.#slowness,
      window: this.#window,
      compresses: this.#compressing.chance(0.7),
    });
    this.#around.trace.add(`=== ${name}: ${JSON.stringify(settings)}`);
    tally.count('starts', 'starts');
    this.#instances.push(instance);
    instance.start();
    if (plain === null) instance.startSending();
    return instance;
  }

  #somethingHappens(): void {
    const { random, trace, tally } = this.#around;
    for (const [index, { isAlive }] of [...this.#instances.entries()].toReversed())
      if (!isAlive) this.#instances.splice(index, 1);
    while (this.#instances.length < 2) this.#startInstance(null);
    const instance = random.pick(this.#instances);
    const what = random.pick([
      'kill',
      'kill',
      'kill at a letter',
      'freeze',
      'freeze',
      'stop',
      'outage',
      'disconnect',
      'network',
      'network',
      'sink',
      'sink',
      'flip',
      'letters',
      'start',
    ] as const);
    trace.add(`=== ${what} (${instance.name})`);
    if (what === 'kill') this.#kill(instance);
    else if (what === 'kill at a letter') this.#killAtLetter();
    else if (what === 'freeze' && instance.owner.state === 'runs') {
      const frozenMs = random.spread(...FROZEN_MS);
      instance.freeze(this.#freezes.chance(0.2) ? this.#freezes.spread(...FROZEN_LONG_MS) : frozenMs);
      tally.count('ends', 'freezes');
    } else if (what === 'stop') instance.stop();
    else if (what === 'outage') this.#outage();
    else if (what === 'disconnect') {
      instance.connection.down(random.spread(1, 4000), random.spread(1, 20_000));
      tally.count('stream', 'connections lost');
    } else if (what === 'network') this.#servers.network = this.#drawNetwork();
    else if (what === 'sink') Object.assign(this.#moods, this.#drawMoods());
    else if (what === 'flip') this.#flipBit();
    else if (what === 'letters') this.#dropLetters();
    else if (what === 'start' && this.#instances.length < 3) this.#startInstance(null);
  }

  /** An operator pauses the delivery of all, or lets it go on, at any instance. */
  #pauseOrResume(): void {
    if (!this.#isPausing || !this.#apart.chance(0.4)) return;
    const alive = this.#instances.filter(({ isAlive }) => isAlive);
    if (alive.length === 0) return;
    const instance = this.#apart.pick(alive);
    const isPause = this.#apart.chance(0.5);
    this.#around.trace.add(`=== ${isPause ? 'pause' : 'resume'} (${instance.name})`);
    const { nowMs } = this.#around.time;
    if (isPause) {
      instance.pause(nowMs - this.#resumedAtMs > LATE_MS);
      return;
    }
    this.#resumedAtMs = nowMs;
    for (const each of this.#instances) each.mayGoOn();
    instance.resume();
  }

  #kill(instance: Instance): void {
    instance.kill();
    this.#around.tally.count('ends', 'kills');
    this.#ledger.checkSurvivors(readSurvivingStream(this.#servers), `after ${instance.name} was killed`);
  }

  /** Kills an instance about when it has kept a dead letter; the sink may take the event after all then. */
  #killAtLetter(): void {
    const { random, time, tally } = this.#around;
    Object.assign(this.#moods, { ...WELL, mended: false });
    this.#servers.keptLetter = (name) => {
      this.#servers.keptLetter = () => undefined;
      const instance = this.#instances.find((each) => each.name === name);
      const kill = (): void => {
        if (instance?.isAlive !== true) return;
        tally.count('ends', 'kills at a dead letter');
        this.#kill(instance);
        this.#moods.mended = random.chance(0.5);
      };
      time.after(random.spread(0.1, 10), `${name} is killed at a dead letter`, kill, null);
    };
  }

  #outage(): void {
    const { random, time, tally } = this.#around;
    this.#servers.leaderLost(random.pick(['nobody', 'silence']));
    tally.count('stream', 'leaders lost');
    time.after(random.spread(100, 15_000), 'a leader is elected', () => this.#servers.leaderElected(), null);
  }

  #drawNetwork(): NetworkMoods {
    const { random } = this.#around;
    if (random.chance(0.3)) return { ...QUIET };
    const rarely = (): number => random.pick([0, 0, 0.05, 0.3]);
    return {
      requestLost: rarely(),
      answerLost: rarely(),
      messageLost: rarely(),
      wordLost: rarely(),
      requestLate: rarely(),
      answerLate: rarely(),
      doubled: rarely(),
      unavailable: rarely(),
      latencyMs: random.pick([0.5, 0.5, 5, 200]),
    };
  }

  #drawMoods(): Moods {
    const { random } = this.#around;
    return {
      failing: random.pick([0, 0, 0.2, 1]),
      answerLost: random.pick([0, 0, 0.2]),
      silent: random.pick([0, 0, 0, 0.05]),
      cutOff: random.pick([0, 0, 0.1]),
      late: random.pick([0, 0, 0.1]),
      mended: random.chance(0.3),
      latencyMs: random.spread(0.1, random.pick([30, 30, 3000, 40_000])),
    };
  }

  /** Turns one bit of a stored message. */
  #flipBit(): void {
    const { random, trace, tally } = this.#around;
    const messages = eventMessages(this.#servers.events);
    if (!this.#options.flips || messages.length === 0) return;
    const compressed = messages.filter(({ data: each }) => isCompressed(each));
    const isOne = compressed.length > 0 && this.#compressing.chance(0.7);
    const { seq, data } = random.pick(isOne ? compressed : messages);
    if (this.#ledger.hasDamage(String(seq))) return;
    const before = Buffer.from(data);
    const position = random.whole(0, data.length - 1);
    const isWhole = isCompressed(before);
    if (!isWhole && !before.includes(LINE_FEED, position)) return;
    data[position] = (data[position] ?? 0) ^ (1 << random.whole(0, BITS - 1));
    trace.add(`  a bit flips in message ${seq}, byte ${position}`);
    tally.count('stream', isWhole ? 'bits flipped in compressed messages' : 'bits flipped');
    // what can still be read of it may be delivered
    if (isWhole) this.#ledger.damaged(validTexts(linesInMessage(before)), String(seq), Buffer.from(data));
    else lineDamaged(before, data, position, String(seq), this.#ledger);
  }

  /** Someone drops dead letters, none of a message that is still there. */
  #dropLetters(): void {
    const { letters, events } = this.#servers;
    for (const { seq, subject, data } of letters.messages.values()) {
      if (events.messages.has(Number(seqOfSubject(subject)))) continue;
      this.#ledger.dropped(lettersOf(data));
      this.#around.tally.count('sink', 'dead letters dropped');
      letters.remove(seq);
    }
  }

  /** Another instance may have delivered, or kept, what one was about to. */
  #hadSeveralHolders(line: string): boolean {
    const { letters, consumer } = this.#servers;
    const letter = [...letters.messages.values()].find(({ data }) => lettersOf(data).includes(line));
    const seq = Number(seqOfSubject(letter?.subject ?? ''));
    return (consumer.handedTo.get(seq)?.size ?? 0) > 1;
  }

  /** Lets things happen, one after the other, up to the bound. */
  async #live({ steps, untilMs, until }: Bound): Promise<void> {
    const { time, trace } = this.#around;
    let taken = 0;
    return new Promise((resolve) => {
      const step = (): void => {
        for (const instance of this.#instances) instance.check();
        const isOver = taken >= steps || time.nowMs >= untilMs || until?.() === true;
        if (isOver || this.#ledger.violation !== null) {
          time.owner = null;
          resolve();
          return;
        }
        const next = time.next();
        if (next === null) {
          time.owner = null;
          resolve();
          return;
        }
        taken++;
        trace.add(`${(time.nowMs - START_MS).toFixed(3)} ${next.owner?.name ?? 'all'}: ${next.label}`);
        const { run } = next;
        next.run = null;
        run?.();
        afterDrain(step);
      };
      afterDrain(step);
    });
  }

  /** The faults are off: everything must come out, and nothing may stay. */
  async #catchUp(): Promise<void> {
    const { time, trace, random, tally } = this.#around;
    trace.add('=== the faults are off');
    this.#servers.network = { ...QUIET };
    this.#servers.leaderElected();
    Object.assign(this.#moods, WELL);
    this.#servers.keptLetter = () => undefined;
    const isKept = random.chance(0.5);
    for (const instance of this.#instances) {
      // one that is frozen, or waits for a sink that never answers, keeps what it holds
      if (isKept && instance.isAlive) instance.stop();
      else if (instance.isAlive) instance.kill();
    }
    const finish = async (what: string, until: () => boolean): Promise<void> => {
      await this.#live({ steps: CATCH_UP_STEPS, untilMs: time.nowMs + CATCH_UP_MS, until });
      if (until() || this.#ledger.violation !== null) return;
      // what is lost says more
      this.#checkSurvivors('while everything is well');
      this.#ledger.violated(`hangs: ${what}`);
    };
    const { length } = this.#instances;
    await finish('an instance does not stop', () => this.#instances.every(({ isAlive }) => !isAlive));
    this.#instances.splice(0, length);
    const settings = plainSettings('/unused', false);
    const all = [this.#startInstance(settings), this.#startInstance(settings)];
    await finish('an instance does not start', () => all.every(({ phase }) => phase === 'running'));
    if (this.#isPausing) {
      // a pause that nobody was answered for may be late, and holds then
      await this.#live({ steps: CATCH_UP_STEPS, untilMs: time.nowMs + LATE_MS });
      let resumed = 0;
      for (const each of all) each.resume(() => resumed++);
      await finish('resume() does not end well', () => resumed === all.length);
      await finish('an instance does not hear of the end of a pause', () =>
        all.every(({ knowsOfPause }) => !knowsOfPause),
      );
    }
    const { events } = this.#servers;
    const isEmpty = (): boolean => !this.#ledger.owes && eventMessages(events).length === 0;
    // the servers are asked once a second
    const knowsIt = (): boolean => all.every(({ isReady, pending }) => isReady && pending === 0);
    const empty = async (): Promise<void> => {
      await finish('what waits is not delivered', isEmpty);
      await finish('what is delivered still counts as waiting', knowsIt);
    };
    await empty();
    if (this.#isPausing) {
      await this.#pauseAll(all, finish);
      await empty();
    }
    let probed = 0;
    for (const each of all) void each.probe(3).then(() => probed++);
    await finish('events are not answered', () => probed === all.length);
    let again = 0;
    for (const each of all) void each.sendAgain().then(() => again++);
    await finish('events that come again are not answered', () => again === all.length);
    await finish('what was sent last is not delivered', isEmpty);
    await finish('what was delivered last still counts as waiting', knowsIt);
    for (const each of all) each.stop();
    await finish('stop() does not end', () => all.every(({ phase }) => phase === 'stopped'));
    this.#checkSurvivors('at the end');
    tally.count('checks', 'runs that ended with everything delivered and no message left');
  }

  /** With no fault left: all instances pause, events are taken, nobody delivers any, and all go on. */
  async #pauseAll(
    all: readonly Instance[],
    finish: (what: string, until: () => boolean) => Promise<void>,
  ): Promise<void> {
    const [one, other] = all;
    if (one === undefined || other === undefined) return;
    const { metadata } = this.#servers.events;
    one.pause(true);
    await finish('pause() does not end', () => one.knowsOfPause);
    // someone changes a setting of the stream who has read them before
    if (this.#apart.chance(0.5)) this.#servers.update(NAMES.events, metadata);
    await finish('an instance does not hear of a pause', () => all.every(({ knowsOfPause }) => knowsOfPause));
    other.pause(true); // it knows already, and from now on is held to it
    let probed = 0;
    for (const each of all) void each.probe(3).then(() => probed++);
    await finish('events are not answered while delivery is paused', () => probed === all.length);
    await this.#live({ steps: CATCH_UP_STEPS, untilMs: this.#around.time.nowMs + LATE_MS });
    for (const each of all) each.mayGoOn();
    let isAnswered = false;
    other.resume(() => (isAnswered = true));
    await finish('resume() does not end well', () => isAnswered);
  }

  #checkSurvivors(when: string): void {
    this.#ledger.checkSurvivors(readSurvivingStream(this.#servers), when);
  }
}
