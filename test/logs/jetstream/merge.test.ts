import { gzipSync } from 'node:zlib';
import t from 'tap';
import { markedLine } from '../../../lib/logs/file/checksum.js';
import { Merge } from '../../../lib/logs/jetstream/merge.js';
import { streamMessage } from '../../../lib/logs/jetstream/stream-message.js';
import { eventText } from '../../helpers/running-forebay.js';

void t.test('a batch ends at the bytes of its lines, whether or not they are compressed', (t) => {
  const line = markedLine(eventText('a', 'x'.repeat(10_000)));
  for (const data of [Buffer.from(line), gzipSync(line)]) {
    const batches: [number, string][] = [];
    const merge = new Merge(
      { batchSize: 100, batchBytes: 35_000, batchWaitMs: 60_000 },
      ({ length }, end) => void batches.push([length, end]),
    );
    for (let seq = 1; seq <= 7; seq++) {
      const reply = `$JS.ACK.s.c.1.${seq}.${seq}.${Date.now() * 1_000_000}.0`;
      const message = streamMessage({ subject: 's.1', reply, data });
      if (message !== null) merge.add(message);
    }
    merge.end('stop');
    t.same(batches, [
      [3, 'bytes'],
      [3, 'bytes'],
      [1, 'stop'],
    ]);
  }
  t.end();
});
