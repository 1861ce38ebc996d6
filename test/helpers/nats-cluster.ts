import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChildProgram, onPath } from './child-program.js';
import { lowPort } from './low-port.js';
import { PlainNetwork } from './network.js';
import type { Network } from './network.js';
import { tempDir } from './temp-dir.js';
import type { Scope } from './temp-dir.js';
import { until } from './wait-for.js';

const NAME = 'nats-server';
/** The first one that keeps what it acknowledged, as far as is known. */
const VERSION_MIN = [2, 10, 23] as const;
const LOOK_MS = 50;
/** An election takes up to 9 s, and after a start of all servers there may be two of them. */
const READY_MS_MAX = 60_000;
/** Nobody listens there: so servers cannot connect past a proxy, whatever they hear of each other. */
const NOWHERE = '127.0.0.1:1';

export interface ClusterOptions {
  /** How many servers: one, or three. */
  readonly servers?: 1 | 3;
  /** With cuts, if the test makes some: its nodes are `n1`, `n2`, `n3`. */
  readonly network?: Network;
  /** For its files; without one, a temporary folder that goes with the scope. */
  readonly dir?: string;
  /** More lines of their configuration. */
  readonly configuration?: string;
}

/** What a server itself says of its copy of a stream. */
export interface Replica {
  readonly server: string;
  readonly leader: string;
  readonly messages: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** What the leader says of the others: whether each is current, and by how many operations it is behind. */
  readonly others: readonly { readonly name: string; readonly current: boolean; readonly lag: number }[];
}

interface StreamDetail {
  readonly name: string;
  readonly state?: { readonly messages: number; readonly first_seq: number; readonly last_seq: number };
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly {
      readonly name: string;
      readonly current: boolean;
      readonly lag?: number;
    }[];
  };
}

interface Jsz {
  readonly meta_cluster?: { readonly leader?: string; readonly cluster_size?: number };
  readonly account_details?: readonly { readonly stream_detail?: readonly StreamDetail[] }[];
}

/** Real nats-servers with JetStream, each on a folder and ports of its own, which flush before they answer. */
export class NatsCluster {
  readonly servers: readonly NatsServer[];
  readonly #network: Network;

  /** Why no server can be started here; `false` if it can. */
  static missing(): string | false {
    const binary = natsBinary();
    if (binary === null) return 'nats-server is not installed (neither on the PATH nor in NATS_SERVER)';
    const version = /v(\d+)\.(\d+)\.(\d+)/.exec(execFileSync(binary, ['--version'], { encoding: 'utf8' }));
    const found = (version ?? []).slice(1).map(Number);
    const [least, most] = [VERSION_MIN, found].map((parts) => parts.reduce((sum, n) => sum * 1000 + n, 0));
    if ((most ?? 0) >= (least ?? 0)) return false;
    return `nats-server is ${found.join('.')}, and must be at least ${VERSION_MIN.join('.')}`;
  }

  /** Resolves when the servers have a leader among them, and all of them know it. */
  static async start(scope: Scope, options: ClusterOptions = {}): Promise<NatsCluster> {
    const missing = NatsCluster.missing();
    if (missing !== false) throw new Error(missing);
    const { servers: count = 1, network = new PlainNetwork(), dir = tempDir(scope) } = options;
    const { configuration: more = '' } = options;
    const names = Array.from({ length: count }, (_, index) => `n${index + 1}`);
    const ports = new Map<string, Ports>();
    for (const name of names)
      ports.set(name, { client: await lowPort(), route: await lowPort(), monitor: await lowPort() });
    const servers: NatsServer[] = [];
    for (const [name, own] of ports) {
      const others = [...ports].filter(([other]) => other !== name);
      const routes = await Promise.all(
        others.map(async ([other, { route }]) => network.address(name, other, route)),
      );
      servers.push(new NatsServer(name, join(dir, name), own, routes, network, more));
    }
    const cluster = new NatsCluster(servers, network);
    scope.teardown(async () => cluster.stop());
    for (const server of servers) server.start();
    await cluster.ready();
    return cluster;
  }

  private constructor(servers: readonly NatsServer[], network: Network) {
    this.servers = servers;
    this.#network = network;
  }

  /** What a client connects to, joined by commas. */
  async urls(from: string = 'test'): Promise<string> {
    const addresses = this.servers.map(async ({ name, ports }) =>
      this.#network.address(from, name, ports.client),
    );
    return (await Promise.all(addresses)).map((address) => `nats://${address}`).join(',');
  }

  /** Where each server tells about itself, joined by commas. */
  async monitorUrls(from: string = 'test'): Promise<string> {
    const addresses = this.servers.map(async ({ name, ports }) =>
      this.#network.address(from, name, ports.monitor),
    );
    return (await Promise.all(addresses)).map((address) => `http://${address}`).join(',');
  }

  /** Resolves when all servers run, answer, and agree on who leads. @throws if one ends */
  async ready(): Promise<void> {
    const holds = async (): Promise<boolean> => {
      await sleep(LOOK_MS);
      for (const server of this.servers)
        if (!server.isRunning) throw new Error(`${server.name} ended:\n${server.output}`);
      return this.isReady();
    };
    await until(holds, 'the servers have a leader', READY_MS_MAX);
  }

  /** Whether all servers answer, JetStream as well, and agree on who leads. */
  async isReady(): Promise<boolean> {
    const answer = await Promise.all(this.servers.map(async (server) => server.answers()));
    if (!answer.every(Boolean)) return false;
    if (this.servers.length === 1) return true;
    const [first, ...others] = await Promise.all(this.servers.map(async (server) => server.metaLeader()));
    return first !== null && others.every((leader) => leader === first);
  }

  /** The server that leads a stream by the word of most servers; `null`: there is none, or no such stream. */
  async leaderOf(stream: string): Promise<NatsServer | null> {
    const replicas = await this.replicas(stream);
    const leaders = replicas.map(({ leader }) => leader);
    const votes = (name: string): number => leaders.filter((leader) => leader === name).length;
    return this.servers.find(({ name }) => 2 * votes(name) > this.servers.length) ?? null;
  }

  /** The server that leads a stream, once there is one. */
  async leading(stream: string): Promise<NatsServer> {
    for (;;) {
      await until(async () => (await this.leaderOf(stream)) !== null, `${stream} has a leader`);
      const leader = await this.leaderOf(stream);
      if (leader !== null) return leader;
    }
  }

  /** The copies of a stream, of the servers that answer. */
  async replicas(stream: string): Promise<readonly Replica[]> {
    const all = await Promise.all(this.servers.map(async (server) => server.replica(stream)));
    return all.filter((replica) => replica !== null);
  }

  /** The names of all streams. */
  async streams(): Promise<readonly string[]> {
    const all = await Promise.all(this.servers.map(async (server) => server.streams()));
    return [...new Set(all.flat())].toSorted();
  }

  /** Cuts a server off from all others. Clients still reach it. */
  isolate(server: NatsServer): void {
    for (const { name } of this.servers) if (name !== server.name) this.#network.cut(server.name, name);
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map(async (server) => server.end('SIGKILL')));
  }
}

interface Ports {
  readonly client: number;
  readonly route: number;
  readonly monitor: number;
}

/** One of the servers. It keeps its folder and its ports when it is started again. */
export class NatsServer {
  readonly name: string;
  readonly ports: Ports;
  readonly #monitorUrl: string;
  readonly #program: ChildProgram;

  constructor(
    name: string,
    dir: string,
    ports: Ports,
    routes: readonly string[],
    network: Network,
    more: string,
  ) {
    this.name = name;
    this.ports = ports;
    const host = network.hostOf(name);
    this.#monitorUrl = `http://${host}:${ports.monitor}`;
    mkdirSync(dir, { recursive: true });
    const file = join(dir, 'nats.conf');
    const lines = configuration({ name, dir, ports, routes, host, hasDetours: network.hasDetours });
    writeFileSync(file, `${lines}${more}\n`);
    const words = [natsBinary() ?? NAME, '-c', file];
    this.#program = new ChildProgram(words, network.around(name), (line) => {
      appendFileSync(join(dir, 'server.log'), `${line}\n`);
    });
  }

  get isRunning(): boolean {
    return this.#program.isRunning;
  }

  /** The last lines of its log. */
  get output(): string {
    return this.#program.lines.join('\n');
  }

  start(): void {
    this.#program.start();
  }

  /** SIGKILL, SIGTERM, or SIGUSR2: it sends its clients away first, and ends then. */
  async end(signal: NodeJS.Signals): Promise<void> {
    await this.#program.end(signal);
  }

  /** SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#program.signal(signal);
  }

  /** Whether it is up and JetStream is. */
  async answers(): Promise<boolean> {
    return (await this.#ask('/healthz')) !== null;
  }

  /** Who leads all of them, as far as this one knows; `null`: it does not know, or does not answer. */
  async metaLeader(): Promise<string | null> {
    const jsz = await this.#ask<Jsz>('/jsz');
    return jsz?.meta_cluster?.leader || null;
  }

  async replica(stream: string): Promise<Replica | null> {
    const found = (await this.#streams()).find(({ name }) => name === stream);
    if (found === undefined) return null;
    const { state, cluster } = found;
    return {
      server: this.name,
      leader: cluster?.leader ?? this.name,
      messages: state?.messages ?? NaN,
      firstSeq: state?.first_seq ?? NaN,
      lastSeq: state?.last_seq ?? NaN,
      others: (cluster?.replicas ?? []).map(({ name, current, lag = 0 }) => ({ name, current, lag })),
    };
  }

  async streams(): Promise<readonly string[]> {
    return (await this.#streams()).map(({ name }) => name);
  }

  async #streams(): Promise<readonly StreamDetail[]> {
    const jsz = await this.#ask<Jsz>('/jsz?streams=true&accounts=true');
    return (jsz?.account_details ?? []).flatMap(({ stream_detail }) => stream_detail ?? []);
  }

  /** `null`: it does not answer, or not with 200. */
  async #ask<T>(path: string): Promise<T | null> {
    if (!this.isRunning) return null;
    try {
      const answer = await fetch(this.#monitorUrl + path, { signal: AbortSignal.timeout(1000) });
      const body = (await answer.json()) as T;
      return answer.ok ? body : null;
    } catch {
      return null;
    }
  }
}

interface Configuration {
  readonly name: string;
  readonly dir: string;
  readonly ports: Ports;
  readonly routes: readonly string[];
  readonly host: string;
  readonly hasDetours: boolean;
}

function configuration({ name, dir, ports, routes, host, hasDetours }: Configuration): string {
  const urls = routes.map((route) => `"nats://${route}"`).join(', ');
  const advertise = hasDetours ? `, advertise: "${NOWHERE}", no_advertise: true` : '';
  const cluster = `cluster { name: test, listen: "${host}:${ports.route}", routes: [${urls}]${advertise} }`;
  return `server_name: ${name}
listen: "${host}:${ports.client}"
http: "${host}:${ports.monitor}"
lame_duck_duration: "30s"
lame_duck_grace_period: "1s"
jetstream { store_dir: ${JSON.stringify(join(dir, 'store'))}, max_file_store: 4GB, max_memory_store: 64MB, sync_interval: always }
${routes.length === 0 ? '' : cluster}
`;
}

function natsBinary(): string | null {
  const given = process.env['NATS_SERVER'];
  if (given !== undefined && given !== '') return existsSync(given) ? given : null;
  return onPath(NAME);
}
