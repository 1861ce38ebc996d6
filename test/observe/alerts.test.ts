import { readFileSync } from 'node:fs';
import t from 'tap';
import { ERRORS } from '../../lib/base/errors.js';
import { noPromtool, promtool } from '../helpers/promtool.js';

const RULES = 'docs/prometheus/forebay.rules.yml';
const TESTS = 'docs/prometheus/forebay.rules.test.yml';
const rules = readFileSync(RULES, 'utf8');
const names = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name = '']) => name);

void t.test('every alert says what happened and what to do, and how bad it is', (t) => {
  t.ok(names.length > 10);
  t.equal(new Set(names).size, names.length);
  for (const rule of rules.split(/^ +- alert: /m).slice(1)) {
    const name = rule.split('\n', 1)[0] ?? '';
    t.match(rule, /^ +severity: (critical|warning)$/m, name);
    t.match(rule, /^ +summary: \S/m, name);
    t.match(rule, /^ +description: \S/m, name);
  }
  t.end();
});

void t.test('every alert has a test in which it fires', (t) => {
  const tested = readFileSync(TESTS, 'utf8');
  for (const name of names) t.match(tested, new RegExp(`alertname: ${name}\\n +exp_alerts:`), name);
  t.end();
});

void t.test('every alert is explained in docs/operating.md, and no other', (t) => {
  const explained = [...readFileSync('docs/operating.md', 'utf8').matchAll(/^\| `(Forebay\w+)` /gm)];
  t.same(new Set(explained.map(([, name]) => name)), new Set(names));
  t.equal(explained.length, names.length);
  t.end();
});

void t.test('the alert on a source leaves out what is no fault of its senders', (t) => {
  const [, left = ''] = /code!~"([A-Z_|]+)"/.exec(rules) ?? [];
  const retried = Object.entries(ERRORS).filter(([, { status, retry }]) => status !== null && retry);
  t.same(new Set(left.split('|')), new Set(retried.map(([code]) => code)));
  t.end();
});

void t.test('promtool takes the rules', { skip: noPromtool() }, (t) => {
  const { status, said } = promtool(['check', 'rules', RULES]);
  t.equal(status, 0, said);
  t.match(said, `SUCCESS: ${names.length} rules found`);
  t.end();
});

void t.test('alerts fire when they should, and end', { skip: noPromtool() }, (t) => {
  const { status, said } = promtool(['test', 'rules', TESTS]);
  t.equal(status, 0, said);
  t.match(said, 'SUCCESS');
  t.end();
});
