import t from 'tap';
import { NEWEST_MAX, NewestEvents } from '../../lib/door/newest-events.js';
import { EventBlock } from '../../lib/event/event-block.js';

function heads(newest: NewestEvents): string[] {
  return newest.heads().map(({ head }) => head.toString());
}

void t.test('the newest events are kept, newest first, however many a request has', (t) => {
  const newest = new NewestEvents();
  t.same(newest.heads(), []);
  newest.note({ block: new EventBlock() });
  t.same(newest.heads(), [], 'a request of which all events were refused');
  newest.note({ block: EventBlock.of('{"a":1}') });
  newest.note({ block: EventBlock.of('{"b":2}', '{"c":34}') });
  t.same(heads(newest), ['{"c":34}', '{"b":2}', '{"a":1}']);
  t.same(
    newest.heads().map(({ bytes }) => bytes),
    [8, 7, 7],
  );
  for (let n = 0; n < 7; n++) {
    newest.note({ block: EventBlock.of(`${n}`) });
    t.equal(heads(newest)[0], `${n}`);
    t.ok(newest.heads().length <= NEWEST_MAX);
  }
  t.same(heads(newest), ['6', '5', '4', '3', '2']);
  newest.note({ block: EventBlock.of(...Array.from({ length: 1000 }, (_each, n) => `e${n}`)) });
  t.same(heads(newest), ['e999', 'e998', 'e997', 'e996', 'e995']);
  t.end();
});

void t.test('of a large event only its start is kept, in other memory than the block of its request', (t) => {
  const newest = new NewestEvents();
  const block = EventBlock.of(`{"id":"large","data":"${'x'.repeat(2 ** 20)}"}`);
  newest.note({ block });
  const [{ head, bytes, atMs } = { head: block.lineOf(0), bytes: 0, atMs: 0 }] = newest.heads();
  t.equal(head.length, 1024);
  t.equal(bytes, 2 ** 20 + 24);
  t.ok(Math.abs(Date.now() - atMs) < 10_000);
  t.not(head.buffer, block.lineOf(0).buffer);
  block.lineOf(0).fill(0);
  t.match(head.toString(), /^{"id":"large"/);
  newest.note({ block: EventBlock.of('{}') });
  for (let n = 0; n < 4; n++) newest.note({ block: EventBlock.of('{"n":1}') });
  t.same(heads(newest).at(-1), '{}', 'and nothing of the large one is left in its place');
  t.end();
});
