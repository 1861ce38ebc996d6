const HEAD_END = Buffer.from('\r\n\r\n');
const START = 'HTTP/1.';
/** No head of an answer is longer. */
const HEAD_BYTES_MAX = 65_536;

type State =
  'head' | 'start of body' | 'body' | 'chunk size' | 'chunk' | 'trailer' | 'until close' | 'garbled';

/**
 * Reads the statuses of answers from a connection and keeps nothing else. It is not told what was asked: an answer whose
 * head is followed by another answer is one to `HEAD`.
 */
export class AnswerReader {
  /** Of the final answers, in order. */
  readonly statuses: number[] = [];
  /** Of the answers before a final one, as `100 Continue`. */
  readonly interim: number[] = [];
  /** All bytes that came. */
  bytes = 0;
  /** What came where an answer had to begin and is none. */
  garbage: string | null = null;
  /** Whether an answer came after one that said `Connection: close`. */
  wentOnAfterClose = false;
  #state: State = 'head';
  #held = Buffer.alloc(0);
  #left = 0;
  #isChunked = false;
  #saidClose = false;

  append(piece: Buffer): void {
    this.bytes += piece.length;
    let rest = this.#held.length === 0 ? piece : Buffer.concat([this.#held, piece]);
    this.#held = Buffer.alloc(0);
    while (rest.length > 0) {
      const taken = this.#take(rest);
      if (taken === -1) {
        this.#held = Buffer.from(rest);
        return;
      }
      rest = rest.subarray(taken);
    }
  }

  /** How many bytes were read; -1: more are needed. */
  #take(bytes: Buffer): number {
    switch (this.#state) {
      case 'head':
        return this.#takeHead(bytes);
      case 'start of body':
        return this.#takeStart(bytes);
      case 'body':
      case 'chunk':
        return this.#skip(bytes);
      case 'chunk size':
        return this.#takeSize(bytes);
      case 'trailer':
        return this.#takeTrailer(bytes);
      case 'until close':
      case 'garbled':
        return bytes.length;
    }
  }

  #takeHead(bytes: Buffer): number {
    const start = bytes.toString('latin1', 0, START.length);
    if (!START.startsWith(start)) return this.#garbled(bytes);
    const end = bytes.indexOf(HEAD_END);
    if (end === -1) return bytes.length > HEAD_BYTES_MAX ? this.#garbled(bytes) : -1;
    const head = bytes.toString('latin1', 0, end);
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |\r|$)/.exec(head)?.[1] ?? NaN);
    if (Number.isNaN(status)) return this.#garbled(bytes);
    this.#readHead(head, status);
    return end + HEAD_END.length;
  }

  #readHead(head: string, status: number): void {
    if (this.#saidClose) this.wentOnAfterClose = true;
    if (status < 200) {
      this.interim.push(status);
      return;
    }
    this.statuses.push(status);
    this.#saidClose = /^connection: *close *$/im.test(head);
    const length = /^content-length: *(\d+) *$/im.exec(head)?.[1];
    this.#isChunked = /^transfer-encoding: *chunked *$/im.test(head);
    this.#left = Number(length ?? 0);
    const hasBody = status !== 204 && status !== 304 && (this.#isChunked || length !== '0');
    const isUntilClose = !this.#isChunked && length === undefined;
    if (hasBody) this.#state = isUntilClose ? 'until close' : 'start of body';
  }

  #takeStart(bytes: Buffer): number {
    const start = bytes.toString('latin1', 0, START.length);
    if (start === START) {
      this.#state = 'head';
      return 0;
    }
    if (START.startsWith(start)) return -1;
    this.#state = this.#isChunked ? 'chunk size' : 'body';
    return 0;
  }

  #skip(bytes: Buffer): number {
    const taken = Math.min(this.#left, bytes.length);
    this.#left -= taken;
    if (this.#left === 0) this.#state = this.#state === 'chunk' ? 'chunk size' : 'head';
    return taken;
  }

  #takeSize(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n');
    if (end === -1) return bytes.length > HEAD_BYTES_MAX ? this.#garbled(bytes) : -1;
    const size = /^[\da-f]+/i.exec(bytes.toString('latin1', 0, end))?.[0];
    if (size === undefined) return this.#garbled(bytes);
    this.#left = Number.parseInt(size, 16) + 2; // with its line end
    this.#state = this.#left === 2 ? 'trailer' : 'chunk';
    return end + 2;
  }

  #takeTrailer(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n');
    if (end === -1) return -1;
    if (end === 0) this.#state = 'head';
    return end + 2;
  }

  #garbled(bytes: Buffer): number {
    this.garbage = bytes.toString('latin1', 0, 40);
    this.#state = 'garbled';
    return bytes.length;
  }
}
