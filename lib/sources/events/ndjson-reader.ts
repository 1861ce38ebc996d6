import { isUtf8 } from 'node:buffer';
import { ForebayError } from '../../base/errors.js';
import { decodeUtf8 } from '../../event/event.js';
import { NOT_CERTAIN } from '../../event/event-scan.js';
import { BodyBuffer } from '../body-buffer.js';
import { EventsReader } from '../events-reader.js';
import { markEnd } from '../json-reader.js';

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/** NDJSON: one event a line, checked as it comes. Blank lines are counted and skipped. */
export class NdjsonReader extends EventsReader {
  protected override areMany = true;
  /** The line whose end has not come yet. */
  #rest = new BodyBuffer();
  #line = 0;

  append(piece: Buffer): void {
    let start = 0;
    if (this.#rest.length > 0) {
      start = piece.indexOf(LINE_FEED) + 1;
      if (start > 0) this.#takeRest(piece.subarray(0, start));
    }
    const end = piece.lastIndexOf(LINE_FEED) + 1;
    if (end > start) this.#takeLines(piece.subarray(start, end));
    this.#rest.append(piece.subarray(Math.max(start, end)));
    if (this.#rest.length > this.eventBytesMax) throw this.tooLarge({ line: this.#line + 1 });
  }

  end(): void {
    if (this.#rest.length > 0) this.#takeRest(Buffer.of(LINE_FEED));
    if (this.events === 0) throw new ForebayError('NO_EVENTS', { message: 'The body holds no event' });
  }

  #takeRest(end: Buffer): void {
    this.#rest.append(end);
    const rest = this.#rest;
    this.#rest = new BodyBuffer();
    this.#takeLines(rest.take());
  }

  /** @param lines each with its line feed */
  #takeLines(lines: Buffer): void {
    const isText = isUtf8(lines);
    for (let start = this.#line === 0 ? markEnd(lines) : 0; start < lines.length;) {
      this.#line++;
      const blank = lines[start] === CARRIAGE_RETURN ? start + 1 : start;
      if (lines[blank] === LINE_FEED) {
        start = blank + 1;
        continue;
      }
      const found = isText ? this.find(lines, start) : NOT_CERTAIN;
      if (found !== NOT_CERTAIN && lines[found] === LINE_FEED) {
        this.addFound(lines, start, found, this.#line);
        start = found + 1;
      } else {
        const end = lines.indexOf(LINE_FEED, start);
        const line = lines.subarray(start, end);
        this.add(() => decodeUtf8(line), { line: this.#line });
        start = end + 1;
      }
    }
  }
}
