import fc from 'fast-check';
import t from 'tap';
import { pointerTokens, valueAt } from '../../../lib/sources/webhook/json-pointer.js';
import { SEED } from '../../helpers/seed.js';

const at = (json: string, pointer: string): string | undefined =>
  valueAt(json, pointerTokens(pointer) ?? ['not a pointer']);

void t.test('the examples of RFC 6901', (t) => {
  const json =
    '{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\\\j": 5, "k\\"l": 6, " ": 7, "m~n": 8}';
  for (const [pointer, value] of Object.entries({
    '/foo': '["bar", "baz"]',
    '/foo/0': '"bar"',
    '/': '0',
    '/a~1b': '1',
    '/c%d': '2',
    '/e^f': '3',
    '/g|h': '4',
    '/i\\j': '5',
    '/k"l': '6',
    '/ ': '7',
    '/m~0n': '8',
  }))
    t.equal(at(json, pointer), value, pointer);
  for (const wrong of ['', 'foo', '/a~', '/a~2']) t.equal(pointerTokens(wrong), null, wrong);
  t.end();
});

void t.test('it finds the text itself: no digit of a number is lost', (t) => {
  t.equal(at('{"a":{"id":12345678901234567890}}', '/a/id'), '12345678901234567890');
  t.equal(at('[1.0 ,-0e-5]', '/0'), '1.0');
  t.equal(at('[1.0 ,-0e-5]', '/1'), '-0e-5');
  t.equal(valueAt('\n 1e400 ', []), '1e400');
  t.end();
});

void t.test('what is not there is not found', (t) => {
  for (const [json, pointer] of [
    ['{"a":1}', '/b'],
    ['{"a":1}', '/a/b'],
    ['{"a":"b"}', '/a/0'],
    ['[]', '/0'],
    ['[1]', '/1'],
    ['[1]', '/-'],
    ['[1]', '/00'],
    ['[1]', '/9007199254740993'],
    ['{}', '/constructor'],
    ['"a"', '/0'],
  ] as const)
    t.equal(at(json, pointer), undefined, `${json} ${pointer}`);
  t.end();
});

/** A JSON text with white space between its tokens, and names that are there twice. */
const spaced = (value: unknown, space: string): string => {
  if (Array.isArray(value)) {
    const elements = (value as unknown[]).map((each) => spaced(each, space)).join(`${space},${space}`);
    return `[${space}${elements}${space}]`;
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).flatMap(([name, each]) => [
    `${JSON.stringify(name)}${space}:${space}{"first":[1,"}"]}`,
    `${JSON.stringify(name)}${space}:${space}${spaced(each, space)}`,
  ]);
  return `{${space}${members.join(`${space},${space}`)}${space}}`;
};

void t.test('it finds what is there after JSON.parse', (t) => {
  const names = fc.oneof(
    fc.string({ maxLength: 3 }),
    fc.constantFrom('a', '~1', '/', '0', '__proto__', '"', '\\'),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(fc.jsonValue({ maxDepth: 0 }), fc.string({ unit: 'binary' })),
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.dictionary(names, tie('tree'), { maxKeys: 4 }),
    ),
  }));
  const check = fc.property(
    tree,
    fc.constantFrom('', ' ', '\n\t', '\r\n'),
    fc.array(fc.nat(), { maxLength: 5 }),
    (value, space, path) => {
      const json = `${space}${spaced(value, space)}${space}`;
      let here: unknown = JSON.parse(json);
      const tokens: string[] = [];
      for (const step of path) {
        if (typeof here !== 'object' || here === null) break;
        const keys = Object.keys(here);
        const key = keys[step % (keys.length || 1)];
        if (key === undefined) break;
        tokens.push(key);
        here = Object.getOwnPropertyDescriptor(here, key)?.value;
      }
      const pointer = tokens.map((token) => `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
      const found = tokens.length === 0 ? valueAt(json, []) : at(json, pointer);
      return found !== undefined && JSON.stringify(JSON.parse(found)) === JSON.stringify(here);
    },
  );
  fc.assert(check, { seed: SEED, numRuns: 3000 });
  t.end();
});
