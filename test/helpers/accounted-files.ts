import { readdirSync } from 'node:fs';
import type { Test } from 'tap';
import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { leftName, pieces } from './left-files.js';
import type { Outcome } from './left-files.js';
import { addsUp } from './running-forebay.js';

/** With letters that one flipped bit turns into a line feed (`J`, `*`), and white space like that of a mark. */
export const TEXTS = [
  '{"id":"J*\u{fc}","type":"t","data":"\u{1f600} \\u0000\\n \u{2028}","timestamp":1}',
  '{"id":"b","type":"t","data":{"a":[ ],"s":"  \\t  "} \t ,"timestamp":1 }',
  '{"id":"c","type":"t","data":-1.50e+3,"timestamp":1}',
];
export const LINES = TEXTS.map((text) => Buffer.from(markedLine(text)));
export const FILE = Buffer.concat(LINES);

/** Each variant of a file under a name of its own. */
export function named(variants: readonly Buffer[]): Map<string, Buffer> {
  return new Map(variants.map((variant, index) => [leftName(index + 1), variant]));
}

/**
 * Holds what became of each file against its bytes: its sound lines are delivered, unaltered and in order; all
 * others are in the quarantine, byte for byte, except an end that no acknowledgement can have followed.
 *
 * @param isTorn whether a piece without line feed that is no event may be dropped
 */
export function accountFor(
  t: Test,
  files: ReadonlyMap<string, Buffer>,
  { delivered, quarantine, complaints, forebay, dir }: Outcome,
  isTorn: (piece: Buffer) => boolean = () => false,
): void {
  const sound = new Map(LINES.map((line, index) => [line.toString('latin1'), TEXTS[index]]));
  const wrong: string[] = [];
  for (const [name, file] of files) {
    const good: string[] = [];
    const bad: Buffer[] = [];
    let dropped = 0;
    let rests = 0;
    const all = pieces(file);
    for (const piece of all) {
      const whole = piece.at(-1) === 10;
      // the last line feed may be missing, or be another byte
      const ended = [piece, ...(whole ? [] : [Buffer.concat([piece, Buffer.of(10)]), withFeed(piece)])];
      // cut off in the mark, in a file that has no other: never acknowledged, and whole
      const unmarked = all.length === 1 && !endsMarked(piece) ? withoutMarkBegin(piece) : null;
      const text =
        ended.map((bytes) => sound.get(bytes.toString('latin1'))).find((each) => each !== undefined) ??
        TEXTS.find((each) => each === unmarked);
      if (text !== undefined) good.push(`${text}\n`);
      else if (!whole && isTorn(piece)) dropped++;
      else bad.push(piece);
      if (text !== undefined && !whole) rests++;
    }
    const set = bad.length > 0 ? [Buffer.concat(bad).toString('latin1')] : [];
    const lines = dropped + set.length + rests;
    if ((delivered.get(name) ?? '') !== good.join(''))
      wrong.push(`${name}: delivered ${delivered.get(name)}`);
    if ([quarantine.get(name)?.toString('latin1') ?? []].flat().join() !== set.join())
      wrong.push(`${name}: aside ${quarantine.get(name)?.toString()}`);
    if ((complaints.get(name) ?? []).length !== lines)
      wrong.push(`${name}: said ${complaints.get(name)?.join()}`);
  }
  t.same(wrong, [], `what became of ${files.size} files`);
  addsUp(t, forebay);
  t.match(forebay.counts(), { pending: 0, unreadBatches: 0 });
  t.same(readdirSync(dir).filter(isBatchName), []);
}

/** More than half of what stands where a mark would is white space. */
function endsMarked(piece: Buffer): boolean {
  return (
    piece
      .subarray(-32)
      .toString('latin1')
      .replace(/[^ \t]/g, '').length > 16
  );
}

function withoutMarkBegin(piece: Buffer): string {
  return piece.toString('utf8').replace(/[ \t]*\n?$/, '');
}

function withFeed(piece: Buffer): Buffer {
  return Buffer.concat([piece.subarray(0, -1), Buffer.of(10)]);
}
