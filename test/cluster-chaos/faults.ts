import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../simulation/random.js';
import { until } from '../helpers/wait-for.js';
import type { NatsServer } from '../helpers/nats-cluster.js';
import type { Fleet } from './fleet.js';
import type { Instance } from './instance.js';

/** Does one thing to the fleet. What it leaves broken is healed after it. Returns what it did, for the report. */
type Fault = (fleet: Fleet, random: Random) => Promise<string>;

type Process = NatsServer | Instance;

/** How long something is down, in milliseconds. */
const DOWN_MS = [300, 8000] as const;
/** How long something is stopped or cut off: sometimes longer than an election and than `--ack-timeout`. */
const AWAY_MS = [1000, 15_000] as const;
/** How long delivery falls behind. */
const BEHIND_MS = 3000;
const FULL_MS_MAX = 60_000;
const ENDS_MS_MAX = 60_000;

async function kill(processes: readonly Process[], random: Random): Promise<string> {
  const downMs = Math.round(random.spread(...DOWN_MS));
  await Promise.all(processes.map(async (each) => each.end('SIGKILL')));
  await sleep(downMs);
  return `${names(processes)} for ${downMs} ms`;
}

async function stop(processes: readonly Process[], random: Random): Promise<string> {
  const awayMs = Math.round(random.spread(...AWAY_MS));
  for (const each of processes) each.signal('SIGSTOP');
  await sleep(awayMs);
  return `${names(processes)} for ${awayMs} ms`;
}

/** A server from the others; half of the time from the instances, too. */
async function cutServer(fleet: Fleet, server: NatsServer, random: Random): Promise<string> {
  const [awayMs, isFromAll] = [Math.round(random.spread(...AWAY_MS)), random.chance(0.5)];
  fleet.cluster.isolate(server);
  if (isFromAll) for (const { name } of fleet.instances) fleet.network.cut(server.name, name);
  await sleep(awayMs);
  return `${server.name} from the other servers${isFromAll ? ' and all instances' : ''} for ${awayMs} ms`;
}

async function sinkFor(fleet: Fleet, random: Random, mood: 'slow' | 'failing' | 'frozen'): Promise<string> {
  const awayMs = Math.round(random.spread(...AWAY_MS));
  fleet.sink.mood = mood;
  await sleep(awayMs);
  return `for ${awayMs} ms`;
}

async function roll(
  fleet: Fleet,
  processes: readonly Process[],
  signals: readonly NodeJS.Signals[],
  random: Random,
) {
  const signal = random.pick(signals);
  for (const each of random.shuffled(processes)) {
    const isLate = sleep(ENDS_MS_MAX, 'late', { ref: false });
    if ((await Promise.race([each.end(signal), isLate])) === 'late')
      throw new Error(`${each.name} does not end within ${ENDS_MS_MAX} ms of a ${signal}`);
    await sleep(random.spread(...DOWN_MS) / 4);
    each.start();
    await fleet.caughtUp();
    await until(async () => areReady(fleet), 'each instance is ready', ENDS_MS_MAX);
  }
  return `${names(processes)}, one after the other, by ${signal}`;
}

async function areReady(fleet: Fleet): Promise<boolean> {
  await sleep(100);
  return (await Promise.all(fleet.instances.map(async (instance) => instance.isReady()))).every(Boolean);
}

/** By name, each kind of fault. */
export const FAULTS = {
  'kill-leader': async (fleet, random) => kill([await fleet.leader()], random),
  'kill-follower': async (fleet, random) => kill([random.pick(await fleet.followers())], random),
  'kill-followers': async (fleet, random) => kill(await fleet.followers(), random),
  'kill-instance': async (fleet, random) => kill([random.pick(fleet.instances)], random),
  'kill-sink': async (fleet, random) => {
    const downMs = Math.round(random.spread(...DOWN_MS));
    await fleet.sink.kill();
    await sleep(downMs);
    return `for ${downMs} ms`;
  },
  'kill-all': async (fleet, random) => kill([...fleet.cluster.servers, ...fleet.instances], random),
  // while much is handed out and not confirmed; the servers have forgotten to whom
  'kill-servers-behind': async (fleet, random) => {
    const { servers } = fleet.cluster;
    fleet.sink.mood = 'slow';
    await sleep(BEHIND_MS);
    const what = await kill(servers, random);
    for (const server of servers) server.start();
    await fleet.caughtUp();
    await sleep(BEHIND_MS);
    return `behind a slow sink: ${what}`;
  },
  'stop-leader': async (fleet, random) => stop([await fleet.leader()], random),
  'stop-follower': async (fleet, random) => stop([random.pick(await fleet.followers())], random),
  'stop-followers': async (fleet, random) => stop(await fleet.followers(), random),
  'stop-instance': async (fleet, random) => stop([random.pick(fleet.instances)], random),
  'stop-sink': async (fleet, random) => sinkFor(fleet, random, 'frozen'),
  'slow-sink': async (fleet, random) => sinkFor(fleet, random, 'slow'),
  'failing-sink': async (fleet, random) => sinkFor(fleet, random, 'failing'),
  'cut-leader': async (fleet, random) => cutServer(fleet, await fleet.leader(), random),
  'cut-follower': async (fleet, random) => cutServer(fleet, random.pick(await fleet.followers()), random),
  'cut-instance': async (fleet, random) => {
    const [instance, awayMs] = [random.pick(fleet.instances), Math.round(random.spread(...AWAY_MS))];
    for (const { name } of fleet.cluster.servers) fleet.network.cut(instance.name, name);
    await sleep(awayMs);
    return `${instance.name} from all servers for ${awayMs} ms`;
  },
  'roll-servers': async (fleet, random) => roll(fleet, fleet.cluster.servers, ['SIGTERM', 'SIGUSR2'], random),
  'roll-instances': async (fleet, random) => roll(fleet, fleet.instances, ['SIGTERM'], random),
  'full-stream': async (fleet) => {
    await fleet.sink.kill();
    await until(
      () => fleet.ledger.isFull,
      'clients are refused with 429 while the sink is down',
      FULL_MS_MAX,
    );
    await sleep(DOWN_MS[0]);
    return 'the sink was down until clients got 429';
  },
} as const satisfies Readonly<Record<string, Fault>>;

export type FaultName = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as readonly FaultName[];
/** Those that keep the order: a batch that the sink fails at lets others go first, as docs/durability.md says. */
export const ORDERED_FAULT_NAMES = FAULT_NAMES.filter(
  (name) => !['failing-sink', 'stop-sink'].includes(name),
);

export function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(FAULTS, name);
}

/** Each kind once before one comes again, in an order that follows from the seed. */
export function* drawn(random: Random, from: readonly FaultName[]): Generator<FaultName, never> {
  for (;;) yield* random.shuffled(from);
}

function names(processes: readonly Process[]): string {
  return processes.map(({ name }) => name).join(' ');
}
