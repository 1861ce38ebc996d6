const LINE_FEED = 0x0a;

/** A line and its position. */
export interface Line {
  readonly at: number;
  /** Including its line feed, if it has one. */
  readonly bytes: Buffer;
  readonly isEnded: boolean;
}

/** The lines of a part of a file. */
export function* linesIn(part: Buffer): Generator<Line, void, undefined> {
  for (let at = 0; at < part.length;) {
    const feed = part.indexOf(LINE_FEED, at);
    const end = feed === -1 ? part.length : feed + 1;
    yield { at, bytes: part.subarray(at, end), isEnded: feed !== -1 };
    at = end;
  }
}
