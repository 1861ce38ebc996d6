import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { ClosingStep } from './messages.js';
import type { WorkerSlot } from './worker-slot.js';

const STEPS: readonly ClosingStep[] = ['ended', 'holding', 'closed'];
/** How long the last connection may take to come to a worker, in milliseconds. */
const LAST_MS = 2000;
/** At least this many come with no other between them. */
const QUIET_MIN = 3;

/**
 * Has all workers close their doors together. Connections wait in three queues: of the system, of this process, and on
 * their way to a worker. Each is in order, so once a worker has the connection that is opened here after all hold what
 * they accept, the earlier ones are there as well. Workers that close then answer only when all have closed: their
 * clients would come back to another one.
 */
export class ClosingTogether {
  readonly #slots: readonly WorkerSlot[];
  readonly #address: { readonly host: string; readonly port: number };
  /** How many steps all have done. */
  #done = 0;
  #last: Socket | null = null;
  /** How many of these have come with no other between them. */
  #quiet = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    slots: readonly WorkerSlot[],
    { host, port }: { readonly host: string; readonly port: number },
  ) {
    this.#slots = slots;
    // of all addresses of the machine any will do
    this.#address = { host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port };
  }

  /** Called when a worker has reached a step, or has ended. */
  look(): void {
    const step = STEPS[this.#done];
    if (step === undefined) return;
    const running = this.#slots.filter(({ isRunning }) => isRunning);
    if (!running.every((slot) => STEPS.indexOf(slot.step ?? 'ended') >= this.#done && slot.step !== null))
      return;
    if (step !== 'holding') this.#goOn(step);
    else this.#openLast();
  }

  /** A worker holds a connection from this port. */
  held(port: number): void {
    if (port !== this.#last?.localPort) {
      this.#quiet = 0;
      return;
    }
    // a client that was answered just before may come back after it
    if (++this.#quiet > QUIET_MIN) {
      this.#closeDoors();
      return;
    }
    this.#last?.destroy();
    this.#connect();
  }

  #goOn(step: ClosingStep): void {
    this.#done++;
    for (const slot of this.#slots) slot.tell({ kind: 'go on', step });
  }

  #openLast(): void {
    if (this.#last !== null) return;
    this.#connect();
    this.#timer = setTimeout(() => {
      this.#closeDoors();
    }, LAST_MS);
  }

  #connect(): void {
    this.#last = connect(this.#address);
    this.#last.on('error', () => {
      this.#closeDoors(); // nobody listens
    });
  }

  #closeDoors(): void {
    clearTimeout(this.#timer);
    if (STEPS[this.#done] !== 'holding') return;
    this.#goOn('holding');
    this.#last?.destroy();
  }
}
