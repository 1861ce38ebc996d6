import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { JetStreamClient } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import t from 'tap';
import type { Test } from 'tap';
import { NatsCluster } from './nats-cluster.js';
import { NamespaceNetwork, openNetwork, ProxyNetwork } from './network.js';
import type { Network } from './network.js';
import { until } from './wait-for.js';

const skip = NatsCluster.missing();
const STREAM = 'S';
/** How long a leader that is cut off is asked, in milliseconds. */
const ASK_MS = 500;

async function clientOf(t: Test, urls: string, replicas: number): Promise<JetStreamClient> {
  const servers = urls.split(',');
  const connection = await connect({ servers, ignoreClusterUpdates: true, maxReconnectAttempts: -1 });
  t.teardown(async () => connection.close());
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const stream = { name: STREAM, subjects: [STREAM], num_replicas: replicas };
  // the leader may not have heard of all others yet
  const isMade = async (): Promise<boolean> =>
    manager.streams.add(stream).then(
      () => true,
      () => false,
    );
  await until(isMade, 'the servers make the stream');
  return jetstream(connection);
}

/** What the servers say of themselves, once they do. */
async function answered<T>(ask: () => Promise<readonly T[]>): Promise<readonly T[]> {
  let all: readonly T[] = [];
  await until(async () => (all = await ask()).length > 0, 'a server answers');
  return all;
}

void t.test(
  'a server that is killed has what it acknowledged when it is started again',
  { skip },
  async (t) => {
    const cluster = await NatsCluster.start(t);
    const [server] = cluster.servers;
    const client = await clientOf(t, await cluster.urls(), 1);
    t.equal((await client.publish(STREAM, 'one')).seq, 1);
    await server?.end('SIGKILL');
    t.equal(server?.isRunning, false);
    t.same(await cluster.replicas(STREAM), []);
    server?.start();
    await cluster.ready();
    await cluster.leading(STREAM);
    const [replica] = await answered(async () => cluster.replicas(STREAM));
    t.match(replica, { server: 'n1', leader: 'n1', messages: 1, lastSeq: 1 });
    t.same(await answered(async () => cluster.streams()), [STREAM]);
  },
);

/** A leader that can be reached and reaches nobody acknowledges nothing; the others find one among them. */
async function cutsOff(t: Test, network: Network): Promise<void> {
  t.teardown(async () => network.close());
  const cluster = await NatsCluster.start(t, { servers: 3, network });
  const first = await clientOf(t, await cluster.urls(), 3);
  // a server may not have heard yet where the stream is
  const isTaken = async (): Promise<boolean> =>
    first.publish(STREAM, 'one').then(
      ({ seq }) => seq >= 1,
      () => false,
    );
  await until(isTaken, 'the stream takes a message');
  const leader = await cluster.leading(STREAM);
  const [url = ''] = (await cluster.urls('alone'))
    .split(',')
    .filter((_, index) => cluster.servers[index] === leader);
  const alone = await connect({ servers: url, ignoreClusterUpdates: true });
  t.teardown(async () => alone.close());
  cluster.isolate(leader);
  await t.rejects(jetstream(alone).publish(STREAM, 'two', { timeout: ASK_MS }), 'without a majority');
  const isReplaced = async (): Promise<boolean> => ![null, leader].includes(await cluster.leaderOf(STREAM));
  await until(isReplaced, 'the others have a leader');
  network.heal();
  const isWhole = async (): Promise<boolean> => {
    const replicas = await cluster.replicas(STREAM);
    return replicas.length === 3 && replicas.every(({ lastSeq, leader }) => lastSeq >= 1 && leader !== '');
  };
  await until(isWhole, 'all have it');
}

void t.test('with proxies, a leader that is cut off acknowledges nothing', { skip }, async (t) => {
  await cutsOff(t, new ProxyNetwork());
});

void t.test('with network namespaces, too', { skip }, async (t) => {
  const network = openNetwork(['n1', 'n2', 'n3']);
  if (network instanceof NamespaceNetwork) return cutsOff(t, network);
  await network.close();
  t.comment('there are no network namespaces for this user');
});
