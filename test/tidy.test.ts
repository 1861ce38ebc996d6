import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import t from 'tap';
import { ERRORS } from '../lib/errors.js';
import { SERVER_SETTINGS } from '../lib/settings/server-settings.js';
import { SOURCES } from '../lib/sources/registry.js';

/** What a room of `lib/` may import from, besides itself and Node.js. One way only: see docs/architecture.md. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'errors.ts': [],
  'json-position.ts': [],
  'log-lines.ts': ['errors.ts', 'words.ts'],
  'json-array.ts': ['errors.ts'],
  'line-buffer.ts': [],
  'histogram.ts': [],
  'event-scan.ts': [],
  'event.ts': ['errors.ts', 'json-position.ts'],
  settings: ['errors.ts', 'json-position.ts'],
  'append-log': ['errors.ts', 'event.ts', 'log-lines.ts', 'words.ts'],
  'http-post.ts': [],
  'retry-after.ts': [],
  sinks: [
    'append-log',
    'errors.ts',
    'http-post.ts',
    'log-lines.ts',
    'retry-after.ts',
    'settings',
    'words.ts',
  ],
  'trouble.ts': ['errors.ts', 'log-lines.ts'],
  'disk-watch.ts': ['append-log', 'errors.ts', 'log-lines.ts', 'trouble.ts'],
  stages: [
    'append-log',
    'disk-watch.ts',
    'errors.ts',
    'histogram.ts',
    'line-buffer.ts',
    'log-lines.ts',
    'sinks',
    'trouble.ts',
    'words.ts',
  ],
  'replay.ts': ['append-log', 'errors.ts', 'log-lines.ts', 'stages', 'words.ts'],
  'waiting-requests.ts': [
    'errors.ts',
    'histogram.ts',
    'line-buffer.ts',
    'log-lines.ts',
    'stages',
    'trouble.ts',
  ],
  'admission.ts': [
    'append-log',
    'disk-watch.ts',
    'errors.ts',
    'log-lines.ts',
    'stages',
    'trouble.ts',
    'waiting-requests.ts',
  ],
  'backlog-owner.ts': ['append-log', 'errors.ts', 'log-lines.ts', 'sinks', 'words.ts'],
  'event-counts.ts': [],
  'statistics.ts': ['event-counts.ts', 'histogram.ts', 'stages'],
  'forebay.ts': [
    'admission.ts',
    'append-log',
    'backlog-owner.ts',
    'disk-watch.ts',
    'errors.ts',
    'event-counts.ts',
    'event.ts',
    'line-buffer.ts',
    'log-lines.ts',
    'replay.ts',
    'settings',
    'sinks',
    'stages',
    'statistics.ts',
    'waiting-requests.ts',
  ],
  'http-answer.ts': ['errors.ts'],
  sources: ['errors.ts', 'event.ts', 'event-scan.ts', 'http-answer.ts', 'json-array.ts', 'line-buffer.ts'],
  http: ['errors.ts', 'forebay.ts', 'http-answer.ts', 'log-lines.ts', 'settings', 'sources'],
  'version.ts': [],
  'words.ts': [],
  metrics: ['append-log', 'errors.ts', 'forebay.ts', 'histogram.ts', 'http', 'statistics.ts', 'version.ts'],
  page: [
    'append-log',
    'errors.ts',
    'event-counts.ts',
    'forebay.ts',
    'histogram.ts',
    'http',
    'log-lines.ts',
    'statistics.ts',
    'version.ts',
  ],
  'operator-routes.ts': ['forebay.ts', 'http', 'log-lines.ts', 'metrics', 'page'],
  'index.ts': [
    'append-log',
    'errors.ts',
    'event-counts.ts',
    'event.ts',
    'forebay.ts',
    'histogram.ts',
    'http',
    'log-lines.ts',
    'operator-routes.ts',
    'sinks',
    'stages',
    'statistics.ts',
  ],
  producer: ['errors.ts', 'retry-after.ts', 'settings'],
  'terminal-text.ts': [],
  'log-tool': ['append-log', 'errors.ts', 'settings', 'terminal-text.ts', 'words.ts'],
  'dead-letters-tool': [
    'append-log',
    'errors.ts',
    'http-post.ts',
    'log-tool',
    'retry-after.ts',
    'settings',
    'terminal-text.ts',
    'words.ts',
  ],
  cli: [
    'dead-letters-tool',
    'errors.ts',
    'forebay.ts',
    'http',
    'log-lines.ts',
    'log-tool',
    'operator-routes.ts',
    'producer',
    'settings',
    'sinks',
    'terminal-text.ts',
    'version.ts',
    'words.ts',
  ],
};
/** Who may open files: the log, the sinks that are files, what reads flags and writes results, and the page its own. */
const MAY_USE_FILES = ['append-log', 'sinks', 'settings', 'producer', 'log-tool', 'cli', 'page'];

const files = readdirSync('lib', { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
  .map((path) => ({ path, text: readFileSync(join('lib', path), 'utf8') }));
const room = (path: string): string => path.split('/')[0] ?? path;
const imports = (text: string): string[] =>
  [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map((match) => match[1] ?? '');

void t.test('imports go one way', (t) => {
  t.ok(files.length > 20);
  for (const { path, text } of files) {
    const allowed = MAY_IMPORT[room(path)];
    t.ok(allowed, `${path} belongs to a room that this test knows`);
    for (const name of imports(text).filter((each) => each.startsWith('.'))) {
      const target = room(relative('lib', join('lib', dirname(path), name)).replace(/\.js$/, '.ts'));
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

void t.test('no stage knows HTTP, no sink knows files of the log', (t) => {
  for (const { path, text } of files) {
    const names = imports(text);
    if (room(path) === 'stages') t.notOk(names.includes('node:http'), path);
    if (room(path) === 'sinks') t.notOk(/AppendLog\b(?!\/)/.test(text.replace(/import type .*/g, '')), path);
  }
  t.end();
});

void t.test('the path of a source stands in its folder, and the door knows none', (t) => {
  const paths = SOURCES.map(({ path }) => path);
  t.ok(paths.length > 0);
  for (const { path, text } of files.filter((each) => ['http', 'forebay.ts'].includes(room(each.path))))
    for (const each of paths) t.notOk(text.includes(each), `${path}: ${each}`);
  t.end();
});

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

void t.test('every link between the documents leads somewhere', (t) => {
  const documents = [
    'README.md',
    'CHANGELOG.md',
    'SECURITY.md',
    'bench/README.md',
    ...markdown('docs'),
    ...markdown('examples'),
  ];
  for (const path of documents) {
    for (const [, link = ''] of readFileSync(path, 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)) {
      t.ok(existsSync(join(dirname(path), link)), `${path}: ${link}`);
    }
  }
  t.end();
});

void t.test('the lock file names no host that packages come from', (t) => {
  t.notMatch(readFileSync('package-lock.json', 'utf8'), /"resolved": "https?:/);
  t.end();
});

function markdown(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => join(dir, path));
}
