interface Handlers {
  onMessage(subject: string, payload: string): void;
  onPing(): void;
  onError(text: string): void;
}

/** What a NATS server sends to a client without headers: `MSG`, `PING`, `-ERR`; `INFO`, `PONG` and `+OK` are skipped. */
export class NatsMessages {
  readonly #handlers: Handlers;
  #text = '';

  constructor(handlers: Handlers) {
    this.#handlers = handlers;
  }

  /** @param text what came, one character a byte */
  push(text: string): void {
    this.#text += text;
    let start = 0;
    for (;;) {
      const lineEnd = this.#text.indexOf('\r\n', start);
      if (lineEnd === -1) break;
      const line = this.#text.slice(start, lineEnd);
      start = lineEnd + 2;
      if (line.startsWith('PING')) this.#handlers.onPing();
      if (line.startsWith('-ERR')) this.#handlers.onError(line);
      if (!line.startsWith('MSG ')) continue;
      const words = line.split(' ');
      const end = start + Number(words.at(-1));
      if (this.#text.length < end + 2) {
        start = lineEnd - line.length; // once more when the rest is there
        break;
      }
      this.#handlers.onMessage(words[1] ?? '', this.#text.slice(start, end));
      start = end + 2;
    }
    this.#text = this.#text.slice(start);
  }
}
