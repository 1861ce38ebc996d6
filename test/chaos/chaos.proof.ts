import t from 'tap';
import { SEED } from '../helpers/seed.js';
import { tempDir } from '../helpers/temp-dir.js';
import { chaosRounds } from './chaos-rounds.js';

void t.test(
  'a sink that does everything wrong loses nothing, and only poison ends as dead letters',
  async (t) => {
    const result = await chaosRounds({
      rounds: 4,
      dir: tempDir(t),
      connections: 8,
      roundMs: 2000,
      seed: SEED,
    });
    const { acknowledged, acknowledgedPoison, duplicates, counts } = result;
    t.comment(`${acknowledged} acknowledged, ${acknowledgedPoison} poison, ${duplicates} delivered again`);
    t.ok(acknowledged > 500, 'there was load');
    t.ok(acknowledgedPoison > 0, 'there was poison');
    t.same(result.lost, []);
    t.same(result.wronglyDead, []);
    t.same(result.strange, []);
    const { accepted = NaN, delivered = NaN, deadLettered = NaN, quarantined } = counts;
    t.equal(accepted, delivered + deadLettered, JSON.stringify(counts));
    t.equal(quarantined, 0);
    t.comment(`${result.scrapes} scrapes`);
    t.ok(result.scrapes > 0, 'the metrics were read meanwhile');
    t.same(result.unaccounted, [], 'in each scrape every event was accounted for');
  },
);
