import t from 'tap';
import { accountFor, FILE, LINES, named } from '../helpers/accounted-files.js';
import { startOn } from '../helpers/left-files.js';

/** The numbers below `end`, a step apart. */
const every = (step: number, end: number): number[] =>
  Array.from({ length: Math.ceil(end / step) }, (_each, n) => n * step);

/**
 * Damage at each place of a file.
 *
 * @param step how far the places are apart
 */
export function damageSweeps(step: number): void {
  void t.test('wherever a bit flips, no altered event is delivered and none is thrown away', async (t) => {
    for (const file of [FILE, ...LINES]) {
      const variants: Buffer[] = [];
      for (let bit = 0; bit < file.length * 8; bit += step) {
        const variant = Buffer.from(file);
        variant.writeUInt8(variant.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        variants.push(variant);
      }
      const files = named(variants);
      accountFor(t, files, await startOn(t, files));
    }
  });

  void t.test(
    'wherever a file ends, its whole lines are delivered and a piece of a line is no event',
    async (t) => {
      for (const file of [FILE, ...LINES]) {
        const cuts = every(step, file.length).map((end) => file.subarray(0, end));
        const files = named(cuts);
        accountFor(t, files, await startOn(t, files), () => true);
      }
    },
  );

  void t.test(
    'wherever the zeros of an unwritten page begin, the lines before them are delivered',
    async (t) => {
      for (const zeros of [0, 5000]) {
        const variants = every(step, FILE.length).map((start) =>
          Buffer.concat([FILE.subarray(0, start), Buffer.alloc(FILE.length - start + zeros)]),
        );
        // at zeros > 0 the last line feed is many bytes away: no line is whole without its own
        const files = named(variants);
        accountFor(t, files, await startOn(t, files), () => true);
      }
    },
  );
}
