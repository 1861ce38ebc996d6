import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { NumberedEvent } from './numbered-event.js';
import type { ServerUnderTest } from './server-under-test.js';
import { isWhole } from './whole-answer.js';

/**
 * One keep-alive connection that posts one event after another. The request is built once and the answer is hardly
 * parsed, so that what is measured is the server and not the client.
 */
export class EventClient {
  readonly #server: string;
  readonly #socket: Socket;
  readonly #request: NumberedEvent;
  #sent = 0;

  private constructor({ name, port }: ServerUnderTest, socket: Socket) {
    this.#server = name;
    this.#socket = socket.setNoDelay(true).setEncoding('latin1');
    this.#request = new NumberedEvent(
      (event) =>
        `POST /events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${event.length}\r\n\r\n${event}`,
    );
  }

  static async open(server: ServerUnderTest): Promise<EventClient> {
    const socket = connect({ host: '127.0.0.1', port: server.port });
    await once(socket, 'connect');
    return new EventClient(server, socket);
  }

  /**
   * Posts one event. Resolves to the milliseconds until the whole answer was there.
   *
   * @throws if the answer is not `202`, or the connection ends
   */
  async post(): Promise<number> {
    this.#request.number = ++this.#sent;
    return new Promise((resolve, reject) => {
      let answer = '';
      const done = (error: Error | null): void => {
        const latencyMs = performance.now() - start;
        this.#socket.off('data', onData).off('error', done).off('close', onClose);
        if (error === null) resolve(latencyMs);
        else reject(error);
      };
      const onData = (text: string): void => {
        answer += text;
        if (!isWhole(answer)) return;
        done(answer.startsWith('HTTP/1.1 202 ') ? null : new Error(`${this.#server}: ${answer}`));
      };
      const onClose = (): void => {
        done(new Error(`${this.#server} closed the connection`));
      };
      this.#socket.on('data', onData).on('error', done).on('close', onClose);
      const start = performance.now();
      this.#socket.write(this.#request.bytes);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
