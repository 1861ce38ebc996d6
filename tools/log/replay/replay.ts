import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { asError, systemCode } from '../../../lib/base/errors.js';
import { count } from '../../../lib/base/words.js';
import { timeOf } from '../../../lib/logs/file/batch-name.js';
import { byArrival, parseRetained, RETAINED } from '../../../lib/logs/file/retained/retained-name.js';
import type { RetainedName } from '../../../lib/logs/file/retained/retained-name.js';
import { invalid } from '../../../lib/settings/setting-error.js';
import { EXIT } from '../exit-code.js';
import type { ExitCode } from '../exit-code.js';
import { workerDirectories } from '../log-directory.js';
import { recorded } from '../operations.js';
import type { Done } from '../operations.js';
import type { Surroundings } from '../program.js';
import { retainedText, sumOfRetained } from '../retained.js';
import { refuseOtherUser } from '../other-user.js';
import type { Destination } from './destination.js';
import { ReplayProgress, START } from './replay-progress.js';
import type { ReplayPlace, ReplayPlan } from './replay-progress.js';
import { RetainedFolder } from './retained-reading.js';
import type { RetainedEvent } from './retained-reading.js';
import { Sending } from './sending.js';
import type { Item } from './sending.js';
import { EventFilter } from './wanted-events.js';
import type { WantedEvents } from './wanted-events.js';

const GOES_ON =
  'the same command goes on where this one has ended; of what it has sent, at most one request comes twice';
/** How often to say how far it has come, in milliseconds. */
const SAY_MS = 5000;

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

/** What there is to send, and what is left out. */
interface Sums {
  events: number;
  files: number;
  letters: number;
  replays: number;
  unknown: number;
}

interface Around extends Pick<Surroundings, 'fs' | 'output' | 'tell'> {
  /** Ends the replay after the request under way. */
  readonly signal: AbortSignal;
}

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
      const sums = await this.#count(plan, START);
      if (sums === null) return this.#interrupted('nothing was sent (--dry-run)');
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
      if (goesOn === null && (sums === null || sums.events === 0)) await progress.end();
      if (sums === null)
        return this.#interrupted(
          goesOn === null
            ? 'nothing was sent'
            : `${count(place.sent, 'event is', 'events are')} sent; ${GOES_ON}`,
        );
      if (sums.events === 0 && goesOn === null) {
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
    const { fs, output, tell, signal } = this.#around;
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
      let interruption: string | null = null;
      try {
        const sending = new Sending(destination, progress, place, this.#failures);
        for await (const item of this.#items(plan, place)) {
          sent = await sending.add(item);
          await this.#say(() => `${sent} of ${count(sums.events, 'event')} are sent\n`);
        }
        signal.throwIfAborted();
        sent = await sending.end();
        await progress.end();
        isWhole = true;
        const { refused, left } = await destination.finish();
        this.#failures.push(...refused);
        if (left !== null && signal.aborted) interruption = left;
        else if (left !== null) this.#failures.push(left);
      } catch (error) {
        const { name, message } = asError(error);
        const of = `${sent} of ${count(sums.events, 'event')} ${destination.sent}`;
        if (name === 'AbortError') interruption = `${of}; ${GOES_ON}`;
        else this.#failures.push(message);
      }
      return { counts: { events: sent }, failures: this.#failures.slice(before), interruption };
    });
    if (isWhole || !signal.aborted)
      await output.write(`${count(sent, 'event')} sent again to ${destination.name}\n`);
    const code = await this.#exitCode([
      ...this.#failures,
      ...done.failures.filter((each) => !this.#failures.includes(each)),
    ]);
    if (done.interruption) return this.#interrupted(done.interruption);
    if (signal.aborted && code !== EXIT.sound) return EXIT.interrupted;
    if (!isWhole) await tell(GOES_ON);
    return code;
  }

  /** An unfinished replay of the same command; `null`: there is none, or it is to be forgotten. */
  #goesOn({ left }: ReplayProgress): ReplayProgress['left'] {
    const { plan, startsOver } = this.#request;
    if (left === null || startsOver) return null;
    if (isDeepStrictEqual(left.plan.command, plan.command)) return left;
    if (left.place.file === null) return null; // it has come to nothing
    const given = Object.entries(left.plan.command).flatMap(([flag, value]) =>
      [value ?? []].flat().map((each) => `--${flag} ${each}`),
    );
    throw invalid(
      `A replay with ${given.join(' ')} has sent ${count(left.place.sent, 'event')} and is not finished: the same command goes on, --start-over forgets it`,
    );
  }

  /** Counts what a replay sends, and says it; `null`: it was interrupted. */
  async #count(plan: ReplayPlan, from: ReplayPlace): Promise<Sums | null> {
    const { output, signal } = this.#around;
    const sums: Sums = { events: 0, files: 0, letters: 0, replays: 0, unknown: 0 };
    const failures = this.#failures.length;
    let [firstMs, lastMs] = [Infinity, -Infinity];
    let last: RetainedName | null = null;
    for await (const { file } of this.#items(plan, from, sums)) {
      sums.events++;
      if (file !== last) {
        sums.files++;
        const ms = timeOf(file.batch);
        firstMs = Math.min(firstMs, ms);
        lastMs = Math.max(lastMs, ms);
      }
      last = file;
      await this.#say(() => `${count(sums.events, 'event')} counted\n`);
    }
    if (signal.aborted) return null;
    this.#failures.splice(failures); // the sending meets them again
    const [since, until] = [isoOf(plan.fromMs), isoOf(plan.toMs)];
    const span = sums.files > 1 ? `: the first of ${isoOf(firstMs)}, the last of ${isoOf(lastMs)}` : '';
    const only = sums.files === 1 ? `: of ${isoOf(firstMs)}` : '';
    await output.write(
      `${count(sums.events, 'event')} in ${count(sums.files, 'retained file')} that came from ${since} to ${until}${only}${span}\n`,
    );
    const leftOut: readonly (readonly [number, string])[] = [
      [sums.letters, 'among the dead letters: bin/dead-letters.js redrive sends them'],
      [sums.replays, 'sent again before'],
      [sums.unknown, 'left out by --source: their lines do not say where they came from'],
    ];
    for (const [events, why] of leftOut)
      if (events > 0) await output.write(`not counted: ${count(events, 'event')} ${why}\n`);
    if (sums.events + sums.letters + sums.replays + sums.unknown === 0 && from === START)
      await this.#sayRetained();
    return sums;
  }

  /** If there is nothing to send, another time or directory may be meant. */
  async #sayRetained(): Promise<void> {
    const { fs, output } = this.#around;
    const { logDir } = this.#request;
    for (const dir of [logDir, ...(await workerDirectories(fs, logDir))]) {
      const retained = await sumOfRetained(fs, dir);
      await output.write(`${dir}: ${retained === null ? 'nothing is retained' : retainedText(retained)}\n`);
    }
  }

  /** The events to send from a place on; no further ones once it is interrupted. */
  async *#items(plan: ReplayPlan, from: ReplayPlace, sums?: Sums): AsyncGenerator<Item, void> {
    const { fs, signal } = this.#around;
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
            for (const event of events) {
              if (signal.aborted) return;
              if (this.#isMeant(event, sums) && !(isFirst && event.index < from.index))
                yield { ...event, dir, file };
            }
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

  async #interrupted(words: string): Promise<ExitCode> {
    await this.#around.tell(`interrupted: ${words}`);
    return EXIT.interrupted;
  }

  async #exitCode(failures: readonly string[]): Promise<ExitCode> {
    for (const failure of failures) await this.#around.tell(failure);
    return failures.length === 0 ? EXIT.sound : EXIT.damaged;
  }
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
