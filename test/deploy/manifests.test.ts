import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import { checkRelations, SERVER_SETTINGS } from '../../lib/cli/server-settings.js';
import { readOptions } from '../../lib/settings/option-table.js';
import { readDockerfile } from './dockerfile.js';

const MANIFESTS = 'deploy/kubernetes';
const USER = '10001';

interface Service {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>> | readonly string[];
  readonly networks?: { readonly default: { readonly ipv4_address: string } };
  readonly stop_grace_period?: string;
  readonly read_only?: boolean;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
  readonly failureThreshold: number;
}

interface PodContainer {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env: readonly { readonly name: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly securityContext: Readonly<Record<string, unknown>>;
}

interface Pod {
  readonly terminationGracePeriodSeconds: number;
  readonly enableServiceLinks: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly containers: readonly [PodContainer];
  readonly volumes?: readonly { readonly name: string }[];
}

interface Labels {
  readonly matchLabels: Readonly<Record<string, string>>;
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec: {
    readonly selector: Labels;
    readonly serviceName?: string;
    readonly replicas: number;
    readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort: string }[];
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: Pod;
    };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
  };
}

/** Strict: a key that is there twice, or an anchor that is not, is an error. */
function documents(path: string): Manifest[] {
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    if (document.errors.length + document.warnings.length > 0)
      throw new Error(`${path}: ${String(document.errors[0])}`);
    return document.toJS() as Manifest;
  });
}

const compose = parse(readFileSync('compose.yaml', 'utf8'), { merge: true }) as Compose;
const files = readdirSync(MANIFESTS).map((name) => ({ name, manifests: documents(join(MANIFESTS, name)) }));
const instances = Object.entries(compose.services).filter(([, { image }]) => image === 'forebay');
const workloads = files.flatMap(({ name, manifests }) =>
  manifests
    .filter(({ kind }) => ['Deployment', 'Job', 'StatefulSet'].includes(kind))
    .map((each) => ({ name, ...each })),
);
const ofForebay = workloads.filter(({ spec }) => spec.template.spec.containers[0].name === 'forebay');
/** Those that serve, and not only deliver what is left. */
const pods = ofForebay.filter(({ kind }) => kind !== 'Job');
const imageEnv = Object.fromEntries(
  (readDockerfile(readFileSync('Dockerfile', 'utf8')).at(-1)?.steps ?? [])
    .filter(({ name }) => name === 'ENV')
    .flatMap(({ words }) => words.map((word) => word.split('=') as [string, string])),
);

/** Each command line of a server that is anywhere in a file that deploys it, with its variables. */
const commandLines = [
  ...instances.map(([name, { command = [], environment = {} }]) => ({
    name: `compose.yaml: ${name}`,
    words: command,
    env: environment,
  })),
  ...ofForebay.map(({ name, spec }) => ({
    name,
    words: spec.template.spec.containers[0].args ?? [],
    env: Object.fromEntries(
      spec.template.spec.containers[0].env.map((each) => [each.name, 'postgres://user@host/database']),
    ),
  })),
];

void t.test(
  'the server understands each command line and variable of compose.yaml and the manifests',
  (t) => {
    t.equal(instances.length, 3);
    t.equal(ofForebay.length, 3);
    for (const { name, words, env } of commandLines) {
      t.ok(words.length > 2, name);
      const read = () => {
        checkRelations(readOptions(SERVER_SETTINGS, words, { ...imageEnv, ...env }));
      };
      t.doesNotThrow(read, name);
    }
    t.end();
  },
);

void t.test('docs/deploying.md names no flag of the server that there is not', (t) => {
  const text = readFileSync('docs/deploying.md', 'utf8');
  /** Of docker, kubectl, Node.js and `npm run image`. */
  const others =
    'build cap-drop for from-file from-literal init max-old-space-size mutants read-only replicas rm ' +
    'security-opt stop-timeout timeout';
  const flags = new Set([...text.matchAll(/(?<![\w-])--([a-z][a-z-]+)/g)].map(([, flag = '']) => flag));
  const known = Object.values(SERVER_SETTINGS).map(({ flag }) => flag);
  t.ok(flags.size > 5);
  t.same(
    [...flags].filter((flag) => !known.some((each) => each === flag) && !others.split(' ').includes(flag)),
    [],
  );
  t.end();
});

/** Milliseconds that a stop may take, by the flags of a command line, which name seconds: `--drain-wait=5s`. */
function stopMs(words: readonly string[]): number {
  const given = (flag: string, initial: number): number => {
    const word = words.find((each) => each.startsWith(`--${flag}=`));
    const [, seconds] = /=(\d+)s$/.exec(word ?? '') ?? [];
    if (word !== undefined && seconds === undefined) throw new Error(`${word} is in no seconds`);
    return seconds === undefined ? initial : Number(seconds) * 1000;
  };
  return given('drain-wait', 0) + given('shutdown-timeout', SERVER_SETTINGS.shutdownTimeoutMs.initial);
}

void t.test('a stop has more time than it may take, and is seen in less than it waits', (t) => {
  const proxy = readFileSync('deploy/haproxy.cfg', 'utf8');
  const [, everySeconds, times] = /inter (\d+)s fall (\d+)/.exec(proxy) ?? [];
  for (const [name, { command = [], stop_grace_period: grace = '' }] of instances) {
    t.ok(Number.parseInt(grace, 10) * 1000 > stopMs(command) + 5000, name);
    t.ok(Number(everySeconds) * Number(times) * 1000 < stopMs(command) - stopMs([]), `${name}: the proxy`);
  }
  for (const { name, spec } of pods) {
    const { terminationGracePeriodSeconds: grace, containers } = spec.template.spec;
    const [{ args = [], readinessProbe: ready }] = containers;
    t.ok(grace * 1000 > stopMs(args) + 5000, name);
    t.ok(
      ready.periodSeconds * ready.failureThreshold * 1000 < stopMs(args) - stopMs([]),
      `${name}: the probe`,
    );
  }
  t.end();
});

void t.test('probes ask operators for what does not end a server that is full, replays or stops', (t) => {
  for (const { name, spec } of pods) {
    const [{ startupProbe, livenessProbe, readinessProbe, ports }] = spec.template.spec.containers;
    for (const [probe, path] of [
      [startupProbe, '/health'],
      [livenessProbe, '/health'],
      [readinessProbe, '/ready'],
    ] as const)
      t.same(probe.httpGet, { path, port: 'operators' }, name);
    const at = Object.fromEntries(ports.map((each) => [each.name, String(each.containerPort)]));
    t.equal(at['operators'], imageEnv['FOREBAY_ADMIN_PORT']);
    t.equal(at['events'], String(SERVER_SETTINGS.port.initial));
    t.ok(livenessProbe.periodSeconds * livenessProbe.failureThreshold >= 60, 'a minute at least');
  }
  t.end();
});

void t.test('everything runs as a user without rights, on a root for reading', (t) => {
  for (const { name, spec } of workloads) {
    const { securityContext, containers } = spec.template.spec;
    t.match(securityContext, { runAsNonRoot: true, runAsUser: Number(USER), fsGroup: Number(USER) }, name);
    t.match(containers[0].securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  }
  for (const [name, each] of instances) t.equal(each.read_only, true, name);
  t.end();
});

void t.test('no pod gets variables of a service, which would be unknown settings', (t) => {
  for (const { name, spec } of ofForebay) t.equal(spec.template.spec.enableServiceLinks, false, name);
  t.end();
});

void t.test('names within a manifest lead somewhere', (t) => {
  for (const { name, manifests } of files) {
    const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    t.equal(new Set(names).size, names.length, `${name}: each name once`);
    const [workload] = manifests.filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind));
    if (workload === undefined) continue;
    const { template, serviceName, selector, volumeClaimTemplates = [] } = workload.spec;
    const { labels } = template.metadata;
    t.same(selector.matchLabels, labels, name);
    if (serviceName !== undefined) t.ok(names.includes(`Service ${serviceName}`), `${name}: ${serviceName}`);
    const ports = template.spec.containers[0].ports.map((each) => each.name);
    for (const { spec, metadata } of manifests.filter(({ kind }) => kind === 'Service')) {
      t.same(spec.selector, labels, `${name}: ${metadata.name}`);
      for (const { targetPort } of spec.ports) t.ok(ports.includes(targetPort), `${name}: ${targetPort}`);
    }
    for (const { spec } of manifests.filter(({ kind }) => kind === 'PodDisruptionBudget'))
      t.same(spec.selector.matchLabels, labels, name);
    const volumes = [
      ...(template.spec.volumes ?? []).map((each) => each.name),
      ...volumeClaimTemplates.map(({ metadata }) => metadata.name),
    ];
    const mounted = template.spec.containers[0].volumeMounts.map((each) => each.name);
    t.same(mounted.toSorted(), volumes.toSorted(), `${name}: volumes`);
  }
  t.end();
});

void t.test('names within compose.yaml lead somewhere', (t) => {
  const services = Object.keys(compose.services);
  const used = new Set<string>();
  for (const [name, { volumes = [], depends_on: before = [] }] of Object.entries(compose.services)) {
    for (const other of Array.isArray(before) ? before : Object.keys(before))
      t.ok(services.includes(String(other)), `${name} waits for ${String(other)}`);
    for (const [source = '', target] of volumes.map((each) => each.split(':'))) {
      t.ok(target, name);
      if (source.startsWith('./')) t.ok(existsSync(source), `${name}: ${source}`);
      else used.add(source);
    }
  }
  t.same([...used].toSorted(), Object.keys(compose.volumes).toSorted());
  const hosts = [
    ...commandLines
      .filter(({ name }) => name.startsWith('compose'))
      .flatMap(({ words }) => hostsIn(words.join(' '))),
    ...hostsIn(readFileSync('deploy/nats.conf', 'utf8')),
    ...[...readFileSync('deploy/haproxy.cfg', 'utf8').matchAll(/^ +server \S+ ([^:]+):/gm)].map(
      ([, host]) => host,
    ),
  ];
  t.ok(hosts.length > 15);
  t.same(
    hosts.filter((host) => !services.includes(String(host))),
    [],
  );
  t.end();
});

void t.test('what a pod left is delivered to the sink of the pods, from a disk of theirs', (t) => {
  const of = (kind: string) => ofForebay.find((each) => each.kind === kind) ?? missing(kind);
  const [job, set] = [of('Job'), of('StatefulSet')];
  const sinks = [job, set].map(({ spec }) => {
    const { args = [], env } = spec.template.spec.containers[0];
    return [...args.filter((word) => word.startsWith('--sink')), ...env];
  });
  t.ok((sinks[0]?.length ?? 0) > 1);
  t.same(sinks[0], sinks[1]);
  const [claim] = set.spec.volumeClaimTemplates ?? [];
  const text = readFileSync(join(MANIFESTS, job.name), 'utf8');
  t.match(text, new RegExp(`claimName: ${claim?.metadata.name}-${set.metadata.name}-\\d`));
  t.end();
});

void t.test('the instances believe the proxy, and nobody else', (t) => {
  const proxy = compose.services['proxy']?.networks?.default.ipv4_address;
  t.ok(proxy);
  for (const [name, { command = [] }] of instances)
    t.ok(command.includes(`--trusted-proxies=${proxy}`), name);
  t.end();
});

void t.test('each server of the log flushes before it answers, and is on a machine of its own', (t) => {
  const inPods = files.flatMap(({ manifests }) => manifests).find(({ kind }) => kind === 'ConfigMap');
  for (const text of [readFileSync('deploy/nats.conf', 'utf8'), inPods?.data?.['nats.conf'] ?? '']) {
    t.match(text, /^ *sync_interval: always$/m);
    t.match(text, /^ *store_dir: \/data$/m);
  }
  const servers = workloads.find(({ metadata }) => metadata.name === 'nats') ?? missing('nats');
  t.equal(servers.spec.replicas, 3);
  const required = {
    requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'kubernetes.io/hostname' }],
  };
  t.match(servers.spec.template.spec, { affinity: { podAntiAffinity: required } });
  checkHosts(t, servers.metadata.name);
  t.end();
});

/** The instances in pods ask for the servers by the names of their pods. */
function checkHosts(t: Test, name: string): void {
  const hosts = pods.flatMap(({ spec }) => hostsIn((spec.template.spec.containers[0].args ?? []).join(' ')));
  t.same(new Set(hosts), new Set([0, 1, 2].map((number) => `${name}-${number}.${name}`)));
}

function hostsIn(text: string): string[] {
  return [...text.matchAll(/(?:nats|http):\/\/([\w.-]+):\d+/g)].map(([, host = '']) => host);
}

function missing(what: string): never {
  throw new Error(`there is no ${what}`);
}
