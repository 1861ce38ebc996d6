import { createInbox } from '@nats-io/nats-core';
import type { LogConnection, ServersMessage } from '../servers.js';

const ANSWER_MS = 2000;
/** The last word about a question, and that there is no such message. */
const END = 204;
const NONE_FOUND = 404;
const SUBJECT = 'Nats-Subject';

/** Asks for the last messages of many subjects at once (ADR-31 of NATS). */
export class IdLookup {
  readonly #connection: LogConnection;
  readonly #subject: string;
  readonly #inbox = createInbox();
  readonly #asked = new Map<string, (message: ServersMessage) => void>();
  #questions = 0;
  #subscription: { unsubscribe(): void } | null = null;

  constructor(connection: LogConnection, stream: string) {
    this.#connection = connection;
    this.#subject = `$JS.API.DIRECT.GET.${stream}`;
  }

  /**
   * By subject, what was stored under it. Any server that has a copy answers, so what was stored a moment ago may be
   * missing; what is there was stored for certain.
   *
   * @throws Error if there is no answer, or a part of it is lost
   */
  async find(subjects: readonly string[]): Promise<Map<string, Uint8Array>> {
    const { nc } = this.#connection;
    this.#subscription ??= nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#asked.get(message.subject)?.(message);
      },
    });
    const reply = `${this.#inbox}.${++this.#questions}`;
    const found = new Map<string, Uint8Array>();
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(new Error('no server says which ids it knows'));
        }, ANSWER_MS);
        this.#asked.set(reply, ({ headers, data }) => {
          const code = headers?.code ?? 0;
          if (code === 0) {
            found.set(headers?.get(SUBJECT) ?? '', data);
            return;
          }
          clearTimeout(timer);
          if (code === END || code === NONE_FOUND) resolve();
          else reject(new Error(`the servers do not say which ids they know: ${code}`));
        });
        const question = { multi_last: subjects, batch: subjects.length };
        nc.publish(this.#subject, JSON.stringify(question), { reply });
      });
    } finally {
      this.#asked.delete(reply);
    }
    return found;
  }

  close(): void {
    this.#subscription?.unsubscribe();
  }
}
