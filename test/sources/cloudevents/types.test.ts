import t from 'tap';
import type { Test } from 'tap';
import {
  isBase64,
  isInteger,
  isText,
  isTime,
  isUri,
  isUriReference,
} from '../../../lib/sources/cloudevents/types.js';

function holds(t: Test, is: (text: string) => boolean, good: string, bad: readonly string[]): void {
  for (const each of good.split(' ')) t.equal(is(each), true, each);
  for (const each of bad) t.equal(is(each), false, JSON.stringify(each));
}

void t.test('a URI reference is one by RFC 3986', (t) => {
  const good =
    'https://github.com/cloudevents mailto:cncf-wg-serverless@lists.cncf.io urn:uuid:6e8bc430-9c3a-11d9 /a/b;c=1?d=/e#f ' +
    '1-555-123-4567 #fragment ?query //authority/path ../up a%20b http://[::1]:80/ http://u:p@[v1.a:b]?x //[::1] a/b:c ' +
    'http://a:80/ s+-.1:x';
  const bad = [
    'a b',
    '<a>',
    'é',
    'a%2',
    'a%zz',
    'a#b#c',
    '1a:b',
    ':a',
    'a[0]',
    'http://[::1/',
    'http://a/[::1]',
    'http://[::1]a/',
    '/x?[1]',
    '//a[::1]/',
    'a\\b',
    'a"b',
    'a|b',
    'a^b',
    'a`b',
    'a{b',
  ];
  holds(t, isUriReference, good, bad);
  holds(t, isUri, 'https://cloudevents.io/dataschema urn:x a:b https://a/b#c', [
    '',
    '/relative',
    '#a',
    '//a/b',
    'a/b:c',
    'a b:c',
  ]);
  t.equal(isUriReference('a'.repeat(2 ** 24)), true);
  t.equal(isUriReference(`${'a'.repeat(2 ** 24)}[`), false, 'of any length');
  t.end();
});

void t.test('a time is one by RFC 3339', (t) => {
  holds(
    t,
    isTime,
    '2018-04-05T17:31:00Z 2018-04-05T17:31:00.000000000Z 2018-04-05t18:31:00+01:00 2018-04-05T16:31:00.5-23:59 ' +
      '2016-12-31T23:59:60z 2024-02-29T00:00:00Z 2000-02-29T00:00:00Z 0000-02-29T00:00:00Z 0001-01-01T00:00:00Z ' +
      '9999-12-31T23:59:59Z',
    [
      '',
      'lunchtime',
      '2018-04-05T18:31Z',
      '2018-04-05T18:31:00',
      '2018-04-05T18:31:00X',
      '2018-04-05T18:31:00+25:00',
      '2018-04-05T18:31:00+xx:00',
      '2018-04-05T18:31:00+05',
      '2018-04-05 18:31:00Z',
      '2018-04-05T18:31:00.Z',
      '2018-04-05T24:00:00Z',
      '2018-04-05T18:60:00Z',
      '2018-04-05T18:31:61Z',
      '2018-13-05T18:31:00Z',
      '2018-00-05T18:31:00Z',
      '2018-04-31T18:31:00Z',
      '2018-04-00T18:31:00Z',
      '2023-02-29T00:00:00Z',
      '1900-02-29T00:00:00Z',
      '+02018-04-05T17:31:00Z',
      ' 2018-04-05T17:31:00Z',
      '2018-04-05T17:31:00Z\n',
    ],
  );
  t.end();
});

void t.test('Base64 is the first one of RFC 4648, with its padding', (t) => {
  holds(t, isBase64, 'TWE= TQ== TWFu /+AA', ['T', 'TQ', 'TQ=', 'TW_-', 'TQ= =', 'TWF\n', 'T===', '... ']);
  t.equal(isBase64(''), true);
  t.equal(isBase64('TWFu'.repeat(2 ** 22)), true);
  t.end();
});

void t.test('an integer has 32 bits, and a text no characters that a header could not carry', (t) => {
  for (const each of [0, -0, 5, -(2 ** 31), 2 ** 31 - 1]) t.equal(isInteger(each), true, String(each));
  for (const each of [1.5, 2 ** 31, -(2 ** 31) - 1, 1e300, NaN, '5', null, true])
    t.equal(isInteger(each), false, String(each));
  for (const each of ['', 'é\u{1f600}\ud800\udead\u{a0}', 'a b"\\']) t.equal(isText(each), true, each);
  for (const each of ['\n', 'a\tb', '\0', '\u007f', '\u0085', '\udead', '\ufdd0', '\u{1ffff}', 5, null, {}])
    t.equal(isText(each), false, JSON.stringify(each));
  t.end();
});
