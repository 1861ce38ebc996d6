import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { ERRORS } from '../lib/base/errors.js';
import { SERVER_SETTINGS } from '../lib/cli/server-settings.js';
import { PRODUCER_SETTINGS } from '../tools/producer/producer-settings.js';
import { MUTANTS } from './simulation/mutants/mutants.js';
import { SOURCES } from '../lib/sources/registry.js';

/** What a room of `lib/` or `tools/` may import from, besides itself and Node.js. One way only: see docs/architecture.md. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  event: ['base'],
  settings: ['base'],
  client: [],
  seams: ['base', 'event', 'settings'],
  'logs/file': ['base', 'event', 'seams'],
  'logs/jetstream': ['base', 'event', 'logs/file', 'seams', 'settings'],
  delivery: ['base', 'seams'],
  intake: ['base', 'event', 'seams'],
  core: ['base', 'delivery', 'event', 'intake', 'seams'],
  sources: ['base', 'event', 'seams'],
  'sources/cloudevents': ['base', 'event', 'seams', 'settings', 'sources'],
  'sources/events': ['base', 'event', 'seams', 'settings', 'sources', 'sources/cloudevents'],
  'sources/signature': ['base', 'seams', 'settings'],
  'sources/webhook': ['base', 'event', 'seams', 'settings', 'sources', 'sources/signature'],
  'sources/registry.ts': ['seams', 'settings', 'sources/cloudevents', 'sources/events', 'sources/webhook'],
  sinks: ['base', 'settings'],
  'sinks/file': ['base', 'logs/file', 'seams', 'settings', 'sinks'],
  'sinks/http': ['base', 'seams', 'settings', 'sinks'],
  'sinks/postgres': ['base', 'seams', 'settings', 'sinks'],
  'sinks/simulated': ['seams', 'settings'],
  'sinks/stdout': ['base', 'seams', 'sinks'],
  'sinks/registry.ts': [
    'seams',
    'settings',
    'sinks',
    'sinks/file',
    'sinks/http',
    'sinks/postgres',
    'sinks/simulated',
    'sinks/stdout',
  ],
  'replay.ts': ['base', 'core', 'delivery', 'seams'],
  'event-counts.ts': [],
  'statistics.ts': ['base', 'core', 'delivery', 'event-counts.ts', 'seams'],
  'open-log.ts': ['base', 'logs/file', 'logs/jetstream', 'seams', 'settings'],
  'pipelines.ts': ['base', 'core', 'delivery', 'intake', 'seams', 'settings'],
  'ending.ts': ['intake', 'pipelines.ts'],
  'pausing.ts': ['base', 'delivery', 'seams'],
  'forebay-options.ts': ['base', 'logs/file', 'open-log.ts', 'seams', 'settings'],
  'forebay.ts': [
    'base',
    'core',
    'delivery',
    'ending.ts',
    'event',
    'event-counts.ts',
    'forebay-options.ts',
    'intake',
    'open-log.ts',
    'pausing.ts',
    'pipelines.ts',
    'replay.ts',
    'seams',
    'settings',
    'statistics.ts',
  ],
  keys: ['base', 'event', 'seams', 'settings'],
  traces: ['base', 'event', 'seams', 'settings'],
  door: ['base', 'event', 'forebay.ts', 'keys', 'seams', 'settings', 'sources', 'sources/registry.ts'],
  'observe/metrics': ['base', 'door', 'forebay.ts', 'keys', 'seams', 'statistics.ts'],
  'observe/page': ['base', 'door', 'event-counts.ts', 'forebay.ts', 'logs/file', 'seams', 'statistics.ts'],
  'observe/together': [
    'base',
    'door',
    'event-counts.ts',
    'forebay.ts',
    'logs/file',
    'observe/metrics',
    'observe/page',
    'seams',
    'statistics.ts',
  ],
  observe: ['base', 'door', 'forebay.ts', 'observe/metrics', 'observe/page', 'observe/together'],
  'index.ts': [
    'base',
    'delivery',
    'door',
    'event',
    'event-counts.ts',
    'forebay.ts',
    'keys',
    'observe',
    'seams',
    'statistics.ts',
    'sinks/file',
    'sinks/http',
    'sinks/postgres',
    'sinks/simulated',
  ],
  cli: [
    'base',
    'door',
    'event-counts.ts',
    'forebay.ts',
    'keys',
    'observe',
    'observe/metrics',
    'observe/page',
    'observe/together',
    'open-log.ts',
    'pausing.ts',
    'seams',
    'settings',
    'sinks/registry.ts',
    'sources/registry.ts',
    'traces',
  ],
  'tools/producer': ['base', 'settings'],
  // replay delivers to a sink without a server
  'tools/log': [
    'base',
    'event',
    'forebay.ts',
    'logs/file',
    'logs/jetstream',
    'seams',
    'settings',
    'sinks/registry.ts',
  ],
  'tools/control': ['base', 'logs/file', 'settings', 'tools/log'],
  'tools/keys': ['base', 'keys', 'logs/file', 'seams', 'settings', 'tools/log'],
  'tools/dead-letters': ['base', 'logs/file', 'logs/jetstream', 'seams', 'settings', 'tools/log'],
};
/** Who may open files: the log, the sinks that are files, what reads flags and writes results, and the page its own. */
const MAY_USE_FILES = [
  'logs/file',
  'sinks',
  'sinks/file',
  'sinks/stdout',
  'settings',
  'tools/producer',
  'tools/log',
  'tools/keys',
  'cli',
  'observe/page',
];

const DOCUMENTS = [
  'README.md',
  'CHANGELOG.md',
  'SECURITY.md',
  'bench/README.md',
  'lib/core/README.md',
  ...markdown('docs'),
  ...markdown('examples'),
];

/** Words that exact English has no need for, and what it says instead. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/\bso (?:many|much|long)\b/i, '"at most", "at least", "how long"'],
  [/\bany ?more\b/i, '"no longer"'],
  [/\banew\b/i, '"again"'],
  [/\bstands\b/i, '"is"'],
  [/\btold\b/i, '"reported"'],
  [/\bg(?:ives?|ave|iven) back\b/i, '"returns"'],
  [/\bof (?:one's|your) own\b/i, '"custom", "your own"'],
  [/\b(?:the|its|their) begin\b/i, '"the start"'],
  [/\bwhere (?:there (?:is|are)|none|nothing|it is missing)\b/i, '"if"'],
  [/(?:^|[.:;] )Where [^.|]*, /, '"if"'],
  [/\bbehind (?:it|its|the (?:level|name|batch|file|event|answer|others?)|a line feed)\b/i, '"after"'],
];

const files = ['lib', 'tools'].flatMap((top) =>
  readdirSync(top, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .map((name) => join(top, name))
    .map((path) => ({ path, text: readFileSync(path, 'utf8') })),
);
/** A folder, or a file beside them. Each sink, log and tool is a room, and a registry is no part of what they share. */
const room = (path: string): string => {
  const [top = '', ...parts] = path.split('/');
  if (top === 'tools') return `tools/${parts[0]}`;
  const [first = path, second = ''] = parts;
  const isRoom =
    ['logs', 'observe', 'sinks', 'sources'].includes(first) && (parts.length > 2 || second === 'registry.ts');
  return isRoom ? `${first}/${second}` : first;
};
const imports = (text: string): string[] =>
  [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map((match) => match[1] ?? '');

void t.test('imports go one way', (t) => {
  t.ok(files.length > 20);
  for (const { path, text } of files) {
    const allowed = MAY_IMPORT[room(path)];
    t.ok(allowed, `${path} belongs to a room that this test knows`);
    for (const name of imports(text).filter((each) => each.startsWith('.'))) {
      const target = room(join(dirname(path), name).replace(/\.js$/, '.ts'));
      t.ok(target === room(path) || allowed?.includes(target), `${path} may import ${target}`);
    }
  }
  t.end();
});

void t.test('only the rooms that own files use node:fs', (t) => {
  for (const { path, text } of files) {
    if (imports(text).some((name) => name.startsWith('node:fs')))
      t.ok(MAY_USE_FILES.includes(room(path)), path);
  }
  t.end();
});

void t.test('spans and their packages are loaded only where they are wanted', (t) => {
  const loadable = ['otlp-tracer', 'bounded-spans', 'partial-success'].map((name) => `lib/traces/${name}.ts`);
  for (const { path, text } of files) {
    const names = imports(text.replaceAll(/import type [^;]*;|typeof import\([^)]*\)/g, ''));
    const isFree = names.some(
      (name) => name.startsWith('@opentelemetry/') || /otlp-tracer|bounded-spans|partial-success/.test(name),
    );
    if (!isFree) continue;
    t.ok(loadable.includes(path) || path === 'lib/traces/open-tracer.ts', path);
    if (path === 'lib/traces/open-tracer.ts')
      t.notMatch(text, /^import .*otlp-tracer/m, 'not before it is asked to');
  }
  t.end();
});

void t.test('the client imports nothing but itself, as a browser loads it, and is small', (t) => {
  const client = files.filter(({ path }) => room(path) === 'client');
  t.ok(client.length > 0);
  for (const { path, text } of client)
    for (const name of imports(text)) t.match(name, /^\.\/[a-z-]+\.js$/, path);
  const lines = client.flatMap(({ text }) =>
    text.split('\n').filter((line) => !/^ *(?:\/?\*|\/\/|$)/.test(line)),
  );
  t.ok(lines.length < 500, `${lines.length} lines without comments`);
  t.end();
});

void t.test('no stage knows HTTP, no sink knows files of the log', (t) => {
  for (const { path, text } of files) {
    const names = imports(text);
    if (['core', 'delivery', 'intake'].includes(room(path))) t.notOk(names.includes('node:http'), path);
    if (path.startsWith('lib/sinks/'))
      t.notOk(/AppendLog\b(?!\/)/.test(text.replace(/import type .*/g, '')), path);
  }
  t.end();
});

void t.test('the path of a source stands in its folder, and the door knows none', (t) => {
  const paths = SOURCES.map(({ path }) => path);
  t.ok(paths.length > 0);
  for (const { path, text } of files.filter((each) => ['door', 'forebay.ts'].includes(room(each.path))))
    for (const each of paths) t.notOk(text.includes(each), `${path}: ${each}`);
  t.end();
});

void t.test(
  'the core is short, and each of its invariants is cited by code that keeps it and by a fault',
  (t) => {
    const core = files.filter(({ path }) => room(path) === 'core');
    const lines = core.reduce((sum, { text }) => sum + text.split('\n').length, 0);
    t.ok(core.length > 3 && lines < 1000, `${lines} lines`);
    const readme = readFileSync('lib/core/README.md', 'utf8');
    const known = [...readme.matchAll(/^- \*\*(N\d+)\*\*/gm)].map(([, number = '']) => number);
    t.same(known, [...known.keys()].map((index) => `N${index + 1}`).slice(0, known.length));
    t.ok(known.length > 10);
    const cited = new Set(
      files.flatMap(({ text }) =>
        [...text.matchAll(/\((N\d+(?:, N\d+)*)\)/g)].flatMap(([, all = '']) => all.split(', ')),
      ),
    );
    const broken = new Set(MUTANTS.map(({ breaks }) => breaks));
    for (const [what, numbers] of Object.entries({ cited, broken }))
      t.same([...numbers].toSorted(), known.toSorted(), what);
    for (const [, number = '', keepers = ''] of readme.matchAll(/^- \*\*(N\d+)\*\*.*?_Kept by_ (.*)$/gm)) {
      const checked = checkPlaces(t, number, keepers, 'lib/core');
      t.ok(checked > 0, `${number} names who keeps it`);
      t.ok(known.splice(0, 1)[0] === number, `${number} is in order`);
    }
    t.same(known, [], 'each is kept by something');
    t.end();
  },
);

void t.test('no file is so long that it hides a second noun', (t) => {
  for (const { path, text } of files) t.ok(text.split('\n').length <= 300, path);
  t.end();
});

void t.test('every error code is explained in docs/errors.md with its status, and no other', (t) => {
  const rows = readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `([A-Z0-9_]+)` +\| (\d{3}|-) /gm);
  const explained = Object.fromEntries([...rows].map(([, code, status]) => [code, status]));
  const expected = Object.entries(ERRORS).map(([code, { status }]) => [
    code,
    status === null ? '-' : String(status),
  ]);
  t.same(explained, Object.fromEntries(expected));
  t.end();
});

void t.test('docs/settings.md has one table, with every setting as --help tells it, and no other', (t) => {
  const lines = readFileSync('docs/settings.md', 'utf8').split('\n');
  const first = lines.findIndex((line) => line.startsWith('|'));
  const table = lines.filter((line) => line.startsWith('|'));
  t.same(lines.slice(first, first + table.length), table, 'one table');
  const cells = (line: string): string[] =>
    line
      .split('|')
      .slice(1, 5)
      .map((cell) => cell.replaceAll('`', '').trim());
  const [heading = '', rule = '', ...rows] = table;
  t.same(cells(heading), ['flag', 'default', 'value', 'what it does']);
  t.match(rule, /^\|(?: -+ \|){5}$/);
  const expected = Object.values(SERVER_SETTINGS).map(({ flag, initial, unit, help }) => [
    `--${flag}`,
    initial === null || initial === false ? '' : String(initial),
    unit.replaceAll('|', ' or '),
    help,
  ]);
  const byFlag = (each: string[][]) => Object.fromEntries(each.map(([flag, ...rest]) => [flag, rest]));
  t.same(byFlag(rows.map(cells)), byFlag(expected));
  t.equal(rows.length, expected.length);
  t.end();
});

void t.test('every link between the documents leads somewhere, to a heading where it names one', (t) => {
  const links = /\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g;
  for (const path of DOCUMENTS) {
    for (const [, link = '', heading] of readFileSync(path, 'utf8').matchAll(links)) {
      const target = link === '' ? path : join(dirname(path), link);
      t.ok(existsSync(target), `${path}: ${link}`);
      if (heading !== undefined) t.ok(headingsIn(target).includes(heading), `${path}: ${link}#${heading}`);
    }
  }
  t.end();
});

void t.test('the README is short, and shows first what it is and how to run it', (t) => {
  const readme = readFileSync('README.md', 'utf8');
  t.ok(readme.split(/\s+/).length <= 1550, 'five minutes');
  const order = ['docs/images/flow.svg', 'npm ci && npm start', 'npm ci && npm test', '## 90 seconds'];
  t.ok(order.every((part) => readme.includes(part)));
  t.same(
    order.map((part) => readme.indexOf(part)),
    order.map((part) => readme.indexOf(part)).toSorted((a, b) => a - b),
  );
  for (const path of [
    'SECURITY.md',
    'CHANGELOG.md',
    ...readdirSync('docs').filter((each) => each.endsWith('.md')),
  ])
    t.match(readme, new RegExp(`\\]\\((?:docs/)?${path.replace('.', '\\.')}\\)`), `it leads to ${path}`);
  t.end();
});

void t.test('each step of the walk in docs/architecture.md names files and functions that exist', (t) => {
  const page = readFileSync('docs/architecture.md', 'utf8');
  const walk = /^## The walk of one event.*?\n(.*?)^## /ms.exec(page)?.[1] ?? '';
  const steps = [...walk.matchAll(/^\d+\. .*/gm)].map(([step]) => step);
  t.ok(steps.length >= 10 && steps.length <= 15, `${steps.length} steps`);
  const functions = steps.reduce((sum, step) => sum + checkPlaces(t, step.slice(0, 30), step, 'docs'), 0);
  t.ok(functions >= 2 * steps.length, `${functions} functions`);
  t.end();
});

void t.test('the documents for users keep to the English of this project', (t) => {
  const settings = Object.values(PRODUCER_SETTINGS);
  // the table of the producer's settings repeats its --help word for word
  const helps = settings.map(({ help }) => help.replaceAll('`', '')).toSorted((a, b) => b.length - a.length);
  for (const path of DOCUMENTS.filter((each) => !/CHANGELOG|decisions/.test(each))) {
    const lines = readFileSync(path, 'utf8').split('\n');
    const found = lines.flatMap((line, index) => {
      const own = line.startsWith('| `--')
        ? helps.reduce((rest, help) => rest.replace(help, ''), line.replaceAll('`', ''))
        : line;
      return FOREIGN.flatMap(([word, better]) => {
        const hit = word.exec(own)?.[0];
        return hit === undefined ? [] : [`${path}:${index + 1}: "${hit}" is ${better}`];
      });
    });
    t.same(found, []);
  }
  t.end();
});

void t.test('so does the code, in comments, help and messages', (t) => {
  const found = files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const said = /(?:\/\/|^ *\/?\*|['`]).*/.exec(line)?.[0] ?? '';
      return FOREIGN.flatMap(([word, better]) =>
        word.test(said) ? [`${path}:${index + 1}: ${line.trim()} (${better})`] : [],
      );
    }),
  );
  t.same(found, []);
  t.end();
});

void t.test('and the help of programs that only a clone has', (t) => {
  const programs = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((path) =>
    /(?:^|\/)run\.ts$/.test(path),
  );
  t.ok(programs.includes('simulation/run.ts'));
  for (const path of programs) {
    const text = readFileSync(join('test', path), 'utf8');
    const [, usage = ''] = /const USAGE =\s*`([^`]*)`/.exec(text) ?? [];
    t.same(
      FOREIGN.filter(([word]) => word.test(usage)).map(([, better]) => better),
      [],
      path,
    );
  }
  t.end();
});

void t.test('the lock file names no host that packages come from', (t) => {
  t.notMatch(readFileSync('package-lock.json', 'utf8'), /"resolved": "https?:/);
  t.end();
});

/** The anchors of a document, as GitHub makes them of its headings, and those that are written by hand. */
function headingsIn(path: string): string[] {
  const text = readFileSync(path, 'utf8').replaceAll(/^```.*?^```$/gms, '');
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  return [...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)];
}

/** Files that a text links to, and the functions named after each, exist. @returns how many functions */
function checkPlaces(t: Test, what: string, text: string, from: string): number {
  let source = '';
  let functions = 0;
  // a function belongs to the file that was named last before it
  for (const [, link, name = ''] of text.matchAll(/\]\(([^)#]+\.ts)\)|`((?:[A-Z]\w+\.)?[#_]?[a-z]\w+)`/g)) {
    if (link === undefined) {
      t.ok(defines(source, name), `${what}: ${name}`);
      functions++;
    } else {
      const path = join(from, link);
      t.ok(existsSync(path), path);
      source = existsSync(path) ? readFileSync(path, 'utf8') : '';
    }
  }
  return functions;
}

/** Whether a file defines a function, or a class with this method. */
function defines(text: string, name: string): boolean {
  const [method = '', owner] = name.split('.').toReversed();
  const part =
    owner === undefined
      ? text
      : (new RegExp(`^(?:export )?(?:abstract )?class ${owner}\\b.*?^}`, 'ms').exec(text)?.[0] ?? '');
  const definition =
    owner === undefined
      ? '^(?:export )?(?:async )?function'
      : '^  (?:static |readonly |protected |override |async )*';
  return new RegExp(`${definition} *${method}(?:<\\w+>)?(?:\\(| = )`, 'm').test(part);
}

function markdown(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => join(dir, path));
}
