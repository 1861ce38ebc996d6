import t from 'tap';
import { Accounts } from '../../lib/intake/accounts.js';
import { UNLIMITED } from '../../lib/seams/client.js';
import type { Client } from '../../lib/seams/client.js';

const at = (index: number): Client => ({ id: `192.0.2.${index}`, limits: UNLIMITED });

void t.test('a client has one account, and none is made for who only asks', (t) => {
  const accounts = new Accounts();
  t.equal(accounts.find(at(1)).size, 0);
  t.equal(accounts.busy, 0);
  const account = accounts.of(at(1));
  account.append(1, 100);
  t.equal(accounts.find(at(1)), account);
  t.equal(accounts.of(at(1)), account);
  t.equal(accounts.busy, 1);
  t.end();
});

void t.test('idle clients are forgotten, and memory is bounded by those that are not', (t) => {
  const accounts = new Accounts(1000);
  const busy = accounts.of(at(0));
  busy.append(1, 100);
  for (let index = 1; index < 100_000; index++) accounts.of(at(index));
  t.ok(accounts.all.length <= 300, `${accounts.all.length} accounts`);
  t.equal(accounts.find(at(0)), busy);
  t.end();
});

void t.test('beyond the bound the smallest are one account, and a new client has its own', (t) => {
  const accounts = new Accounts(1000);
  let merged = 0;
  accounts.merged = () => merged++;
  const held = Array.from({ length: 5000 }, (_each, index) => {
    const account = accounts.of(at(index));
    const bytes = index % 10 === 0 ? 1_000_000 + index : 100;
    account.append(1, bytes);
    account.queue(1, 10, UNLIMITED);
    t.equal(accounts.find(at(index)), account);
    return { account, bytes };
  });
  t.ok(accounts.all.length <= 1001);
  t.ok(merged > 0);
  const all = held.reduce((sum, { bytes }) => sum + bytes, 0);
  t.equal(
    accounts.all.reduce((sum, { backlogBytes }) => sum + backlogBytes, 0),
    all,
    'nothing is lost',
  );
  t.ok(accounts.find(at(4990)).size > 0, 'a large one keeps its own');
  for (const { account, bytes } of held) {
    account.current.settle(1, bytes);
    account.current.answer(1, 10, true, UNLIMITED);
  }
  t.same(new Set(accounts.all.map(({ backlogBytes }) => backlogBytes)), new Set([0]), 'all of it comes back');
  t.same(new Set(accounts.all.map(({ queueEvents }) => queueEvents)), new Set([0]));
  t.equal(accounts.busy, 0);
  t.end();
});
