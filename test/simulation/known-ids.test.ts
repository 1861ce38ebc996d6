import t from 'tap';
import { DiskTree } from './disk-tree.js';
import { Ledger } from './ledger.js';
import type { SentEvent } from './ledger.js';
import { SimulatedFile } from './simulated-file.js';
import { Tally } from './tally.js';

const DIR = '/log';
const SCOPE = { instance: 'client', source: '/events', holder: null };

/** An event with an id that is remembered, sent once and not answered. */
function sent(ledger: Ledger): SentEvent {
  const known = ledger.ids.of(SCOPE, 'same-1', 0);
  const line = '{"id":"same-1","type":"ids client 0","data":1,"timestamp":1}';
  const event = ledger.idSent(known, line);
  ledger.idSends(event, 0);
  return event;
}

/** What a disk holds, with one batch file of this event. */
function disk(number: number, { line }: SentEvent): DiskTree {
  const tree = new DiskTree();
  tree.makeDirectories(DIR);
  const path = `${DIR}/batch_20251211_000000_${number}.jsonl`;
  tree.parent(path, 'open').set(tree.nameOf(path), SimulatedFile.of(Buffer.from(`${line}\n`)));
  return tree;
}

void t.test('an id whose line was lost before anyone was answered may be stored in another place', (t) => {
  const ledger = new Ledger(new Tally(), false);
  const event = sent(ledger);
  ledger.checkIds([disk(1, event)], DIR);
  ledger.checkIds([new DiskTree()], DIR);
  ledger.checkIds([disk(2, event)], DIR);
  t.equal(ledger.violation, null);
  t.end();
});

void t.test('an id is stored twice if its line is in two places, on whichever disks', (t) => {
  const one = new Ledger(new Tally(), false);
  const event = sent(one);
  one.checkIds([disk(1, event), disk(2, event)], DIR);
  t.match(one.violation, /is stored twice/);
  const later = new Ledger(new Tally(), false);
  later.checkIds([disk(1, sent(later))], DIR);
  later.checkIds([disk(2, event)], DIR);
  t.match(later.violation, /is stored twice/);
  t.end();
});

void t.test('an id is stored twice if the sink has its event, and another file as well', (t) => {
  const ledger = new Ledger(new Tally(), false);
  const event = sent(ledger);
  ledger.checkIds([disk(1, event)], DIR);
  event.appearances = 1;
  ledger.checkIds([new DiskTree()], DIR);
  ledger.checkIds([disk(2, event)], DIR);
  t.match(ledger.violation, /is stored twice/);
  t.end();
});
