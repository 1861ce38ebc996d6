import fc from 'fast-check';
import t from 'tap';
import { EventBlock } from '../../lib/event/event-block.js';
import { SEED } from '../helpers/seed.js';

/** Lines that share a piece, that do not, and that have one of their own. */
const LENGTHS = fc.oneof(
  fc.integer({ min: 1, max: 200 }),
  fc.constantFrom(32_767, 32_768, 65_535, 65_536, 65_537),
);

function blockOf(lines: readonly Buffer[]): EventBlock {
  const block = new EventBlock();
  for (const line of lines) block.addBytes(line.subarray(0, -1), line.subarray(-1));
  return block;
}

void t.test('each line is as it was added, whatever was added before and after it', (t) => {
  fc.assert(
    fc.property(fc.array(LENGTHS, { maxLength: 60 }), (lengths) => {
      const lines = lengths.map((length, number) =>
        Buffer.alloc(length, `${number}:${'x'.repeat(length % 7)}`),
      );
      const block = blockOf(lines);
      let start = 0;
      for (const [index, line] of lines.entries()) {
        if (block.startOf(index) !== start || !block.lineOf(index).equals(line)) return false;
        start += line.length;
      }
      return block.length === lines.length && block.startOf(lines.length) === start;
    }),
    { seed: SEED },
  );
  t.end();
});

void t.test('a line of a large request is found without a look at each piece', (t) => {
  const MANY = 256;
  const block = blockOf(Array.from({ length: MANY }, () => Buffer.alloc(40_000)));
  const pieces = Array.from({ length: MANY }, (_, index) => block.pieceOf(index));
  let looks = 0;
  for (const [index, piece] of pieces.entries()) {
    t.equal(piece.from, index, 'each has a piece of its own');
    Object.defineProperty(piece, 'from', { get: () => (looks++, index) });
  }
  for (let index = 0; index < MANY; index++) block.pieceOf(index);
  t.ok(looks > 0 && looks <= 10 * MANY, `${looks} for ${MANY} lines`);
  t.end();
});
