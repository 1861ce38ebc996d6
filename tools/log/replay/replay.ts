import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { asError, systemCode } from '../../../lib/base/errors.js';
import { count } from '../../../lib/base/words.js';
import { byArrival, parseRetained, RETAINED } from '../../../lib/logs/file/retained/retained-name.js';
import type { RetainedName } from '../../../lib/logs/file/retained/retained-name.js';
import { invalid } from '../../../lib/settings/setting-error.js';
import { EXIT } from '../exit-code.js';
import type { ExitCode } from '../exit-code.js';
import { fillBody, nextBody } from '../front-door.js';
import type { Outcome } from '../front-door.js';
import { workerDirectories } from '../log-directory.js';
import { recorded } from '../operations.js';
import type { Done } from '../operations.js';
import type { Surroundings } from '../program.js';
import { refuseOtherUser } from '../other-user.js';
import type { Destination } from './destination.js';
import { ReplayProgress, START } from './replay-progress.js';
import type { ReplayPlace, ReplayPlan } from './replay-progress.js';
import { RetainedFolder } from './retained-reading.js';
import type { RetainedEvent } from './retained-reading.js';
import { EventFilter } from './wanted-events.js';
import type { WantedEvents } from './wanted-events.js';

/** How often to say how far it has come, in milliseconds. */
const SAY_MS = 5000;
/** At most this many refused events are named. */
const NAMED_MAX = 20;

export interface ReplayRequest {
  readonly logDir: string;
  readonly plan: ReplayPlan;
  readonly wanted: WantedEvents;
  readonly isDryRun: boolean;
  readonly startsOver: boolean;
  /** For the record. */
  readonly url: URL | null;
  readonly open: () => Promise<Destination>;
}

/** An event to send, and where it is. */
interface Item extends RetainedEvent {
  readonly dir: string;
  readonly file: RetainedName;
}

/** What there is to send, and what is left out. */
interface Sums {
  events: number;
  files: number;
  letters: number;
  replays: number;
  unknown: number;
}

type Around = Pick<Surroundings, 'fs' | 'output' | 'tell'>;

/** Sends retained events again, or counts them. */
export class Replay {
  readonly #request: ReplayRequest;
  readonly #around: Around;
  readonly #filter: EventFilter;
  readonly #failures: string[] = [];
  #saidMs = performance.now();

  constructor(request: ReplayRequest, around: Around) {
    this.#request = request;
    this.#around = around;
    this.#filter = new EventFilter(request.wanted);
  }

  async run(): Promise<ExitCode> {
    const { logDir, plan, isDryRun } = this.#request;
    const { fs, output, tell } = this.#around;
    if (isDryRun) {
      await this.#count(plan, START);
      await output.write('Nothing was sent (--dry-run)\n');
      return this.#exitCode(this.#failures);
    }
    await refuseOtherUser(fs, logDir, 'replay');
    return ReplayProgress.with(fs, logDir, async (progress) => {
      const goesOn = this.#goesOn(progress);
      const own = goesOn?.plan ?? plan;
      const place = goesOn?.place ?? START;
      if (goesOn !== null)
        await output.write(
          `Goes on with the replay of ${own.begun}: ${count(place.sent, 'event is', 'events are')} sent\n`,
        );
      const sums = await this.#count(own, place);
      if (sums.events === 0 && goesOn === null) {
        await progress.end();
        await tell('nothing was sent');
        return EXIT.damaged;
      }
      // what it needs is there before the record says that it has begun
      const destination = await this.#request.open();
      try {
        if (goesOn === null) await progress.begin(own);
        return await this.#sendAll(progress, own, place, sums, destination);
      } finally {
        await destination.close();
      }
    });
  }

  async #sendAll(
    progress: ReplayProgress,
    plan: ReplayPlan,
    place: ReplayPlace,
    sums: Sums,
    destination: Destination,
  ): Promise<ExitCode> {
    const { fs, output, tell } = this.#around;
    const { logDir, url } = this.#request;
    const operation = {
      what: 'replay',
      selection: plan.command,
      url,
      counts: { events: sums.events, files: sums.files },
    } as const;
    let sent = 0;
    let isWhole = false;
    const done = await recorded(fs, logDir, operation, async (): Promise<Done> => {
      const before = this.#failures.length;
      try {
        const sending = new Sending(destination, progress, place, this.#failures);
        for await (const item of this.#items(plan, place)) {
          sent = await sending.add(item);
          await this.#say(() => `${sent} of ${count(sums.events, 'event')} are sent\n`);
        }
        sent = await sending.end();
        await progress.end();
        isWhole = true;
        this.#failures.push(...(await destination.finish()));
      } catch (error) {
        this.#failures.push(asError(error).message);
      }
      return { counts: { events: sent }, failures: this.#failures.slice(before) };
    });
    await output.write(`${count(sent, 'event')} sent again to ${destination.name}\n`);
    const code = await this.#exitCode([
      ...this.#failures,
      ...done.failures.filter((each) => !this.#failures.includes(each)),
    ]);
    if (!isWhole)
      await tell(
        'the same command goes on where this one has ended; of what it has sent, at most one request comes twice',
      );
    return code;
  }

  /** An unfinished replay of the same command; `null`: there is none, or it is to be forgotten. */
  #goesOn({ left }: ReplayProgress): ReplayProgress['left'] {
    const { plan, startsOver } = this.#request;
    if (left === null || startsOver) return null;
    if (isDeepStrictEqual(left.plan.command, plan.command)) return left;
    const given = Object.entries(left.plan.command).flatMap(([flag, value]) =>
      [value ?? []].flat().map((each) => `--${flag} ${each}`),
    );
    throw invalid(
      `A replay with ${given.join(' ')} has sent ${count(left.place.sent, 'event')} and is not finished: the same command goes on, --start-over forgets it`,
    );
  }

  /** Counts what a replay sends, and says it. */
  async #count(plan: ReplayPlan, from: ReplayPlace): Promise<Sums> {
    const { output } = this.#around;
    const sums: Sums = { events: 0, files: 0, letters: 0, replays: 0, unknown: 0 };
    const failures = this.#failures.length;
    let last: RetainedName | null = null;
    for await (const { file } of this.#items(plan, from, sums)) {
      sums.events++;
      if (file !== last) sums.files++;
      last = file;
      await this.#say(() => `${count(sums.events, 'event')} counted\n`);
    }
    this.#failures.splice(failures); // the sending meets them again
    const [since, until] = [plan.fromMs, plan.toMs].map((ms) => new Date(ms).toISOString());
    await output.write(
      `${count(sums.events, 'event')} in ${count(sums.files, 'retained file')} that came from ${since} to ${until}\n`,
    );
    const leftOut: readonly (readonly [number, string])[] = [
      [sums.letters, 'among the dead letters: bin/dead-letters.js redrive sends them'],
      [sums.replays, 'sent again before'],
      [sums.unknown, 'left out by --source: their lines do not say where they came from'],
    ];
    for (const [events, why] of leftOut)
      if (events > 0) await output.write(`not counted: ${count(events, 'event')} ${why}\n`);
    return sums;
  }

  /** The events to send from a place on. */
  async *#items(plan: ReplayPlan, from: ReplayPlace, sums?: Sums): AsyncGenerator<Item, void> {
    const { fs } = this.#around;
    const { logDir } = this.#request;
    const workers = (await workerDirectories(fs, logDir)).map((dir) => basename(dir));
    const dirs = ['', ...workers];
    for (const dir of dirs.slice(Math.max(0, dirs.indexOf(from.dir)))) {
      const folder = new RetainedFolder(fs, join(logDir, dir));
      const first = dir === from.dir && from.file !== null ? parseRetained(from.file) : null;
      for await (const file of folder.files(plan, first)) {
        const isFirst = first !== null && byArrival(first, file) === 0;
        try {
          for await (const events of folder.events(file))
            for (const event of events)
              if (this.#isMeant(event, sums) && !(isFirst && event.index < from.index))
                yield { ...event, dir, file };
        } catch (error) {
          const why =
            systemCode(error) === 'ENOENT'
              ? 'went before it was sent'
              : `cannot be read: ${asError(error).message}`;
          this.#failures.push(`${join(logDir, dir, RETAINED, file.file)} ${why}`);
        }
      }
    }
  }

  #isMeant(event: RetainedEvent, sums?: Sums): boolean {
    const verdict = this.#filter.of(event);
    if (verdict === 'unknown' && sums) sums.unknown++;
    if (verdict !== 'wanted') return false;
    if (event.isLetter && sums) sums.letters++;
    else if (event.isReplay && sums) sums.replays++;
    return !event.isLetter && !event.isReplay;
  }

  async #say(line: () => string): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#saidMs < SAY_MS) return;
    this.#saidMs = nowMs;
    await this.#around.output.write(line());
  }

  async #exitCode(failures: readonly string[]): Promise<ExitCode> {
    for (const failure of failures) await this.#around.tell(failure);
    return failures.length === 0 ? EXIT.sound : EXIT.damaged;
  }
}

/** Sends events in requests, and keeps how far it has come after each. */
class Sending {
  readonly #destination: Destination;
  readonly #progress: ReplayProgress;
  readonly #failures: string[];
  #waiting: Item[] = [];
  #bytes = 0;
  /** By this run, and by all runs of the replay. */
  #sent = 0;
  #sentBefore: number;
  #refused = 0;
  #duplicates = 0;

  constructor(destination: Destination, progress: ReplayProgress, { sent }: ReplayPlace, failures: string[]) {
    this.#destination = destination;
    this.#progress = progress;
    this.#failures = failures;
    this.#sentBefore = sent;
  }

  /** @returns how many events this run has sent */
  async add(item: Item): Promise<number> {
    this.#waiting.push(item);
    this.#bytes += item.event.length;
    if (fillBody(this.#waiting.length, this.#bytes)) await this.#send();
    return this.#sent;
  }

  async end(): Promise<number> {
    while (this.#waiting.length > 0) await this.#send();
    const more = this.#refused - NAMED_MAX;
    if (more > 0) this.#failures.push(`${count(more, 'other event was', 'other events were')} refused`);
    if (this.#duplicates > 0)
      this.#failures.push(
        `${count(this.#duplicates, 'event was', 'events were')} not stored, as an id window knows the ids: --id-window pass stores them`,
      );
    return this.#sent;
  }

  async #send(): Promise<void> {
    const body = nextBody(this.#waiting);
    const last = body.at(-1);
    if (last === undefined) return;
    const outcome: Outcome<Item> = { taken: new Set(), refused: new Map(), duplicates: 0 };
    await this.#destination.send(body, outcome);
    this.#waiting = this.#waiting.slice(body.length);
    this.#bytes = this.#waiting.reduce((sum, { event }) => sum + event.length, 0);
    this.#sent += outcome.taken.size - outcome.duplicates;
    this.#duplicates += outcome.duplicates;
    for (const [{ dir, file, index }, answer] of outcome.refused)
      if (++this.#refused <= NAMED_MAX)
        this.#failures.push(`${join(dir, RETAINED, file.file)}, event ${index + 1}: ${answer}`);
    const sent = this.#sentBefore + this.#sent;
    await this.#progress.reached({ dir: last.dir, file: last.file.file, index: last.index + 1, sent });
  }
}
