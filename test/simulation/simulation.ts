import { LOCK_FILE, NOTE_BYTES } from '../../lib/logs/file/directory-lock.js';
import { RESERVE_BYTES, RESERVE_FILE } from '../../lib/logs/file/reserve.js';
import { ERRORS } from '../../lib/base/errors.js';
import { drawWindow } from './id-clients.js';
import type { WindowSettings } from './known-ids.js';
import { harmWindow } from './window-harm.js';
import { planFaults } from './fault-plans.js';
import { flipBitAtRest } from './flips.js';
import { Ledger } from './ledger.js';
import { comeToTheEnd, stepClock } from './clock.js';
import { Life } from './life.js';
import type { Bound } from './life.js';
import { isToxic, SinkMemory, WELL } from './moody-sink.js';
import type { Moods } from './moody-sink.js';
import { Pauses } from './pauses.js';
import { moveDirectory, removeBatches, removeBatchesNowAndThen, removeLock } from './operator.js';
import { Random } from './random.js';
import { plainSettings, randomSettings, retaining } from './run-settings.js';
import type { RunSettings } from './run-settings.js';
import { SimulatedDisk } from './simulated-disk.js';
import type { DiskTree } from './disk-tree.js';
import type { Surroundings } from './simulated-disk.js';
import {
  batchesIn,
  isBatchFile,
  linesIn,
  readSurvivingLog,
  retainedTexts,
  textsIn,
  together,
} from './surviving-log.js';
import type { SurvivingLog } from './surviving-log.js';
import type { Tally } from './tally.js';
import { Trace } from './trace.js';
import { enterWorld } from './virtual-process.js';
import { VirtualTime } from './virtual-time.js';
import { drawWorld } from './worlds.js';
import type { Oddity } from './worlds.js';

export interface SeedOptions {
  readonly seed: number;
  /** Whether bits are flipped in files at rest. */
  readonly flips: boolean;
  /** How many of the last steps are kept as text. */
  readonly traced: number;
  /** What is odd about the world, beside what the seed draws. */
  readonly oddities: readonly Oddity[];
  /** Whether the seed draws nothing. */
  readonly only: boolean;
}

export interface SeedResult {
  /** What was violated, in words; `null`: everything held. */
  readonly violation: string | null;
  readonly trace: Trace;
}

/** Mixed into a seed for what is drawn apart. */
const APART = 0x1d5;
const LAST = 0x7c7;
/** No world has more ids. */
const IDS_MANY = 100_000;
/** In these worlds an id may be forgotten, and its event stored twice. */
const FORGETFUL: readonly Oddity[] = ['clock', 'end of time', 'removed lock', 'moved directory'];
/** In these worlds the file of the pause is moved away, or two servers change it. */
const PAUSELESS: readonly Oddity[] = ['removed lock', 'moved directory'];
const START_MS = Date.UTC(2025, 11, 11, 1, 28);
const PHASE_STEPS_MAX = 250;
const PHASES = [
  'writing events',
  'flushing a file',
  'flushing the directory',
  'creating a batch file',
  'deleting a file',
  'cutting a failed end off',
  'reading a file',
  'reading the directory',
  'noting in the lock file',
  'making the log directory',
  'setting damaged lines aside',
  'replaying',
  'stopping',
] as const;
const PHASES_OF_COMPRESSION = [
  'compressing',
  'compressing',
  'replacing a file',
  'replacing a file',
  'deleting a file',
];
const PHASES_OF_RETENTION = ['retaining a file', 'retaining a file', 'deleting a retained file'];
/** In these worlds files go that were to be kept. */
const SHORT: readonly Oddity[] = [
  'small disk',
  'full at the end',
  'removed files',
  'removed lock',
  'moved directory',
  'unreadable files',
];
const PHASES_OF_IDS = Array.from({ length: 6 }, () => 'keeping ids');
/** How long everything may take to be delivered once nothing goes wrong any more. */
const CATCH_UP_MS = 20 * 60_000;
/** The longest wait between two attempts in an outage. */
const OUTAGE_WAIT_MS = 30_000;
/** The same for each batch, if that is more: a sink that takes only small parts makes an outage of each. */
const CATCH_UP_BATCH_MS = 10_000;
const CATCH_UP_STEPS = 200_000;

/** One seed: Forebay lives many times on one disk, and each life ends badly. */
export class Simulation {
  readonly #around: Surroundings;
  readonly #ledger: Ledger;
  readonly #options: SeedOptions;
  readonly #logDir: string;
  readonly #sink: SinkMemory;
  /** Draws what came last. */
  readonly #last: Random;
  /** Whether ids are remembered, and how. */
  readonly #window: WindowSettings | null;
  #disk: SimulatedDisk;
  /** That of the second instance, in worlds that have one. */
  #otherDisk: SimulatedDisk | null;
  /** Who pauses delivery, in worlds where someone does: by disk, as each has its server. */
  readonly #pauses: { readonly main: Pauses; readonly other: Pauses } | null;

  constructor(options: SeedOptions, tally: Tally) {
    const random = new Random(options.seed);
    this.#around = { random, time: new VirtualTime(START_MS), tally, trace: new Trace(options.traced) };
    this.#options = options;
    this.#ledger = new Ledger(tally, !Object.hasOwn(ERRORS, 'IN_DOUBT'));
    this.#logDir = random.pick(['/log', '/log', '/data/forebay/log']);
    this.#disk = new SimulatedDisk(this.#around);
    const apart = new Random(options.seed ^ APART);
    const last = new Random(options.seed ^ LAST);
    this.#last = last;
    const world = drawWorld(random, apart, last, options.oddities, options.only);
    this.#ledger.contexts.areSent = world.has('contexts');
    this.#window = world.has('ids') ? drawWindow(apart) : null;
    this.#around.areEventsLarge = world.has('compression');
    this.#around.killsLeaveDirty = this.#window !== null;
    this.#ledger.ids.windowMs = this.#window?.windowMs ?? Infinity;
    const odd = FORGETFUL.find((oddity) => world.has(oddity));
    if (odd !== undefined) this.#ledger.ids.excuseAll(odd);
    if (this.#window !== null && this.#window.idsMax < IDS_MANY)
      this.#ledger.ids.excuseAll('there are more ids than are kept');
    this.#ledger.isOnDisk = (line) => this.#isOnDisk(line);
    for (const oddity of world) tally.count('worlds', oddity);
    this.#sink = new SinkMemory(world, this.#ledger);
    const pauses = (): Pauses => new Pauses(this.#around, this.#ledger);
    const isPaused = world.has('pauses') && !PAUSELESS.some((oddity) => world.has(oddity));
    this.#pauses = isPaused ? { main: pauses(), other: pauses() } : null;
    this.#otherDisk = world.has('two instances') ? new SimulatedDisk(this.#around) : null;
  }

  #has(oddity: Oddity): boolean {
    return this.#sink.world.has(oddity);
  }

  async run(): Promise<SeedResult> {
    enterWorld(this.#around);
    const { random, trace } = this.#around;
    trace.add(`=== a world with ${[...this.#sink.world].join(', ') || 'nothing odd'}`);
    // a weaker flush promises something against kill -9 only
    const fsync = random.chance(0.9) ? 'always' : random.pick(['never', 1, 50] as const);
    const lives = random.whole(8, 24);
    for (let life = 0; life < lives && this.#ledger.violation === null; life++) await this.#live(fsync);
    if (this.#ledger.violation === null) await this.#catchUp();
    this.#around.time.forgetAll();
    return { violation: this.#ledger.violation, trace };
  }

  async #live(fsync: 'always' | 'never' | number): Promise<void> {
    const { random, tally, trace } = this.#around;
    const settings = this.#settings(fsync);
    trace.add(`=== a life begins: ${JSON.stringify(settings)}`);
    tally.count('starts', 'starts');
    this.#prepare(this.#disk);
    const bound = this.#bound();
    // else there is hardly ever an end to cut off
    if (bound.during?.phase === 'cutting a failed end off') this.#disk.faults.rates.fdatasync = 0.4;
    if (bound.during?.phase === 'setting damaged lines aside') this.#disk.faults.rates.fsync = 0.4;
    if (bound.during?.phase === 'deleting a file') this.#disk.faults.rates.unlink = 0.4;
    const moods = this.#moods();
    const other = this.#otherLife(fsync, moods);
    const life = this.#life(this.#disk, settings, moods, other);
    if (this.#has('removed lock')) this.#startSecond(life, fsync, moods);
    for (const each of other === null ? [life] : [life, other]) {
      each.start();
      each.beginSending();
    }
    if (this.#has('removed files'))
      removeBatchesNowAndThen(this.#around, this.#ledger, this.#disk, this.#logDir);
    if (this.#has('moved directory')) moveDirectory(this.#around, this.#ledger, this.#disk, this.#logDir);
    if (this.#has('clock')) stepClock(this.#around);
    if (this.#has('end of time') && random.chance(0.3)) comeToTheEnd(this.#around);
    if (random.chance(0.15)) {
      await life.live(this.#bound());
      life.stop();
    }
    const goesOn = await life.live(bound);
    if (!goesOn && this.#ledger.unanswered > 0) {
      this.#ledger.violated(
        `nothing is left to happen, and ${this.#ledger.unanswered} events have no answer`,
      );
    }
    this.#end(life, fsync);
  }

  #settings(fsync: 'always' | 'never' | number): RunSettings {
    const { random } = this.#around;
    const settings = randomSettings(random, this.#logDir, fsync, this.#has('compression'));
    return this.#has('retention') ? { ...settings, ...retaining(this.#last) } : settings;
  }

  /** A disk for one life, with what goes wrong on it. */
  #prepare(disk: SimulatedDisk): void {
    const { random } = this.#around;
    disk.latencyMs = random.pick([0.05, 0.5, 0.5, 5]);
    disk.faults.clear();
    planFaults(disk, this.#around);
    if (this.#has('small disk') || this.#has('full at the end'))
      disk.faults.capacityBytes = disk.tree.bytes + Math.floor(random.spread(100, 50_000));
  }

  #moods(): Moods {
    const { random } = this.#around;
    return {
      // files must wait for being compressed
      failing: random.pick(this.#has('compression') ? [0, 0.9, 0.97, 0.99] : [0, 0, 0, 0.2, 0.9]),
      answerLost: random.pick([0, 0, 0.2]),
      silent: random.pick([0, 0, 0, 0, 0, 0.1]),
      cutOff: this.#has('cut off') ? random.pick([0, 0.1, 0.5]) : 0,
      late: this.#has('late') ? random.pick([0, 0.1, 0.5]) : 0,
      mended: random.chance(0.3),
      latencyMs: random.spread(0.1, random.pick([30, 30, 30, 3000])),
    };
  }

  #life(disk: SimulatedDisk, settings: RunSettings, moods: Moods, beside: Life | null): Life {
    const clientNames = disk === this.#otherDisk ? 'other' : 'client';
    const shared = { around: this.#around, ledger: this.#ledger, sink: this.#sink };
    const sharesDisk = this.#has('removed lock') && disk === this.#disk;
    const life = new Life({
      ...shared,
      disk,
      settings,
      moods,
      clientNames,
      sharesDisk,
      window: this.#window,
      pauses: this.#pauses?.[disk === this.#otherDisk ? 'other' : 'main'] ?? null,
    });
    if (beside !== null) life.beside.push(beside);
    return life;
  }

  /** Someone removes the lock of a life, and starts another on its disk. */
  #startSecond(life: Life, fsync: 'always' | 'never' | number, moods: Moods): void {
    const { random, time, tally } = this.#around;
    if (random.chance(0.5)) return;
    const begin = (): void => void time.after(random.spread(5, 500), 'someone starts another', start);
    const start = (): void => {
      if (life.phase === 'starting') begin();
      if (life.phase !== 'running') return;
      tally.count('worlds', 'second starts on a directory whose lock was removed');
      removeLock(this.#around, this.#disk, this.#logDir);
      const settings = this.#settings(fsync);
      const second = this.#life(this.#disk, settings, moods, null);
      life.beside.push(second);
      second.start();
      second.beginSending();
    };
    begin();
  }

  /** The second instance, where there is one. */
  #otherLife(fsync: 'always' | 'never' | number, moods: Moods): Life | null {
    if (this.#otherDisk === null) return null;
    this.#prepare(this.#otherDisk);
    const settings = this.#settings(fsync);
    return this.#life(this.#otherDisk, settings, moods, null);
  }

  /** What is on the disks. */
  #survivors(): SurvivingLog {
    const disks = this.#disks();
    const log = together(disks.map(({ tree }) => readSurvivingLog(tree, this.#logDir)));
    return { ...log, texts: new Set([...log.texts, ...this.#movedTexts()]) };
  }

  /** What is in the files that were moved away with their directory. */
  #movedTexts(): Set<string> {
    return new Set(this.#ledger.moved.flatMap(({ dir, names }) => textsIn(this.#disk.tree, dir, names)));
  }

  #bound(): Bound {
    const { random } = this.#around;
    // what two do to each other takes its time
    const isLong = this.#has('removed lock') || this.#has('compression');
    const steps = Math.floor(random.spread(2, 300)) + (isLong ? PHASE_STEPS_MAX * 4 : 0);
    if (random.chance(0.5)) return { steps, during: null };
    const ofIds = this.#window === null ? [] : PHASES_OF_IDS;
    const ofRetention = this.#has('retention') ? PHASES_OF_RETENTION : [];
    const ofCompression = this.#has('compression') ? PHASES_OF_COMPRESSION : [];
    const phases = [...PHASES, ...ofIds, ...ofCompression, ...ofRetention];
    return {
      steps: PHASE_STEPS_MAX * (this.#has('compression') ? 4 : 1),
      during: { phase: random.pick(phases), times: Math.floor(random.spread(1, 12)) },
    };
  }

  /** The life is over; what it leaves on the disk is looked at. */
  #end(life: Life, fsync: 'always' | 'never' | number): void {
    const { random, time, tally, trace } = this.#around;
    let ended: string;
    if (life.phase === 'stopped' || life.phase === 'start failed') {
      ended = life.phase === 'stopped' ? 'an orderly stop' : 'a failed start';
      // the same process may try again
      if (life.phase === 'stopped' || life.beside.length > 0 || random.chance(0.5))
        this.#disk = this.#disk.kill();
      tally.count('ends', life.phase === 'stopped' ? 'orderly stops' : 'failed starts');
    } else if (fsync === 'always' && random.chance(this.#window === null ? 0.8 : 0.6)) {
      ended = 'a power cut';
      for (const doing of life.doing()) tally.count('cuts', doing);
      this.#disk = this.#disk.powerCut(this.#odds());
      this.#otherDisk = this.#otherDisk?.powerCut(this.#odds()) ?? null;
      time.nowMs += random.whole(1000, 60_000);
      tally.count('ends', 'power cuts');
    } else {
      ended = 'kill -9';
      for (const doing of life.doing()) tally.count('kills', doing);
      this.#disk = this.#disk.kill();
      time.nowMs += random.pick([0, 100, 3000]);
      tally.count('ends', 'kills');
    }
    if (!ended.includes('power')) this.#otherDisk = this.#otherDisk?.kill() ?? null;
    life.ended();
    trace.add(`=== ${ended}`);
    time.forgetAll();
    this.#ledger.processEnded();
    // of two files with the same name the ledger could not tell which one is damaged
    const mayFlip =
      this.#otherDisk === null &&
      this.#ledger.moved.length === 0 &&
      (!this.#sink.goesByKeys || this.#has('keys and damage'));
    if (this.#options.flips && mayFlip && random.chance(0.3)) {
      const isDurable = ended === 'a power cut' && !this.#has('removed lock');
      flipBitAtRest(this.#disk.tree, this.#logDir, this.#ledger, this.#around, isDurable);
    }
    this.#ledger.checkSurvivors(this.#survivors(), `after ${ended}`);
    this.#checkIds();
    const harm = this.#window?.harm ?? null;
    if (harm !== null && random.chance(0.3))
      harmWindow(this.#around, this.#ledger.ids, this.#disk.tree, this.#logDir, harm);
    if (this.#has('removed files') && random.chance(0.2))
      removeBatches(this.#around, this.#ledger, this.#disk, this.#logDir);
  }

  #disks(): SimulatedDisk[] {
    return this.#otherDisk === null ? [this.#disk] : [this.#disk, this.#otherDisk];
  }

  #checkIds(): void {
    if (this.#window === null) return;
    const trees = this.#disks().map(({ tree }) => tree);
    this.#ledger.checkIds(trees, this.#logDir);
  }

  /** Whether a line is in a batch file, or among what is set aside. */
  #isOnDisk(line: string): boolean {
    const dirs = [this.#logDir, ...this.#ledger.moved.map(({ dir }) => dir)];
    return this.#disks().some(({ tree }) =>
      dirs
        .flatMap((dir) => [dir, `${dir}/dead-letters`, `${dir}/quarantine`])
        .some((dir) =>
          [...tree.files(dir)].some(([name, file]) => linesIn(name, file.content()).includes(line)),
        ),
    );
  }

  #odds(): { page: number; torn: number; size: number; name: number } {
    const { random } = this.#around;
    const odd = (): number => random.pick([0, 1, random.next(), random.next()]);
    return { page: odd(), torn: random.pick([0, 0.3, 0.8]), size: odd(), name: odd() };
  }

  /** Nothing goes wrong any more: everything must come out, and nothing may stay. */
  async #catchUp(): Promise<void> {
    const { time, tally, trace } = this.#around;
    trace.add('=== nothing goes wrong any more');
    const disks = this.#disks();
    for (const { faults, tree } of disks) {
      faults.clear();
      faults.capacityBytes = this.#has('full at the end') ? tree.bytes + this.#missingBytes(tree) : Infinity;
    }
    // what went with a directory that someone has moved is not where a server looks
    if (this.#has('moved directory'))
      this.#ledger.isElsewhere(this.#movedTexts(), readSurvivingLog(this.#disk.tree, this.#logDir).texts);
    if (this.#pauses !== null && !this.#has('full at the end')) await this.#stopWhilePaused();
    const unread = this.#has('unreadable files') ? this.#makeUnreadable(disks) : new Set<string>();
    const isKept = this.#has('retention') && !SHORT.some((oddity) => this.#has(oddity));
    // a line without a mark that fits is damaged, and may still be an event
    const sound = [...this.#survivors().texts].filter((text) => text.endsWith('}'));
    const waiting = isKept ? sound : [];
    const ofRetention = this.#has('retention') ? { retainMs: 3_600_000 } : {};
    const settings = { ...plainSettings(this.#logDir, this.#has('compression')), ...ofRetention };
    const other = this.#otherDisk && this.#life(this.#otherDisk, settings, WELL, null);
    const life = this.#life(this.#disk, settings, WELL, other);
    const lives = other === null ? [life] : [life, other];
    // a sink that knows the key of whatever it gets is an outage, as far as anyone can tell: one attempt at a time goes out,
    // and every fourth one is of a batch that was not offered yet, until it takes one
    const outageMs = this.#has('conflicts') ? 4 * OUTAGE_WAIT_MS * this.#batches() : 0;
    const catchUpMs = Math.max(CATCH_UP_MS, CATCH_UP_BATCH_MS * this.#batches());
    const finish = async (what: string, until: () => boolean): Promise<void> => {
      const deadlineMs = time.nowMs + catchUpMs + outageMs;
      await life.live({
        steps: CATCH_UP_STEPS,
        during: null,
        until: () => until() || time.nowMs > deadlineMs,
      });
      if (until() || this.#ledger.violation !== null) return;
      // what is lost, or set aside by mistake, says more
      this.#ledger.checkSurvivors(this.#survivors(), 'while everything is well');
      this.#ledger.violated(`hangs: ${what}`);
    };
    for (const each of lives) {
      tally.count('starts', 'starts');
      each.start();
    }
    await finish('start() does not end', () => lives.every(({ phase }) => phase === 'running'));
    let resumed = 0;
    for (const each of lives) void each.resume().then((isWell) => (resumed += Number(isWell)));
    await finish('resume() does not end well', () => resumed === lives.length);
    const isFull = this.#has('full at the end');
    const probe = async (): Promise<void> => {
      let probed = 0;
      for (const each of lives)
        void each.clients
          .probe(3)
          .then(async () => each.idClients?.sendAgain())
          .then(() => probed++);
      await finish('events are not answered', () => probed === lives.length);
    };
    if (!isFull) await probe();
    // what the sink fails at, or cannot be read, holds up nothing else
    await finish(
      'what the sink would take is held up by what it does not',
      () =>
        !this.#ledger.owesBut(
          (event) =>
            (this.#has('toxic events') && isToxic(event)) ||
            this.#sink.isStuck(event) ||
            unread.has(event.line) ||
            (isFull && this.#sink.hasFailedAt(event)),
        ),
    );
    this.#sink.isPicky = false;
    for (const { faults } of disks) faults.unreadable = new Set();
    const batches = (): number => this.#batchFiles();
    await finish(
      'what waits is not delivered, or its files not deleted',
      () => !this.#ledger.owes && batches() === 0,
    );
    if (isFull) {
      for (const { faults } of disks) faults.capacityBytes = Infinity;
      await finish('it is not ready', () => lives.every(({ isReady }) => isReady));
      await probe();
      await finish('what was sent last is not delivered', () => !this.#ledger.owes && batches() === 0);
    }
    await finish('what is delivered or gone still counts as waiting', () =>
      lives.every(({ pending }) => pending === 0),
    );
    await finish('it is not ready', () => lives.every(({ isReady }) => isReady));
    other?.stop();
    await finish(
      'stop() of the second instance does not end',
      () => other === null || other.phase === 'stopped',
    );
    life.stop();
    await finish('stop() does not end', () => life.phase === 'stopped');
    this.#ledger.checkSurvivors(this.#survivors(), 'at the end');
    const kept = this.#disks().map(({ tree }) => retainedTexts(tree, this.#logDir));
    tally.count('checks', 'events that are kept after their delivery', waiting.length);
    for (const text of waiting)
      if (!kept.some((texts) => texts.has(text)))
        this.#ledger.violated(`${text} was delivered at the end, and is not kept`);
    this.#checkIds();
    tally.count('checks', 'runs that ended with everything delivered and no file left');
  }

  /** What waits for the end of a pause is not waited for. */
  async #stopWhilePaused(): Promise<void> {
    const { time } = this.#around;
    const life = this.#life(
      this.#disk,
      { ...plainSettings(this.#logDir, false), batchSize: 1, fileEvents: 1 },
      WELL,
      null,
    );
    const finish = async (what: string, until: () => boolean): Promise<void> => {
      const deadlineMs = time.nowMs + CATCH_UP_MS;
      const isOver = (): boolean => until() || time.nowMs > deadlineMs;
      await life.live({ steps: CATCH_UP_STEPS, during: null, until: isOver });
      if (!until() && this.#ledger.violation === null) this.#ledger.violated(`hangs: ${what}`);
    };
    life.start();
    await finish('start() does not end', () => life.phase === 'running');
    let done = 0;
    void life.pause().then((isWell) => (done += Number(isWell)));
    await finish('pause() does not end well', () => done === 1);
    void life.clients.probe(30).then(() => done++); // more than are read ahead
    await finish('events are not answered while delivery is paused', () => done === 2);
    life.stop();
    await finish('stop() does not end while delivery is paused', () => life.phase === 'stopped');
    this.#disk = this.#disk.kill();
    life.ended();
    time.forgetAll();
    this.#ledger.processEnded();
  }

  /**
   * What the last start needs on a disk that is full from then on: without its reserve no server could set anything aside.
   * One that was killed while it had lent the reserve, on a disk that others have filled since, has none.
   */
  #missingBytes(tree: DiskTree): number {
    const bytesOf = (name: string): number => tree.files(this.#logDir).get(name)?.size ?? 0;
    return RESERVE_BYTES - bytesOf(RESERVE_FILE) + NOTE_BYTES - bytesOf(LOCK_FILE);
  }

  /** Lets some batch files be unreadable. Gives the texts in them. */
  #makeUnreadable(disks: readonly SimulatedDisk[]): Set<string> {
    const { random, tally } = this.#around;
    const texts = disks.flatMap(({ tree, faults }) => {
      const batches = [...tree.files(this.#logDir).keys()].filter(isBatchFile);
      const names = batches.filter(() => random.chance(0.3));
      tally.count('worlds', 'batch files that cannot be read', names.length);
      faults.unreadable = new Set(names.map((name) => `${this.#logDir}/${name}`));
      return textsIn(tree, this.#logDir, names);
    });
    return new Set(texts);
  }

  #batches(): number {
    const disks = this.#disks();
    const files = disks
      .flatMap(({ tree }) => [...tree.files(this.#logDir)])
      .filter(([name]) => isBatchFile(name));
    return files.reduce((sum, [name, file]) => sum + batchesIn(linesIn(name, file.content())), 0);
  }

  #batchFiles(): number {
    const disks = this.#disks();
    return disks.flatMap(({ tree }) => [...tree.files(this.#logDir).keys()].filter(isBatchFile)).length;
  }
}
