import t from 'tap';
import type { Test } from 'tap';
import { ForebayError } from '../../lib/base/errors.js';
import { EventBlock } from '../../lib/event/event-block.js';
import type { Intake } from '../../lib/seams/intake.js';
import { eventText, idsOf, until } from './running-forebay.js';

/** An intake whose log can be held or fail. */
export interface IntakePlace {
  readonly intake: Intake;
  /** At most this many events have room. */
  readonly eventsMax: number;
  /** What was delivered, as lines. */
  readonly delivered: () => readonly string[];
  readonly hold: () => void;
  readonly release: () => void;
  readonly lose: () => void;
  readonly mend: () => void;
  readonly stop: () => Promise<void>;
}

/** What every intake does, whatever rule it adds. */
export function intakeContract(name: string, placeOf: (t: Test) => Promise<IntakePlace>): void {
  const claim = (title: string, check: (t: Test, place: IntakePlace) => Promise<void>): void => {
    void t.test(`${name}: ${title}`, async (t) => check(t, await placeOf(t)));
  };

  claim('events are answered once, when all of them are durable', async (t, place) => {
    place.hold();
    const answers: unknown[] = [];
    place.intake.take(linesOf('a', 'b', 'c'), (error) => answers.push(error));
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    t.same(answers, [], 'not before');
    place.release();
    await until(() => answers.length > 0, 'the answer comes');
    await until(() => place.delivered().length === 3, 'they are delivered');
    t.same(answers, [null]);
    t.same(idsOf(place.delivered()), ['a', 'b', 'c']);
  });

  claim('a request that does not fit is refused whole, and the next one is taken', async (t, place) => {
    const { intake, eventsMax } = place;
    const many = Array.from({ length: eventsMax + 1 }, (_each, index) => `many-${index}`);
    t.equal(await codeOf(intake, ...many), 'BODY_TOO_LARGE');
    t.match(intake.refusal(eventsMax + 1, 100), { code: 'BODY_TOO_LARGE' }, 'as it says beforehand');
    t.equal(await codeOf(intake, 'a'), null);
    await until(() => place.delivered().length > 0, 'it is delivered');
    t.same(idsOf(place.delivered()), ['a']);
  });

  claim('a full queue refuses, and says so beforehand, until there is room', async (t, place) => {
    const { intake, eventsMax } = place;
    place.hold();
    const first = codeOf(intake, 'first');
    await new Promise(setImmediate);
    const others = Array.from({ length: eventsMax - 1 }, async (_each, index) => codeOf(intake, `${index}`));
    t.match(intake.refusal(1, 100), { code: 'QUEUE_FULL', retryAfterMs: Number });
    t.equal(await codeOf(intake, 'refused'), 'QUEUE_FULL');
    place.release();
    t.same(new Set(await Promise.all([first, ...others])), new Set([null]));
    t.equal(intake.refusal(1, 100), null);
    await until(() => place.delivered().length === eventsMax, 'all that were taken are delivered');
    t.notOk(idsOf(place.delivered()).includes('refused'));
  });

  claim('what the caller holds in memory counts as well', async (t, { intake }) => {
    t.equal(intake.refusal(1, 100, 0), null);
    t.match(intake.refusal(1, 100, 2 ** 40), { code: 'QUEUE_FULL' });
    return Promise.resolve();
  });

  claim('what the log did not take is refused, and never delivered', async (t, place) => {
    place.lose();
    t.equal(await codeOf(place.intake, 'refused'), 'LOG_FAILED');
    place.mend();
    await until(() => place.intake.refusal(1, 100) === null, 'it takes events again');
    t.equal(await codeOf(place.intake, 'a'), null);
    await until(() => place.delivered().length > 0, 'it is delivered');
    t.same(idsOf(place.delivered()), ['a']);
  });

  claim('after a stop every request is refused', async (t, place) => {
    await place.stop();
    t.match(place.intake.refusal(1, 100), { code: 'NOT_RUNNING' });
    t.equal(await codeOf(place.intake, 'late'), 'NOT_RUNNING');
  });
}

function linesOf(...ids: readonly string[]): EventBlock {
  return EventBlock.of(...ids.map((id) => eventText(id)));
}

/** @returns the code of the answer; `null`: they were taken */
async function codeOf(intake: Intake, ...ids: readonly string[]): Promise<string | null> {
  const error = await new Promise<Error | null>((resolve) => {
    intake.take(linesOf(...ids), resolve);
  });
  return error instanceof ForebayError ? error.code : error && String(error);
}
