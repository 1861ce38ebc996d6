import fc from 'fast-check';
import t from 'tap';
import { crc32 } from 'node:zlib';
import { Ending } from '../../lib/event/ending.js';
import { SEED } from '../helpers/seed.js';

void t.test('the sum of a text and its ending is the CRC-32 of both, whatever they are', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 200 }), (text, end) => {
      const ending = new Ending(end);
      const sum = crc32(Buffer.concat([text, end]));
      return ending.sumAfter(crc32(text)) >>> 0 === sum && ending.sumAfter(crc32(text) | 0) >>> 0 === sum;
    }),
    { seed: SEED },
  );
  t.end();
});
