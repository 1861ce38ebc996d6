import type { ForebayError } from '../base/errors.js';
import type { EventBlock } from '../event/event-block.js';
import type { Admission } from '../intake/admission.js';
import { tell } from '../intake/waiting-requests.js';
import type { WaitingRequests } from '../intake/waiting-requests.js';
import type { Client } from '../seams/client.js';
import type { EventLog } from '../seams/event-log.js';
import type { Answer, Intake } from '../seams/intake.js';
import type { Batcher } from './batcher.js';

export interface QueueIntakeOptions {
  readonly log: Pick<EventLog, 'bytesOf'>;
  readonly admission: Admission;
  readonly batcher: Batcher;
  readonly waiting: WaitingRequests;
}

/** Refuses the events of a request if they have no room, or puts all of them into the queue (N1). */
export class QueueIntake implements Intake {
  readonly #options: QueueIntakeOptions;

  constructor(options: QueueIntakeOptions) {
    this.#options = options;
  }

  refusal(events: number, bytes: number, heldBytes: number = 0): ForebayError | null {
    return this.#options.admission.refusal(events, bytes, heldBytes);
  }

  take(block: EventBlock, answer: Answer, client?: Client): void {
    const { log, admission, batcher, waiting } = this.#options;
    const events = block.length;
    const bytes = log.bytesOf(block, 0, events);
    const refusal = admission.refusal(events, bytes, 0);
    admission.saw(events, bytes);
    // its answer follows the last of its acknowledgements
    if (refusal === null) batcher.queue(waiting.add(block, answer, client));
    else tell(answer, refusal);
  }
}
