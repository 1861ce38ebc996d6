import type { DiskTree } from './disk-tree.js';
import type { Ledger } from './ledger.js';
import type { Surroundings } from './simulated-disk.js';
import { batchIn, hasMarks, isBatchFile, linesIn, membersIn, validTexts } from './surviving-log.js';
import type { SimulatedFile } from './simulated-file.js';

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

/** A member was damaged; what of its lines can still be read may be delivered. */
function memberDamaged(before: Buffer, after: Buffer, position: number, name: string, ledger: Ledger): void {
  const member = membersIn(before).findLast(({ at }) => at <= position);
  if (member === undefined) return;
  const { at, bytes, lines } = member;
  ledger.damaged(validTexts(lines), name, Buffer.from(after.subarray(at, at + bytes.length)));
}

/**
 * Turns one bit of a batch file, at random, as a bad device does. Only marks can tell.
 *
 * @param isDurable whether all that is there would survive a power cut: of a batch whose file is there twice, nothing may be
 *   lost then, as the other file is sound
 */
export function flipBitAtRest(
  tree: DiskTree,
  dir: string,
  ledger: Ledger,
  around: Surroundings,
  isDurable: boolean,
): void {
  const { random, tally, trace } = around;
  const all = tree.files(dir);
  const files = [...all].filter(
    ([name, file]) => isBatchFile(name) && (hasMarks(file.content()) || membersIn(file.content()).length > 0),
  );
  if (files.length === 0) return;
  const others = files.filter(([name]) => otherOf(name, all) !== null);
  const [name, file] = random.pick(others.length > 0 && random.chance(0.7) ? others : files);
  if (ledger.hasDamage(name)) return;
  const isCompressed = batchIn(name) !== name;
  const before = Buffer.from(file.content());
  const lines = !isCompressed && ledger.contexts.areSent && random.chance(0.5) ? linesWithTrace(before) : [];
  const [from, to] = lines.length > 0 ? random.pick(lines) : [0, before.length];
  const position = random.whole(from, to - 1);
  if (!isCompressed && !before.includes(LINE_FEED, position)) return; // in a torn end
  file.flipBit(position, random.whole(0, BITS - 1));
  trace.add(`  a bit flips in ${name}, byte ${position}`);
  tally.count('device', 'bits flipped');
  const after = file.content();
  const other = isDurable ? otherOf(name, all) : null;
  if (other !== null && other.equals(linesIn(name, before))) {
    tally.count('compression', 'bits flipped in one of two files of a batch');
    ledger.damaged([], name, after);
  } else if (isCompressed) {
    tally.count('compression', 'bits flipped in compressed files');
    memberDamaged(before, after, position, name, ledger);
  } else lineDamaged(before, after, position, name, ledger);
}

/** The lines of the other file of a batch; `null` if there is none. */
function otherOf(name: string, files: ReadonlyMap<string, SimulatedFile>): Buffer | null {
  const other = batchIn(name) === name ? `${name}.gz` : batchIn(name);
  const file = files.get(other);
  return file === undefined ? null : linesIn(other, file.content());
}
