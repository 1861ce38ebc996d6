import t from 'tap';
import { lineOf, parseKeys } from '../../lib/keys/key-line.js';
import { digestOf, keyIn, newKey } from '../../lib/keys/secret.js';
import { basic, madeKey } from '../helpers/keys-file.js';

const HASH = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);
const line = (members: object): string => JSON.stringify({ name: 'meter', hash: HASH, ...members });

void t.test('a line is read as it was written, and blank lines are none', (t) => {
  const expires = Date.UTC(2027, 0, 31);
  const full = { name: 'a-1', hash: HASH, created: 1, expires, sources: ['events', 'x'] };
  const first = { ...full, eventsPerSecond: 5, bytesPerSecond: 6 };
  const bare = { created: null, expires: null, sources: null, eventsPerSecond: null, bytesPerSecond: null };
  const second = { name: 'b', hash: OTHER, ...bare };
  const text = `\n${lineOf(first)}  \r\n${lineOf(second)}`;
  t.same(parseKeys(text), [
    { ...first, number: 2 },
    { ...second, number: 4 },
  ]);
  t.equal(lineOf(second), `{"name":"b","hash":"${OTHER}"}\n`);
  t.same(parseKeys(''), []);
  for (const [given, ms] of [
    ['2027-01-31', expires],
    ['2027-01-31T00:00:01Z', expires + 1000],
    ['2027-01-31T00:00:00.007Z', expires + 7],
  ] as const)
    t.equal(parseKeys(line({ expires: given }))[0]?.expires, ms);
  t.end();
});

void t.test('a wrong line is named, and no hash is shown', (t) => {
  const secret = newKey();
  for (const [wrong, message] of [
    ['# a comment', /^line 2 is not a JSON object$/],
    ['{"name":"meter"', /^line 2 is not a JSON object$/],
    ['[]', /^line 2 is not a JSON object$/],
    ['null', /^line 2 is not a JSON object$/],
    [`{"name":"meter"}`, /^line 2 has no "hash"$/],
    [`{"hash":"${HASH}"}`, /^line 2 has no "name"$/],
    [`{"name":"x","name":"meter","hash":"${HASH}"}`, /^line 2 has "name" twice$/],
    [line({ source: ['x'] }), /^Unknown setting "source" of line 2: did you mean "sources"\?$/],
    [line({ note: 'x' }), /^Unknown setting "note" of line 2$/],
    [line({ name: 'Meter' }), /^"name" of line 2 must be at most 64 characters of a-z/],
    [line({ name: '' }), /^"name" of line 2 must/],
    [line({ name: 'a'.repeat(65) }), /^"name" of line 2 must/],
    [line({ name: 7 }), /^"name" of line 2 must/],
    [
      line({ hash: secret }),
      /^"hash" of line 2 must be the SHA-256 of a key, as 64 hexadecimal digits in small letters$/,
    ],
    [line({ hash: HASH.toUpperCase() }), /^"hash" of line 2 must/],
    [line({ expires: 'tomorrow' }), /^"expires" of line 2 must be a date like/],
    [line({ expires: '2027-02-30' }), /^"expires" of line 2 must be/],
    [line({ expires: '2027-01-31T12:00:00+01:00' }), /^"expires" of line 2 must be/],
    [line({ expires: 1_800_000_000 }), /^"expires" of line 2 must be/],
    [line({ sources: [] }), /^"sources" of line 2 must name a source/],
    [line({ sources: ['A'] }), /^"sources" of line 2 must be the name of a source/],
    [line({ eventsPerSecond: 0 }), /^"eventsPerSecond" of line 2 must be a whole number of at least 1/],
    [line({ bytesPerSecond: 1.5 }), /^"bytesPerSecond" of line 2 must be a whole number/],
    [line({ hash: OTHER }), /^line 2 has the same key as line 1$/],
    [line({ name: 'first' }), /^line 2 has other sources or limits than line 1 of the same name$/],
  ] as const) {
    const text = `${JSON.stringify({ name: 'first', hash: OTHER, sources: ['x'] })}\n${wrong}\n`;
    t.throws(() => parseKeys(text), { message }, wrong);
    try {
      parseKeys(text);
    } catch (error) {
      t.notMatch(String(error), new RegExp(`${secret}|${HASH}|${OTHER}`, 'i'));
    }
  }
  t.end();
});

void t.test('a holder may have several keys, with the sources in any order', (t) => {
  const first = line({ sources: ['a', 'b'], eventsPerSecond: 1 });
  const second = line({ hash: OTHER, sources: ['b', 'a'], eventsPerSecond: 1 });
  t.equal(parseKeys(`${first}\n${second}`).length, 2);
  t.throws(() => parseKeys(`${first}\n${line({ hash: OTHER, sources: ['b', 'a'] })}`), { message: /line 2/ });
  t.end();
});

void t.test('nothing but the form of a key is looked up', (t) => {
  const key = newKey();
  for (const form of [
    '',
    'Bearer hunter2',
    `Bearer ${key}x`,
    `Bearer x${key}`,
    `Basic ${key}`,
    basic('u', 'hunter2'),
  ])
    t.equal(keyIn(form), null, form.slice(0, 20));
  t.end();
});

void t.test('keys are random, long enough, and can be found by their prefix', (t) => {
  const all = new Set(Array.from({ length: 1000 }, newKey));
  t.equal(all.size, 1000);
  for (const key of all) t.match(key, /^fby_[A-Za-z0-9_-]{43}$/);
  const [key = ''] = all;
  t.equal(Buffer.from(key.slice(4), 'base64url').length, 32, '256 bits');
  t.equal(digestOf(key).length, 32);
  t.equal(madeKey('a').line.includes('fby_'), false);
  for (const each of all) t.equal(keyIn(`Bearer ${each}`) === each && keyIn(basic('u', each)) === each, true);
  t.end();
});
