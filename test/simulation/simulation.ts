import { ERRORS } from '../../lib/errors.js';
import { planFaults } from './fault-plans.js';
import { flipBitAtRest } from './flips.js';
import { Ledger } from './ledger.js';
import { Life } from './life.js';
import type { Bound } from './life.js';
import { WELL } from './moody-sink.js';
import { Random } from './random.js';
import { plainSettings, randomSettings } from './run-settings.js';
import { SimulatedDisk } from './simulated-disk.js';
import type { Surroundings } from './simulated-disk.js';
import { isBatchFile, readSurvivingLog } from './surviving-log.js';
import type { Tally } from './tally.js';
import { Trace } from './trace.js';
import { enterWorld } from './virtual-process.js';
import { VirtualTime } from './virtual-time.js';

export interface SeedOptions {
  readonly seed: number;
  /** Whether bits are flipped in files at rest. */
  readonly flips: boolean;
  /** How many of the last steps are kept as text. */
  readonly traced: number;
}

export interface SeedResult {
  /** What was violated, in words; `null`: everything held. */
  readonly violation: string | null;
  readonly trace: Trace;
}

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
/** How long everything may take to be delivered once nothing goes wrong any more. */
const CATCH_UP_MS = 20 * 60_000;
const CATCH_UP_STEPS = 200_000;

/** One seed: Forebay lives many times on one disk, and each life ends badly. */
export class Simulation {
  readonly #around: Surroundings;
  readonly #ledger: Ledger;
  readonly #options: SeedOptions;
  readonly #logDir: string;
  #disk: SimulatedDisk;

  constructor(options: SeedOptions, tally: Tally) {
    const random = new Random(options.seed);
    this.#around = { random, time: new VirtualTime(START_MS), tally, trace: new Trace(options.traced) };
    this.#options = options;
    this.#ledger = new Ledger(tally, !Object.hasOwn(ERRORS, 'IN_DOUBT'));
    this.#logDir = random.pick(['/log', '/log', '/data/forebay/log']);
    this.#disk = new SimulatedDisk(this.#around);
  }

  async run(): Promise<SeedResult> {
    enterWorld(this.#around);
    const { random, trace } = this.#around;
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
    const settings = randomSettings(random, this.#logDir, fsync);
    trace.add(`=== a life begins: ${JSON.stringify(settings)}`);
    tally.count('starts', 'starts');
    this.#disk.latencyMs = random.pick([0.05, 0.5, 0.5, 5]);
    this.#disk.faults.clear();
    planFaults(this.#disk, this.#around);
    const bound = this.#bound();
    // else there is hardly ever an end to cut off
    if (bound.during?.phase === 'cutting a failed end off') this.#disk.faults.rates.fdatasync = 0.4;
    if (bound.during?.phase === 'setting damaged lines aside') this.#disk.faults.rates.fsync = 0.4;
    if (bound.during?.phase === 'deleting a file') this.#disk.faults.rates.unlink = 0.4;
    const moods = {
      failing: random.pick([0, 0, 0, 0.2, 0.9]),
      answerLost: random.pick([0, 0, 0.2]),
      silent: random.pick([0, 0, 0, 0, 0, 0.1]),
      latencyMs: random.spread(0.1, random.pick([30, 30, 30, 3000])),
    };
    const life = new Life({ around: this.#around, ledger: this.#ledger, disk: this.#disk, settings, moods });
    life.start();
    life.clients.begin();
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

  #bound(): Bound {
    const { random } = this.#around;
    const steps = Math.floor(random.spread(2, 300));
    if (random.chance(0.5)) return { steps, during: null };
    return {
      steps: PHASE_STEPS_MAX,
      during: { phase: random.pick(PHASES), times: Math.floor(random.spread(1, 12)) },
    };
  }

  /** The life is over; what it leaves on the disk is looked at. */
  #end(life: Life, fsync: 'always' | 'never' | number): void {
    const { random, time, tally, trace } = this.#around;
    let ended: string;
    if (life.phase === 'stopped' || life.phase === 'start failed') {
      ended = life.phase === 'stopped' ? 'an orderly stop' : 'a failed start';
      // the same process may try again
      if (life.phase === 'stopped' || random.chance(0.5)) this.#disk = this.#disk.kill();
      tally.count('ends', life.phase === 'stopped' ? 'orderly stops' : 'failed starts');
    } else if (fsync === 'always' && random.chance(0.8)) {
      ended = 'a power cut';
      for (const doing of life.doing()) tally.count('cuts', doing);
      this.#disk = this.#disk.powerCut(this.#odds());
      time.nowMs += random.whole(1000, 60_000);
      tally.count('ends', 'power cuts');
    } else {
      ended = 'kill -9';
      for (const doing of life.doing()) tally.count('kills', doing);
      this.#disk = this.#disk.kill();
      time.nowMs += random.pick([0, 100, 3000]);
      tally.count('ends', 'kills');
    }
    trace.add(`=== ${ended}`);
    time.forgetAll();
    this.#ledger.processEnded();
    if (this.#options.flips && random.chance(0.3)) {
      flipBitAtRest(this.#disk.tree, this.#logDir, this.#ledger, this.#around);
    }
    this.#ledger.checkSurvivors(readSurvivingLog(this.#disk.tree, this.#logDir), `after ${ended}`);
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
    this.#disk.faults.clear();
    const settings = plainSettings(this.#logDir);
    const life = new Life({
      around: this.#around,
      ledger: this.#ledger,
      disk: this.#disk,
      settings,
      moods: WELL,
    });
    const deadlineMs = time.nowMs + CATCH_UP_MS;
    const finish = async (what: string, until: () => boolean): Promise<void> => {
      await life.live({
        steps: CATCH_UP_STEPS,
        during: null,
        until: () => until() || time.nowMs > deadlineMs,
      });
      if (!until() && this.#ledger.violation === null) this.#ledger.violated(`hangs: ${what}`);
    };
    tally.count('starts', 'starts');
    life.start();
    await finish('start() does not end', () => life.phase === 'running');
    let probed = false;
    const probing = life.clients.probe(3).then(() => (probed = true));
    await finish('events are not answered', () => probed);
    const batches = (): number => [...this.#disk.tree.files(this.#logDir).keys()].filter(isBatchFile).length;
    await finish(
      'what waits is not delivered, or its files not deleted',
      () => !this.#ledger.owes && batches() === 0,
    );
    await finish('it is not ready', () => life.isReady);
    life.stop();
    await finish('stop() does not end', () => life.phase === 'stopped');
    if (this.#ledger.violation === null) await probing;
    const log = readSurvivingLog(this.#disk.tree, this.#logDir);
    this.#ledger.checkSurvivors(log, 'at the end');
    tally.count('checks', 'runs that ended with everything delivered and no file left');
  }
}
