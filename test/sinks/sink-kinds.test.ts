/** What each kind of sink in the registry holds to, and what a new one needs. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import type { Batch } from '../../lib/seams/batch.js';
import { SERVER_SETTINGS } from '../../lib/cli/server-settings.js';
import { createForebay } from '../../lib/forebay.js';
import { silentLogger } from '../../lib/base/reporter.js';
import { optional, text } from '../../lib/settings/checks.js';
import { helpText, readOptions } from '../../lib/settings/option-table.js';
import type { Option, OptionTable, Values } from '../../lib/settings/option-table.js';
import { SINK_KINDS, sinkOption } from '../../lib/sinks/registry.js';
import { checkSinkSettings, kindNamed } from '../../lib/seams/sink-kind.js';
import type { Door, SinkKind } from '../../lib/seams/sink-kind.js';
import type { Sink, SinkDescription } from '../../lib/seams/sink.js';
import { settingsOf } from '../helpers/open-sink.js';
import { sinkContract } from '../helpers/sink-contract.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

type Kind = (typeof SINK_KINDS)[number];

const optionsOf = ({ settings, shared }: Kind): [string, Option<unknown>][] =>
  Object.entries({ ...settings, ...shared });

const namesWith = (key: string): string[] =>
  SINK_KINDS.filter((kind) => optionsOf(kind).some(([each]) => each === key)).map(({ name }) => name);

void t.test('each setting of a kind is one of the server, and says whose it is', (t) => {
  const server = new Map<string, Option<unknown>>(Object.entries(SERVER_SETTINGS));
  for (const kind of SINK_KINDS) {
    t.match(kind.name, /^[a-z\d-]+$/);
    for (const key of Object.keys(kind.settings)) t.same(namesWith(key), [kind.name], `${key} is its own`);
    for (const [key, option] of optionsOf(kind)) {
      t.equal(server.get(key), option, key);
      t.match(option.flag, /^sink-/);
      t.ok(option.help.startsWith(`${namesWith(key).join(', ')}: `), `${option.flag}: ${option.help}`);
    }
  }
  const flags = [...server.values()].map(({ flag }) => flag);
  t.equal(new Set(flags).size, flags.length, 'no two settings have the same flag');
  t.end();
});

/** A value of each setting that is not on or off, other than the one it has at first. */
const EXAMPLES: Readonly<Record<string, string>> = {
  'sink-file': 'out.jsonl',
  'sink-url': 'http://api.example/',
  'sink-header': 'X-Api: 1',
  'sink-headers-file': 'headers',
  'sink-refuses': '404',
  'sink-postgres-url': 'postgres://host/database',
  'sink-table': 'others',
  'sink-replay-column': 'replayed',
  'sink-ca': 'ca.pem',
  'sink-latency': '7',
  'sink-failure-rate': '0.5',
  'sink-format': 'array',
  'sink-timeout': '1s',
};

void t.test('a kind misses what it needs, and what goes with it goes with no other', (t) => {
  for (const kind of SINK_KINDS) {
    const needed = optionsOf(kind).find(([key]) => key === kind.needs)?.[1];
    t.equal(needed === undefined, kind.needs === undefined, 'what it needs is a setting of it');
    if (needed === undefined) t.doesNotThrow(() => settingsOf(['--sink', kind.name]));
    else {
      const message = `--sink ${kind.name} needs --${needed.flag} ${needed.unit}`;
      t.throws(() => settingsOf(['--sink', kind.name]), { code: 'SETTING_INVALID', message });
    }
    const ignorable: readonly string[] = kind.ignorable ?? [];
    for (const [key, { flag, initial }] of optionsOf(kind).filter(([each]) => !ignorable.includes(each))) {
      const names = namesWith(key);
      const other = SINK_KINDS.find(({ name, needs }) => needs === undefined && !names.includes(name));
      const value = initial === false ? 'true' : EXAMPLES[flag];
      if (value === undefined) t.fail(`${flag} needs an example in this test`);
      // a relation of the kind itself may be first: it is checked whichever kind is chosen
      const message = new RegExp(`^--${flag} (?:goes with --sink ${names.join(' or ')}$|needs --)`);
      const flags = ['--sink', other?.name ?? '', `--${flag}=${value}`];
      t.throws(() => settingsOf(flags), { code: 'SETTING_INVALID', message }, flags.join(' '));
    }
  }
  t.end();
});

void t.test('few settings may be given with any sink', (t) => {
  const ignorable = SINK_KINDS.flatMap((kind) =>
    optionsOf(kind).filter(([key]) => kind.ignorable?.some((each) => each === key)),
  );
  const flags = new Set(ignorable.map(([, { flag }]) => flag));
  t.same([...flags], ['sink-latency', 'sink-failure-rate', 'sink-format', 'sink-timeout']);
  for (const [key, { flag, initial }] of ignorable) {
    const settings = settingsOf(['--sink', 'stdout', `--${flag}=${EXAMPLES[flag]}`]);
    t.not(Object.entries(settings).find(([each]) => each === key)?.[1], initial, flag);
  }
  t.end();
});

void t.test('the registry loads no sink, and no package for one', (t) => {
  const seen = new Set<string>();
  const follow = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const code = readFileSync(path, 'utf8');
    for (const [, name = ''] of code.matchAll(/^(?:import|export) (?!type\b)[^;]*?from '([^']+)';$/gm)) {
      if (name.startsWith('.')) follow(join(dirname(path), name.replace(/\.js$/, '.ts')));
      else t.match(name, /^node:/, `${path}: ${name}`);
    }
  };
  follow('lib/sinks/registry.ts');
  for (const { name } of SINK_KINDS) {
    t.ok(seen.has(`lib/sinks/${name}/${name}-kind.ts`), `${name} has a folder of its own`);
    t.notOk(seen.has(`lib/sinks/${name}/${name}-sink.ts`), `the sink ${name} is loaded when it is chosen`);
  }
  t.end();
});

const MEMORY_SETTINGS = {
  sinkMemoryName: {
    flag: 'sink-memory-name',
    initial: null,
    unit: 'NAME',
    help: 'memory: what it is called',
    check: optional(text),
  },
} as const satisfies OptionTable;

class MemorySink implements Sink {
  readonly description: SinkDescription;
  readonly lines: string[] = [];

  constructor(target: string) {
    this.description = { kind: 'memory', target };
  }

  async deliver({ bytes }: Batch, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.lines.push(...bytes.toString().split('\n').slice(0, -1));
  }
}

/** Doors that a check has been given. */
const checked: (readonly Door[])[] = [];

/** A kind that the product does not know. */
const memoryKind = {
  name: 'memory',
  settings: MEMORY_SETTINGS,
  needs: 'sinkMemoryName',
  check: (_values, doors) => {
    checked.push(doors);
  },
  open: async ({ sinkMemoryName }, { connections }) => new MemorySink(`${sinkMemoryName} ${connections}`),
} as const satisfies SinkKind<Values<typeof MEMORY_SETTINGS>>;

const TABLE = {
  ...SERVER_SETTINGS,
  ...MEMORY_SETTINGS,
  sink: sinkOption([...SINK_KINDS, memoryKind]),
};
const KINDS: readonly SinkKind<Values<typeof TABLE>>[] = [...SINK_KINDS, memoryKind];
const DOORS = [{ host: 'localhost', port: 1, isTls: false }];

/** The values that a server with one more kind in its registry has. */
function valuesOf(flags: readonly string[]): Values<typeof TABLE> {
  const values = readOptions(TABLE, flags);
  checkSinkSettings(KINDS, values, DOORS);
  return values;
}

const MEMORY_FLAGS = ['--sink', 'memory', '--sink-memory-name', 'here', '--sink-concurrency', '3'];

async function openMemory(): Promise<MemorySink> {
  const values = valuesOf(MEMORY_FLAGS);
  const context = { connections: values.sinkConcurrency, logger: silentLogger };
  const sink = await kindNamed(KINDS, values.sink).open(values, context);
  if (!(sink instanceof MemorySink)) throw new Error('it is another sink');
  return sink;
}

void t.test('a new kind is chosen by flag, checked like any other, and gets events', async (t) => {
  t.match(helpText(TABLE, false), /--sink simulated\|file\|stdout\|http\|postgres\|memory /);
  t.match(helpText(TABLE, false), /--sink-memory-name NAME /);
  t.throws(() => valuesOf(['--sink', 'memory']), { message: '--sink memory needs --sink-memory-name NAME' });
  t.throws(() => valuesOf(['--sink-memory-name', 'x']), {
    message: '--sink-memory-name goes with --sink memory',
  });
  t.throws(() => valuesOf([...MEMORY_FLAGS, '--sink-url', 'http://x']), {
    message: '--sink-url goes with --sink http',
  });
  checked.length = 0;
  valuesOf(MEMORY_FLAGS);
  valuesOf([]);
  t.same(checked, [DOORS, []], 'its check runs, chosen or not');
  const sink = await openMemory();
  const forebay = createForebay({ sink, logDir: tempDir(t), batchWaitMs: 1 });
  t.teardown(() => forebay.stop(0));
  await forebay.start();
  t.match(forebay.sink, { kind: 'memory', target: 'here 3' });
  await forebay.write({ id: 'a', type: 't', data: 1 });
  await until(() => forebay.counts().delivered === 1, 'it is delivered');
  t.match(sink.lines, [/"id":"a"/]);
});

void t.test('a server without it does not know it', (t) => {
  t.throws(() => settingsOf(['--sink', 'memory']), {
    code: 'SETTING_INVALID',
    message: /^--sink must be one of/,
  });
  t.throws(() => kindNamed(SINK_KINDS, 'memory'), {
    code: 'SETTING_INVALID',
    message: 'Unknown sink memory',
  });
  t.end();
});

sinkContract('a new kind', async () => {
  const sink = await openMemory();
  const cannot = { cannot: 'an array takes everything' };
  return {
    sink,
    kept: async () => sink.lines,
    keepsText: { can: true },
    traces: { cannot: 'this one does not look at contexts' },
    confirm: () => undefined,
    fail: cannot,
    refuseAll: cannot,
    refuse: cannot,
    hang: cannot,
    answerNothing: cannot,
    vanish: cannot,
  };
});
