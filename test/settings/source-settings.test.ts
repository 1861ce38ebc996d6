import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { silentLogger } from '../../lib/base/reporter.js';
import { SOURCE_FLAGS, declaredSources } from '../../lib/settings/source-settings.js';
import { readOptions } from '../../lib/settings/option-table.js';
import { optional, text } from '../../lib/settings/checks.js';
import { openSources } from '../../lib/sources/registry.js';
import { tempDir } from '../helpers/temp-dir.js';

const TABLE = {
  ...SOURCE_FLAGS,
  config: { flag: 'config', initial: null, unit: 'FILE', help: '', check: optional(text) },
} as const;

const declared = (argv: readonly string[], environment: Record<string, string> = {}) =>
  declaredSources(readOptions(TABLE, argv, environment));
const opened = (...argv: string[]) =>
  openSources(declared(argv), { logger: silentLogger }).map(({ name, path, limits }) => ({
    name,
    path,
    ...limits,
  }));
const NONE = { eventBytesMax: null, bodyBytesMax: null };

void t.test(
  'a source is declared by a flag, a variable, or in the file, and a flag adds to the file',
  (t) => {
    const file = join(tempDir(t), 'settings.json');
    writeFileSync(
      file,
      JSON.stringify({ sources: { a: { path: '/a', 'event-max': '2KiB' }, b: { path: '/b' } } }),
    );
    t.same(declared(['--config', file, '--source', 'a=/other', '--source=c=/c,x=1,x=2,y=k=v']), [
      { name: 'a', given: { path: '/other', 'event-max': '2KiB' } },
      { name: 'b', given: { path: '/b' } },
      { name: 'c', given: { path: '/c', x: ['1', '2'], y: 'k=v' } },
    ]);
    t.same(declared([], { FOREBAY_SOURCES: '{"a":false}' }), [{ name: 'a', given: false }]);
    t.same(declared(['--source', 'plain']), [{ name: 'plain', given: {} }]);
    t.end();
  },
);

void t.test('/events is there unless it is switched off, and keeps its path', (t) => {
  t.same(opened(), [{ name: 'events', path: '/events', ...NONE }]);
  t.same(opened('--source', 'a=/a,format=events'), [
    { name: 'events', path: '/events', ...NONE },
    { name: 'a', path: '/a', ...NONE },
  ]);
  t.same(opened('--source', 'events,event-max=2KiB'), [
    { name: 'events', path: '/events', ...NONE, eventBytesMax: 2048 },
  ]);
  t.same(opened('--source', 'events=off', '--source', 'a,format=events'), [
    { name: 'a', path: '/in/a', ...NONE },
  ]);
  t.end();
});

void t.test('a wrong declaration is named', (t) => {
  for (const [given, message] of [
    ['A=/a', /--source must name each source in at most 32 characters of a-z/],
    ['a=/a,b', /--source must have a value for "b", after "="/],
    ['a=/a', /"format" of the source a is missing: one of events/],
    ['a=/a,format=event', /Unknown format "event" of the source a: did you mean "events"\?/],
    ['a=/a?b,format=events', /"path" of the source a must be a path like/],
    ['a=/events,format=events', /The sources events and a have the same path, \/events/],
    [
      'a=/a,format=events,event-mx=1',
      /Unknown setting "event-mx" of the source a: did you mean "event-max"\?/,
    ],
    ['a=/a,format=events,event-max=x', /"event-max" of the source a must be a number of bytes/],
    ['a=/a,format=events,__proto__=x', /Unknown setting "__proto__" of the source a/],
    ['events=off', /No source is left/],
  ] as const)
    t.throws(() => opened('--source', given), { code: 'SETTING_INVALID', message }, given);
  t.throws(() => declared([], { FOREBAY_SOURCES: '[]' }), { message: /FOREBAY_SOURCES must be an object/ });
  t.throws(() => declared([], { FOREBAY_SOURCES: '{"a":1}' }), {
    message: /an object of settings, or false, for a/,
  });
  t.end();
});
