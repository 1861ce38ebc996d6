/** Replies of Redis (RESP2) that are one text each: simple strings, errors, numbers and bulk strings. No arrays. */
export class RedisReplies {
  readonly #onReply: (reply: string, isError: boolean) => void;
  #text = '';

  constructor(onReply: (reply: string, isError: boolean) => void) {
    this.#onReply = onReply;
  }

  /** @param text what came, one character a byte */
  push(text: string): void {
    this.#text += text;
    let start = 0;
    for (;;) {
      const lineEnd = this.#text.indexOf('\r\n', start);
      if (lineEnd === -1) break;
      const kind = this.#text[start];
      const line = this.#text.slice(start + 1, lineEnd);
      if (kind !== '$') {
        start = lineEnd + 2;
        this.#onReply(line, kind === '-');
        continue;
      }
      const end = lineEnd + 2 + Number(line);
      if (this.#text.length < end + 2) break;
      start = end + 2;
      this.#onReply(this.#text.slice(lineEnd + 2, end), false);
    }
    this.#text = this.#text.slice(start);
  }
}
