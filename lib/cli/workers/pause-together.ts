import { asError, ForebayError } from '../../base/errors.js';
import type { Logger } from '../../base/reporter.js';
import type { DeliveryControl } from '../../door/control-routes.js';
import type { Forebay } from '../../forebay.js';
import type { Pause, PauseOutcome, PauseRequest } from '../../seams/pause.js';
import type { Order, Reply } from './messages.js';
import type { WorkerSlot } from './worker-slot.js';

/** The pause of all workers: that of the supervisor, which keeps it in the directory around theirs. */
export class PauseTogether implements DeliveryControl {
  readonly #forebay: Forebay;
  readonly #slots: readonly WorkerSlot[];
  readonly #logger: Logger;

  constructor(forebay: Forebay, slots: readonly WorkerSlot[], logger: Logger) {
    this.#forebay = forebay;
    this.#slots = slots;
    this.#logger = logger;
    forebay.onPause((pause) => {
      for (const slot of slots) slot.tell({ kind: 'pause', pause });
    });
  }

  get paused(): Pause | null {
    return this.#forebay.paused;
  }

  async pause(request: PauseRequest): Promise<PauseOutcome> {
    const outcome = await this.#forebay.pause(request);
    await this.#allHeard();
    return outcome;
  }

  async resume(request: PauseRequest): Promise<PauseOutcome> {
    const outcome = await this.#forebay.resume(request);
    await this.#allHeard();
    return outcome;
  }

  /** Does what an operator has asked a worker for. Never rejects. */
  async reply({ about, request }: Order): Promise<Reply> {
    try {
      return { outcome: await this[about](request) };
    } catch (thrown) {
      const { message } = asError(thrown);
      return { refused: { code: thrown instanceof ForebayError ? thrown.code : 'INTERNAL', message } };
    }
  }

  /** A worker answers in the order of what it hears. One that is not up yet hears it before it delivers anything. */
  async #allHeard(): Promise<void> {
    const asked = this.#slots.filter(({ isReporting }) => isReporting);
    const heard = await Promise.all(asked.map(async (slot) => slot.report('probes')));
    for (const [index, { number, isReporting }] of asked.entries()) {
      if (heard[index] !== null || !isReporting) continue;
      const text = `Worker ${number} does not answer: it hears of the pause, or of its end, once it does`;
      this.#logger.warn({ code: 'WORKER_SILENT' }, text);
    }
  }
}
