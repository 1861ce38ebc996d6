import t from 'tap';
import { NatsCluster } from '../helpers/nats-cluster.js';
import { tempDir } from '../helpers/temp-dir.js';
import { clusterChaos } from './cluster-chaos.js';
import type { FaultName } from './faults.js';

const skip = NatsCluster.missing();
/** The same each time: these take under two minutes. */
const SEED = 1;

for (const [hasIds, isOrdered, faults] of [
  [true, false, ['kill-leader', 'kill-instance', 'cut-leader', 'kill-all']],
  [false, true, ['kill-servers-behind', 'stop-instance']],
] as const satisfies readonly (readonly [boolean, boolean, readonly FaultName[]])[]) {
  const order = isOrdered ? ', and keeps the order with --log-order' : ', and stores no id twice';
  void t.test(`a cluster loses nothing through ${faults.join(', ')}${order}`, { skip }, async (t) => {
    const options = { rounds: faults.length, faults, seed: SEED, isOrdered, hasIds, usesProxies: false };
    const report = (line: string): void => t.comment(line);
    const { rounds, acknowledged, violations } = await clusterChaos(t, {
      ...options,
      dir: tempDir(t),
      report,
    });
    t.same(violations, []);
    t.same(rounds.map(({ fault }) => fault).toSorted(), faults.toSorted(), 'there was each fault');
    t.ok(
      rounds.every((round) => round.acknowledged > 0),
      'there was load',
    );
    t.ok(acknowledged > 1000, `${acknowledged} acknowledged`);
  });
}
