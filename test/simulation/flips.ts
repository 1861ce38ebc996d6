import type { DiskTree } from './disk-tree.js';
import type { Ledger } from './ledger.js';
import type { Surroundings } from './simulated-disk.js';
import { hasMarks, isBatchFile, validTexts } from './surviving-log.js';

const LINE_FEED = 10;
const BITS = 8;
/** The mark of a trace takes this many. */
const TRACE_BYTES = 6 + 25 * BITS;

/** A line, or two, were damaged by a bit that flipped at a position; `after` is what `before` is now. */
export function lineDamaged(
  before: Buffer,
  after: Buffer,
  position: number,
  name: string,
  ledger: Ledger,
): void {
  const damage = (lineFrom: number, lineTo: number): void => {
    const texts = validTexts(before.subarray(lineFrom, lineTo));
    ledger.damaged(texts, name, Buffer.from(after.subarray(lineFrom, lineTo)));
  };
  const from = position === 0 ? 0 : before.lastIndexOf(LINE_FEED, position - 1) + 1;
  const end = before.indexOf(LINE_FEED, position) + 1;
  damage(from, end);
  // without its line feed a line runs into the next one
  const nextEnd = before.indexOf(LINE_FEED, end) + 1;
  if (position === end - 1 && nextEnd > 0) damage(end, nextEnd);
}

/**
 * Where lines start and end that have more white space than without a trace: others refer to it, and rarely lose it if bits
 * flip anywhere.
 */
function linesWithTrace(file: Buffer): [number, number][] {
  const lines: [number, number][] = [];
  for (let from = 0, end = file.indexOf(LINE_FEED); end !== -1; end = file.indexOf(LINE_FEED, from)) {
    if (file.lastIndexOf('}', end) < end - TRACE_BYTES) lines.push([from, end + 1]);
    from = end + 1;
  }
  return lines;
}

/** Turns one bit of a batch file, at random, as a bad device does. Only marks can tell. */
export function flipBitAtRest(tree: DiskTree, dir: string, ledger: Ledger, around: Surroundings): void {
  const { random, tally, trace } = around;
  const files = [...tree.files(dir)].filter(([name, file]) => isBatchFile(name) && hasMarks(file.content()));
  if (files.length === 0) return;
  const [name, file] = random.pick(files);
  if (ledger.hasDamage(name)) return;
  const before = Buffer.from(file.content());
  const lines = ledger.contexts.areSent && random.chance(0.5) ? linesWithTrace(before) : [];
  const [from, to] = lines.length > 0 ? random.pick(lines) : [0, before.length];
  const position = random.whole(from, to - 1);
  if (!before.includes(LINE_FEED, position)) return; // in a torn end
  file.flipBit(position, random.whole(0, BITS - 1));
  trace.add(`  a bit flips in ${name}, byte ${position}`);
  tally.count('device', 'bits flipped');
  lineDamaged(before, file.content(), position, name, ledger);
}
