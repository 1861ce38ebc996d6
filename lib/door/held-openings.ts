import type { Socket } from 'node:net';
import type { Opener } from './tls-door.js';

/**
 * Opens connections, or keeps them for later. Clients that come back as soon as they are answered never leave the
 * queue of connections empty, and whoever is in it when the server closes it is reset. While none is answered, the
 * queue empties.
 */
export class HeldOpenings {
  readonly #opener: Opener;
  readonly #onHeld: (connection: Socket) => void;
  #held: [Socket, (socket: Socket) => void][] | null = null;

  /** @param onHeld is called with each that is kept */
  constructor(opener: Opener, onHeld: (connection: Socket) => void) {
    this.#opener = opener;
    this.#onHeld = onHeld;
  }

  readonly open: Opener = (connection, ready) => {
    if (this.#held === null) {
      this.#opener(connection, ready);
      return;
    }
    this.#held.push([connection, ready]);
    this.#onHeld(connection);
  };

  /** From now on connections are accepted, and not read. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const [connection, ready] of held) if (!connection.destroyed) this.#opener(connection, ready);
  }
}
