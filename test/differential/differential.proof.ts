import t from 'tap';
import { SEED } from '../helpers/seed.js';
import { Comparison } from './comparison.js';
import { mutation } from './mutations.js';
import { reportOf, tally } from './report.js';
import { SAMPLES } from './samples.js';

const MUTATIONS = 200;
const BATCH = 20;

void t.test(
  'the same bytes have the same answers and store the same events, however they come',
  async (t) => {
    const comparison = await Comparison.open(t, SEED);
    for (let from = 0; from < SAMPLES.length; from += BATCH) {
      await comparison.compare(SAMPLES.slice(from, from + BATCH), 'where they are odd');
    }
    const mutations = Array.from({ length: MUTATIONS }, (_, index) => mutation(SEED, index));
    for (let from = 0; from < MUTATIONS; from += BATCH) {
      await comparison.compare(mutations.slice(from, from + BATCH), 'at some positions');
    }
    t.comment(tally(comparison, performance.now()));
    t.same(
      comparison.differences.map((each) => reportOf(each, SEED)),
      [],
    );
    t.ok(comparison.handedOver < comparison.sendings, 'some stay in the fast path');
    const { alone, together } = comparison.pieces;
    t.ok(together < alone / 10, 'pieces are read alone');
    for (const status of [202, 400, 413, 415, 417, 421, 431])
      t.ok(comparison.statuses.has(status), `some get ${status}`);
  },
);
