import t from 'tap';
import { Account } from '../../lib/intake/account.js';
import { LedgerEntry } from '../../lib/intake/ledger-entry.js';

void t.test(
  'what compression saves is no longer counted, and comes back among likely dead letters only',
  (t) => {
    const [one, other] = [new Account(), new Account()];
    const entry = new LedgerEntry('batch_20250101_000000_1.jsonl');
    entry.add(one, 30, 3000);
    entry.add(other, 10, 1000);
    one.see(200, 200);
    const likely = one.likelyLetterBytes;
    t.equal(entry.shrink(3600), 3600);
    t.match(
      [one, other],
      [
        { backlogBytes: 300, savedBytes: 2700 },
        { backlogBytes: 100, savedBytes: 900 },
      ],
    );
    t.equal(one.likelyLetterBytes, likely, 'a dead letter is as large as before');
    t.equal(entry.settle(400), 400);
    for (const account of [one, other])
      t.match(account, { backlogEvents: 0, backlogBytes: 0, savedBytes: 0 }, 'nothing is left');
    t.end();
  },
);
