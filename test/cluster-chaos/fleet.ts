import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { lowPort } from '../helpers/low-port.js';
import { NatsCluster } from '../helpers/nats-cluster.js';
import type { NatsServer, Replica } from '../helpers/nats-cluster.js';
import { openNetwork, ProxyNetwork } from '../helpers/network.js';
import type { Network } from '../helpers/network.js';
import type { Scope } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';
import { Random } from '../simulation/random.js';
import { Clients } from './clients.js';
import { Instance } from './instance.js';
import { Ledger } from './ledger.js';
import { MoodySink } from './moody-sink.js';

export interface FleetOptions {
  /** A folder of its own. */
  readonly dir: string;
  readonly seed: number;
  /** Whether delivery keeps the order (`--log-order`); no client gives up then. */
  readonly isOrdered: boolean;
  /** Whether cuts are made by proxies even if network namespaces could be had. */
  readonly usesProxies: boolean;
  /** Whether the sources have an id window: then what clients send again is stored once. */
  readonly hasIds: boolean;
}

const CLIENTS = 32;
const SERVERS = ['n1', 'n2', 'n3'] as const;
const INSTANCES = ['i1', 'i2', 'i3'] as const;
const LOG_NAME = 'chaos';
export const EVENTS_STREAM = `${LOG_NAME}-events`;
/** Clients fill it within half a minute while the sink is down. */
const BACKLOG_MAX = '4MiB';
const LOOK_MS = 100;
const START_MS_MAX = 120_000;
/** Two elections, and what the client of the servers waits between its tries. */
const RECOVER_MS_MAX = 90_000;
const DELIVER_MS_MAX = 120_000;
const EQUAL_MS_MAX = 600_000;
const STILL_MS_MAX = 60_000;

/** Three servers of the log, three instances, their clients and their sink. */
export class Fleet {
  readonly cluster: NatsCluster;
  readonly instances: readonly Instance[];
  readonly sink: MoodySink;
  readonly clients: Clients;
  readonly ledger: Ledger;
  readonly network: Network;
  readonly #isOrdered: boolean;
  readonly #hasIds: boolean;

  static async start(scope: Scope, options: FleetOptions): Promise<Fleet> {
    const { dir, seed, isOrdered, usesProxies, hasIds } = options;
    const network = usesProxies ? new ProxyNetwork() : openNetwork([...SERVERS, ...INSTANCES]);
    scope.teardown(async () => network.close());
    const ledger = new Ledger(seed, CLIENTS);
    const sink = new MoodySink(network.hostOf('sink'), new Random(seed + 1), (body, key) =>
      ledger.deliver(body, key),
    );
    await sink.start();
    scope.teardown(async () => sink.kill());
    const cluster = await NatsCluster.start(scope, { servers: 3, network, dir });
    const instances: Instance[] = [];
    for (const name of INSTANCES) {
      const flags = await instanceFlags(name, dir, cluster, sink, options);
      const file = join(dir, `${name}.log`);
      const [host, around] = [network.hostOf(name), network.around(name)];
      instances.push(new Instance(name, host, await lowPort(), flags, around, file));
    }
    scope.teardown(async () => Promise.all(instances.map(async (instance) => instance.end('SIGKILL'))));
    for (const instance of instances) instance.start();
    await until(async () => isEach(instances), 'all instances are ready', START_MS_MAX);
    const origins = instances.map(({ origin }) => origin);
    const clients = new Clients({ ledger, origins, clients: CLIENTS, seed, givesUp: !isOrdered, hasIds });
    scope.teardown(async () => clients.end());
    const fleet = new Fleet(cluster, instances, sink, clients, ledger, network, options);
    await fleet.leader();
    return fleet;
  }

  private constructor(
    cluster: NatsCluster,
    instances: readonly Instance[],
    sink: MoodySink,
    clients: Clients,
    ledger: Ledger,
    network: Network,
    { isOrdered, hasIds }: FleetOptions,
  ) {
    this.cluster = cluster;
    this.instances = instances;
    this.sink = sink;
    this.clients = clients;
    this.ledger = ledger;
    this.network = network;
    this.#isOrdered = isOrdered;
    this.#hasIds = hasIds;
  }

  /** The server that leads the stream of events, once there is one. */
  async leader(): Promise<NatsServer> {
    let leader: NatsServer | null = null;
    const isThere = async (): Promise<boolean> => {
      await sleep(LOOK_MS);
      leader = await this.cluster.leaderOf(EVENTS_STREAM);
      return leader !== null;
    };
    await until(isThere, `${EVENTS_STREAM} has a leader`, RECOVER_MS_MAX);
    if (leader === null) throw new Error('no leader');
    return leader;
  }

  async followers(): Promise<readonly NatsServer[]> {
    const leader = await this.leader();
    return this.cluster.servers.filter((server) => server !== leader);
  }

  /** Whatever was done to them, all run and reach each other. */
  async heal(): Promise<void> {
    this.network.heal();
    this.sink.mood = 'well';
    await this.sink.start();
    for (const each of [...this.cluster.servers, ...this.instances]) {
      each.signal('SIGCONT');
      each.start();
    }
  }

  /** Resolves when each instance takes events again. */
  async recovered(): Promise<void> {
    const startMs = performance.now();
    const isWell = async (): Promise<boolean> => {
      await sleep(LOOK_MS);
      return this.clients.haveAllAcknowledgedSince(startMs) && (await this.cluster.isReady());
    };
    await until(isWell, 'all instances take events after the fault', RECOVER_MS_MAX);
  }

  /** Resolves when a server has all that the others have. */
  async caughtUp(): Promise<void> {
    const isCurrent = async (): Promise<boolean> => {
      await sleep(LOOK_MS);
      if (!(await this.cluster.isReady())) return false;
      const replicas = await this.cluster.replicas(EVENTS_STREAM);
      const others = replicas.flatMap((replica) => (replica.leader === replica.server ? replica.others : []));
      return others.length === SERVERS.length - 1 && others.every(({ current }) => current);
    };
    await until(isCurrent, 'all servers are current', RECOVER_MS_MAX);
  }

  /** Has all delivered that waits, while no client sends, and says what is not as promised then. */
  async settle(): Promise<readonly string[]> {
    await this.clients.pause();
    const found: string[] = [];
    const isDelivered = async (): Promise<boolean> => {
      await sleep(LOOK_MS);
      return this.ledger.undelivered === 0 && (await this.#messages()) === 0;
    };
    await until(isDelivered, 'delivered', DELIVER_MS_MAX).catch(async () => {
      found.push(`not delivered within ${DELIVER_MS_MAX} ms; messages left: ${await this.#messages()}`);
    });
    found.push(...(await this.#replicasDiffer()), ...this.ledger.check(this.#isOrdered, this.#hasIds));
    for (const { name, falls } of this.instances)
      for (const fall of falls.splice(0)) found.push(`${name} ended by itself: ${fall}`);
    this.clients.resume();
    return found;
  }

  /** In all streams, by what the leaders say. */
  async #messages(): Promise<number> {
    let messages = 0;
    for (const stream of await this.cluster.streams()) {
      const replicas = await this.cluster.replicas(stream);
      const leader = replicas.find(({ server, leader }) => server === leader);
      messages += leader?.messages ?? NaN;
    }
    return this.#hasIds && messages > 0 ? messages - (await this.#ids()) : messages;
  }

  /** Ids that are remembered, and their secret: they stay where their events were. */
  async #ids(): Promise<number> {
    const nc = await connect({ servers: (await this.cluster.urls()).replaceAll('nats://', '').split(',') });
    try {
      const jsm = await jetstreamManager(nc, { checkAPI: false });
      const { state } = await jsm.streams.info(EVENTS_STREAM, { subjects_filter: `${EVENTS_STREAM}.*.*` });
      return Object.keys(state.subjects ?? {}).length;
    } finally {
      await nc.close();
    }
  }

  async #replicasDiffer(): Promise<readonly string[]> {
    let [last, changedMs] = ['', performance.now()];
    const areEqual = async (): Promise<boolean> => {
      await sleep(LOOK_MS);
      const streams = await this.cluster.streams();
      const copies = await Promise.all(streams.map(async (stream) => this.cluster.replicas(stream)));
      const different = streams.flatMap((stream, at) => {
        const replicas = copies[at] ?? [];
        return isOne(replicas) ? [] : [`${stream}: ${JSON.stringify(replicas)}`];
      });
      if (different.join() !== last) changedMs = performance.now();
      last = different.join();
      // a server that was killed goes on catching up for as long as it takes on a busy machine
      if (performance.now() - changedMs > STILL_MS_MAX) throw new Error('nothing changes');
      return streams.length > 0 && different.length === 0;
    };
    return until(areEqual, 'equal', EQUAL_MS_MAX).then(
      () => [],
      () => [`the servers have different copies: ${last}`],
    );
  }
}

/** Whether all servers have the same of a stream, and its leader says so, too. */
function isOne(replicas: readonly Replica[]): boolean {
  const [first] = replicas;
  if (first === undefined || replicas.length !== SERVERS.length) return false;
  for (const { lastSeq, firstSeq, messages, leader } of replicas) {
    if (lastSeq !== first.lastSeq || messages !== first.messages || leader !== first.leader) return false;
    if (messages > 0 && firstSeq !== first.firstSeq) return false;
  }
  const others = replicas.find(({ server, leader }) => server === leader)?.others ?? [];
  return others.length === SERVERS.length - 1 && others.every(({ current, lag }) => current && lag === 0);
}

async function isEach(instances: readonly Instance[]): Promise<boolean> {
  await sleep(LOOK_MS);
  const fall = instances.flatMap(({ falls }) => falls)[0];
  if (fall !== undefined) throw new Error(`an instance ended at its start: ${fall}`);
  return (await Promise.all(instances.map(async (instance) => instance.isReady()))).every(Boolean);
}

async function instanceFlags(
  name: string,
  dir: string,
  cluster: NatsCluster,
  sink: MoodySink,
  { isOrdered, hasIds }: FleetOptions,
): Promise<readonly string[]> {
  const logDir = join(dir, name);
  mkdirSync(logDir, { recursive: true });
  const settings = {
    'log-dir': logDir,
    log: 'jetstream',
    'log-url': await cluster.urls(name),
    'log-name': LOG_NAME,
    'log-replicas': '3',
    'backlog-max': BACKLOG_MAX,
    'body-max': '1MiB', // must be smaller than the backlog
    'batch-wait': '50',
    'client-share': '1', // all clients have one address
    sink: 'http',
    'sink-url': sink.url,
    'sink-timeout': '5000',
    ...(hasIds && { 'id-window': '1h' }),
  };
  const flags = Object.entries(settings).flatMap(([flag, value]) => [`--${flag}`, value]);
  return isOrdered ? [...flags, '--log-order'] : [...flags, '--sink-concurrency', '4'];
}
