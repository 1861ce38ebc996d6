import t from 'tap';
import { eventText, Ledger } from './ledger.js';

const SEED = 1;

void t.test('what was acknowledged and delivered, twice as well, is as it must be', (t) => {
  const ledger = new Ledger(SEED, 2);
  const sending = ledger.next(1, 2);
  ledger.deliver(`${sending.body.replace('\n', ' \t\n')}\n`);
  ledger.answered(sending, 'doubtful', null);
  ledger.answered(sending, 'acknowledged', 202);
  ledger.deliver(sending.body);
  t.same([ledger.acknowledged, ledger.undelivered, ledger.duplicates], [2, 0, 2]);
  t.same(ledger.check(true), []);
  t.end();
});

void t.test('an acknowledged event that is not delivered is found', (t) => {
  const ledger = new Ledger(SEED, 1);
  ledger.answered(ledger.next(0, 1), 'acknowledged', 202);
  t.equal(ledger.undelivered, 1);
  t.match(ledger.check(false), [/^acknowledged and not delivered: 1 \(c0-0\)$/]);
  t.end();
});

void t.test('an event that is in two messages is found, not one that comes again with others', (t) => {
  const ledger = new Ledger(SEED, 1);
  const [one, other] = [ledger.next(0, 1), ledger.next(0, 1)];
  for (const sending of [one, other]) ledger.answered(sending, 'acknowledged', 202);
  ledger.deliver(`${one.body}\n${other.body}`, 'a-events_3-9@0');
  ledger.deliver(one.body, 'a-events_2-4#1-1@0');
  ledger.deliver(one.body, 'a-events_4@0');
  t.same(ledger.check(false, true), []);
  ledger.deliver(other.body, 'a-events_10@0');
  t.match(ledger.check(false, true), [/^stored twice: 1 \(c0-1\)$/]);
  t.same(ledger.check(false), [], 'without ids it may be');
  t.end();
});

void t.test('a delivered event that was only refused is found, not one in doubt', (t) => {
  const ledger = new Ledger(SEED, 1);
  const [refused, doubtful] = [ledger.next(0, 1), ledger.next(0, 1)];
  ledger.answered(refused, 'refused', 429);
  ledger.answered(doubtful, 'doubtful', 503);
  ledger.answered(doubtful, 'refused', 503);
  ledger.deliver(`${refused.body}\n${doubtful.body}`);
  t.match(ledger.check(false), [/^refused and delivered: 1 \(c0-0\)$/]);
  t.end();
});

void t.test('an event that nobody sent, or with other content, is found', (t) => {
  const ledger = new Ledger(SEED, 1);
  const { body } = ledger.next(0, 1);
  for (const line of [eventText(SEED, 0, 1), eventText(SEED, 1, 0), 'x']) ledger.deliver(line);
  ledger.deliver(body.replace('1.0', '1'));
  const kinds = ledger.violations.map((each) => each.split(':')[0]);
  const nobody = 'delivered, and nobody sent it';
  t.same(kinds, [nobody, nobody, nobody, 'delivered with other content']);
  t.end();
});

void t.test('a delivery before that of an earlier request is found, within a request it is none', (t) => {
  const ledger = new Ledger(SEED, 2);
  const [first, second] = [ledger.next(0, 2), ledger.next(0, 1)];
  for (const sending of [first, second]) ledger.answered(sending, 'acknowledged', 202);
  const [one = '', two = ''] = first.body.split('\n');
  for (const line of [two, second.body, one]) ledger.deliver(line);
  t.match(ledger.check(true), [/^delivered before what was acknowledged earlier: 1 \(c0-2 before c0-0\)$/]);
  t.same(ledger.check(false), []);
  t.end();
});
