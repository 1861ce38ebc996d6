import t from 'tap';
import { Batch, StoredBatch } from '../../lib/seams/batch.js';
import { collect, scavenge } from '../helpers/collector.js';

const MIB = 2 ** 20;

void t.test('a batch finds its key when it is asked for, once, and its copies have it', (t) => {
  let asked = 0;
  const key = (): string => `key ${++asked}`;
  const batch = new Batch({ name: 'a', key, events: 1, bytes: Buffer.from('{}\n') });
  t.ok(Object.hasOwn(batch, 'key'));
  t.equal(asked, 0);
  t.match(Object.assign({}, batch), { name: 'a', key: 'key 1', events: 1 });
  t.equal(batch.key, 'key 1');
  t.equal(asked, 1);
  t.equal(new Batch({ name: 'a', key: 'given', events: 1, bytes: batch.bytes }).key, 'given');
  t.throws(() => Object.assign(batch, { key: 'other' }), TypeError);
  t.end();
});

void t.test('a batch that is gone takes no memory until the next full collection', (t) => {
  collect();
  const { arrayBuffers: before } = process.memoryUsage();
  for (let n = 0; n < 100; n++) {
    const bytes = Buffer.alloc(MIB);
    const key = (): string => String(bytes.length);
    t.ok(new StoredBatch({ name: `${n}`, key, events: 1, bytes }, MIB));
    scavenge();
  }
  for (let times = 0; times < 3; times++) scavenge();
  const held = (process.memoryUsage().arrayBuffers - before) / MIB;
  t.ok(held < 10, `${held.toFixed(1)} of 100 are held`);
  t.end();
});
