import fc from 'fast-check';
import t from 'tap';
import { EventBlock } from '../../lib/event/event-block.js';
import { Accounts } from '../../lib/intake/accounts.js';
import { BacklogLedger } from '../../lib/intake/backlog-ledger.js';
import { Batch } from '../../lib/seams/batch.js';
import { UNLIMITED } from '../../lib/seams/client.js';
import type { Client } from '../../lib/seams/client.js';
import type { BatchPart, EventRange } from '../../lib/seams/event-log.js';

const BLOCK = 100;
const LINE = 10;

/** A log whose batches take whole blocks of 100 bytes, and whose names are numbers. */
function place(entriesMax?: number) {
  const log = {
    pendingBytes: 0,
    bytesOf: (block: EventBlock, from: number, to: number): number => block.startOf(to) - block.startOf(from),
    compare: (one: string, other: string): number => Number(one) - Number(other),
    pendingBytesOf: ({ logBytes }: { logBytes: number }): number => Math.ceil(logBytes / BLOCK) * BLOCK,
  };
  const accounts = new Accounts();
  let letterBytes = 0;
  const letters = { added: (bytes: number) => void (letterBytes += bytes) };
  const ledger = new BacklogLedger({ log, accounts, letters, ...(entriesMax && { entriesMax }) });
  const sizes = new Map<string, number>();
  return {
    log,
    accounts,
    ledger,
    letterBytes: () => letterBytes,
    /** Events of these clients, in this order, each a line of ten bytes. */
    append: (batch: string, ...clients: readonly (string | null)[]): void => {
      ledger.appended(partOf(clients), batch);
      const before = sizes.get(batch) ?? 0;
      const size = before + clients.length * LINE;
      log.pendingBytes += log.pendingBytesOf({ logBytes: size }) - log.pendingBytesOf({ logBytes: before });
      sizes.set(batch, size);
    },
    settle: (batch: string): void => {
      const logBytes = sizes.get(batch) ?? 0;
      log.pendingBytes -= log.pendingBytesOf({ logBytes });
      ledger.gone({ name: batch, logBytes });
      sizes.delete(batch);
    },
    /** The file takes this many bytes now. */
    compress: (batch: string, toBytes: number): void => {
      const fromBytes = log.pendingBytesOf({ logBytes: sizes.get(batch) ?? 0 });
      log.pendingBytes -= fromBytes - toBytes;
      ledger.shrunk(batch, fromBytes, toBytes);
      sizes.set(batch, toBytes);
    },
    of: (id: string) => accounts.find(clientAt(id)),
  };
}

function clientAt(id: string): Client {
  return { id, limits: UNLIMITED };
}

function partOf(clients: readonly (string | null)[]): BatchPart {
  const ranges = clients.map((id): EventRange => {
    const block = EventBlock.of('x'.repeat(LINE));
    const request = { block, withdrawn: false, acknowledge: () => undefined };
    return { request: { ...request, ...(id !== null && { client: clientAt(id) }) }, from: 0, to: 1 };
  });
  return { ranges, events: clients.length, bytes: clients.length * LINE, end: null };
}

function batchOf(name: string, events: number): Batch {
  return new Batch({ name, key: name, events, bytes: Buffer.alloc(events * LINE) });
}

const refused = (...places: readonly number[]) =>
  places.map((index) => ({ index, event: Buffer.alloc(LINE) }));

void t.test('a batch takes whole blocks, and those who are in it share them', (t) => {
  const { append, settle, of, log } = place();
  append('1', 'a');
  t.equal(of('a').backlogBytes, 100);
  append('1', 'b', 'b');
  t.equal(of('b').backlogBytes, 0, 'there is room in the block');
  append('2', 'a', 'b', 'b', null);
  t.equal(of('a').backlogBytes, 125);
  t.equal(of('b').backlogBytes, 50);
  t.match(of('b'), { backlogEvents: 4 });
  settle('1');
  t.equal(of('a').backlogBytes, 25);
  t.equal(of('b').backlogEvents, 2);
  settle('2');
  t.match(
    [of('a'), of('b')],
    [
      { backlogBytes: 0, backlogEvents: 0 },
      { backlogBytes: 0, backlogEvents: 0 },
    ],
  );
  t.equal(log.pendingBytes, 0);
  t.end();
});

void t.test('whatever is appended and settled, in any order, all of it comes back', (t) => {
  const step = fc.record({
    batch: fc.integer({ min: 0, max: 60 }),
    clients: fc.array(fc.constantFrom('a', 'b', 'c', null), { minLength: 1, maxLength: 12 }),
    isSettled: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.constantFrom(undefined, 4), (steps, entriesMax) => {
      const { append, settle, of, log, ledger } = place(entriesMax);
      const open = new Set<string>();
      let first = 0;
      for (const [index, { batch, clients, isSettled }] of steps.entries()) {
        // batches that are appended to side by side, each a little newer
        const name = String(Math.max(first, (index >> 2) + (batch % 4)));
        append(name, ...clients);
        open.add(name);
        if (!isSettled) continue;
        const done = [...open][batch % open.size] ?? name;
        settle(done);
        open.delete(done);
        first = Math.max(first, Number(done) + 1);
      }
      const sum = ['a', 'b', 'c'].reduce((all, id) => all + of(id).backlogBytes, 0);
      if (sum > log.pendingBytes) return false;
      for (const name of open) settle(name);
      const left = ['a', 'b', 'c'].map((id) => [of(id).backlogBytes, of(id).backlogEvents]);
      return left.flat().every((each) => each === 0) && ledger.entries === 0;
    }),
    { seed: 7, numRuns: 300 },
  );
  t.end();
});

void t.test(
  'with more batches than it can tell apart, a client is off by what a few neighbours take',
  (t) => {
    const { append, settle, of, ledger } = place(1024);
    const batches = 20_000;
    // the first half is of one client, the other half of another
    for (let n = 0; n < batches; n++)
      append(String(n), ...Array<string>(10).fill(n < batches / 2 ? 'a' : 'b'));
    t.ok(ledger.entries <= 1024, `${ledger.entries} entries`);
    t.equal(of('a').backlogBytes, (batches / 2) * BLOCK);
    const neighbours = batches / (1024 / 4); // 1/256 of them
    for (let n = 0; n < batches; n++) {
      settle(String(n));
      const left = Math.max(0, batches / 2 - n - 1) * BLOCK;
      if (Math.abs(of('a').backlogBytes - left) > neighbours * BLOCK)
        t.fail(`${of('a').backlogBytes}, not ${left}`);
    }
    t.match([of('a').backlogBytes, of('b').backlogBytes, ledger.entries], [0, 0, 0]);
    t.end();
  },
);

void t.test('a dead letter is whose event it was', (t) => {
  const { append, settle, of, ledger, letterBytes } = place();
  append('1', 'a', 'b', null);
  append('1', 'b', 'a');
  ledger.refused(batchOf('1', 5), refused(1, 2, 3));
  t.equal(of('a').letterBytes, 0);
  t.equal(of('b').letterBytes, 820);
  t.equal(letterBytes(), 1230, "that of the program itself is nobody's");
  settle('1');
  t.ok(of('b').isMostlyRefused);
  t.notOk(of('a').isMostlyRefused);
  ledger.refused(batchOf('7', 5), refused(1));
  t.equal(letterBytes(), 1640, 'of an earlier run');
  t.end();
});

void t.test('so it is in a file of several batches, whose places count from its start', (t) => {
  const { append, of, ledger } = place();
  append('1', 'a', 'a', 'b', 'c');
  ledger.refused(batchOf('1#3-4', 2), refused(1));
  t.match([of('a').letterBytes, of('b').letterBytes, of('c').letterBytes], [0, 0, 410]);
  ledger.held(batchOf('1#1-2', 2), [0]);
  t.match([of('a').backlogBytes, of('b').backlogBytes], [100, 0], 'it keeps the whole file');
  ledger.held(batchOf('1#3-4', 1), [0]);
  ledger.held(batchOf('1#4-5', 2), [0]);
  t.equal(of('a').backlogBytes, 100, 'if it is not known who, nothing changes');
  t.end();
});

void t.test('when nobody knows, each has its part of the dead letters', (t) => {
  const { append, of, ledger } = place();
  append('1', 'a', 'a', 'a', 'b');
  ledger.refused(batchOf('1', 3), refused(0, 1));
  t.equal(of('a').letterBytes, 615, 'an event was found damaged');
  t.equal(of('b').letterBytes, 205);
  t.end();
});

void t.test('a batch that stays is charged to those who keep it', (t) => {
  const { append, settle, of, ledger } = place();
  append('1', ...Array<string>(9).fill('a'), 'b');
  t.match([of('a').backlogBytes, of('b').backlogBytes], [90, 10]);
  ledger.held(batchOf('1', 10), [9]);
  t.match([of('a').backlogBytes, of('b').backlogBytes], [0, 100]);
  ledger.held(batchOf('1', 10), []);
  ledger.held(batchOf('1', 9), [0]);
  ledger.held(batchOf('8', 9), [0]);
  t.match([of('a').backlogBytes, of('b').backlogBytes], [0, 100], 'if it is not known who, nothing changes');
  settle('1');
  t.match([of('a').backlogBytes, of('b').backlogBytes], [0, 0]);
  t.end();
});

void t.test('batches that someone has deleted are given up', (t) => {
  const { append, of, ledger, log } = place();
  for (let n = 0; n < 10; n++) append(String(n), 'a');
  ledger.check();
  t.equal(of('a').backlogBytes, 1000);
  log.pendingBytes -= 700;
  ledger.check();
  t.equal(of('a').backlogBytes, 300);
  t.equal(ledger.entries, 3);
  t.end();
});

void t.test('a batch with very many runs is bounded, too, and merged clients are followed', (t) => {
  const { append, of, ledger, accounts, settle } = place();
  append('1', ...Array.from({ length: 9000 }, (_each, index) => (index % 2 === 0 ? 'a' : 'b')));
  t.equal(of('a').backlogEvents, 4500);
  ledger.refused(batchOf('1', 9000), refused(0));
  t.equal(of('a').letterBytes, 205, 'the order of its events is forgotten');
  const [one] = accounts.all;
  const other = accounts.of(clientAt('c'));
  one?.mergeInto(other);
  accounts.merged();
  settle('1');
  t.equal(other.backlogBytes, 0, 'what became of it is settled there');
  t.end();
});

void t.test('a file that events of several of its batches keep in the log is all of theirs', (t) => {
  const { ledger, append, of } = place();
  const batch = (from: number, to: number): Batch =>
    new Batch({ name: `1#${from}-${to}`, key: '', events: to - from + 1, bytes: Buffer.alloc(0) });
  append('1', ...Array.from({ length: 9 }, () => 'a'), 'b', ...Array.from({ length: 9 }, () => 'b'), 'c');
  ledger.held(
    batch(1, 10),
    Array.from({ length: 9 }, (_each, place) => place),
  );
  ledger.held(batch(11, 20), [9]);
  t.match(of('a'), { backlogBytes: 180 }, 'nine of the ten events that hold it');
  t.match(of('c'), { backlogBytes: 20 }, 'one of them');
  t.match(of('b'), { backlogBytes: 0 });
  t.end();
});

void t.test('files that become smaller are not taken for files that are gone', (t) => {
  const { log, ledger, append, compress, of } = place();
  const clients = ['a', 'b', 'c'];
  const batches = Array.from({ length: 40 }, (_, batch) => `${batch + 1}`);
  for (const batch of batches)
    append(batch, ...Array.from({ length: 70 }, (_, n) => clients[n % clients.length] ?? null));
  for (const batch of batches.slice(1)) {
    compress(batch, BLOCK);
    ledger.check();
  }
  t.equal(ledger.entries, batches.length, 'no batch is forgotten');
  const all = clients.reduce((sum, id) => sum + (of(id)?.backlogBytes ?? 0), 0);
  t.equal(all, log.pendingBytes, 'all bytes count for those whose events they are');
  t.end();
});
