import type { Test } from 'tap';
import type { ForebayError } from '../../lib/base/errors.js';
import type { EventBlock } from '../../lib/event/event-block.js';
import { UNLIMITED } from '../../lib/seams/client.js';
import type { Client } from '../../lib/seams/client.js';
import type { Answer, Intake } from '../../lib/seams/intake.js';
import { heldDisk } from '../helpers/held-disk.js';
import { intakeContract } from '../helpers/intake-contract.js';
import type { IntakePlace } from '../helpers/intake-contract.js';
import { MemoryLog, MemoryStore } from '../helpers/memory-log.js';
import { startForebay } from '../helpers/running-forebay.js';

const EVENTS_MAX = 10;

/** A rule around another intake, as an id window is one: it forgets what it knew when the outcome is known. */
class CountedIntake implements Intake {
  readonly #inner: Intake;
  waiting = 0;

  constructor(inner: Intake) {
    this.#inner = inner;
  }

  refusal(events: number, bytes: number, heldBytes?: number): ForebayError | null {
    return this.#inner.refusal(events, bytes, heldBytes);
  }

  take(block: EventBlock, answer: Answer): void {
    this.waiting++;
    this.#inner.take(block, (error) => {
      this.waiting--;
      answer(error);
    });
  }
}

/** What one client gets of another intake: the rules of shares and rates. */
class OfClient implements Intake {
  readonly #inner: Intake;
  readonly #client: Client = { id: '192.0.2.1', limits: { ...UNLIMITED, eventsPerSecond: 1e6 } };

  constructor(inner: Intake) {
    this.#inner = inner;
  }

  refusal(events: number, bytes: number, heldBytes: number = 0): ForebayError | null {
    return this.#inner.refusal(events, bytes, heldBytes, this.#client, 0);
  }

  take(block: EventBlock, answer: Answer): void {
    this.#inner.take(block, answer, this.#client);
  }
}

async function onFiles(t: Test): Promise<IntakePlace> {
  const disk = heldDisk();
  const { forebay, sink } = await startForebay(t, { fs: disk.fs, queueSize: EVENTS_MAX });
  return {
    intake: forebay,
    eventsMax: EVENTS_MAX,
    delivered: () => sink.lines,
    hold() {
      disk.hold();
    },
    release() {
      disk.release();
    },
    lose() {
      disk.fail('write', 'ENOSPC');
    },
    mend() {
      disk.fail('write', null);
    },
    stop: async () => forebay.stop(),
  };
}

async function inMemory(t: Test, queueSize: number = EVENTS_MAX): Promise<IntakePlace> {
  const store = new MemoryStore();
  const openLog = async () => Promise.resolve(new MemoryLog(store));
  const { forebay, sink } = await startForebay(t, { openLog, queueSize });
  return {
    intake: forebay,
    eventsMax: EVENTS_MAX,
    delivered: () => sink.lines,
    hold() {
      store.hold();
    },
    release() {
      store.release();
    },
    lose() {
      store.fault = 'lost';
    },
    mend() {
      store.fault = null;
    },
    stop: async () => forebay.stop(),
  };
}

intakeContract('on files', onFiles);
intakeContract('in memory', async (t) => inMemory(t));
intakeContract('a rule around it', async (t) => {
  const place = await inMemory(t);
  return { ...place, intake: new CountedIntake(place.intake) };
});
intakeContract('for a client', async (t) => {
  // a client that is alone may fill a queue that is as small as this
  const eventsMax = EVENTS_MAX - 1;
  const place = await inMemory(t, eventsMax);
  return { ...place, intake: new OfClient(place.intake), eventsMax };
});
