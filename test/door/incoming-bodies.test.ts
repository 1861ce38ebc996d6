import t from 'tap';
import type { ForebayError } from '../../lib/base/errors.js';
import { IncomingBodies } from '../../lib/door/incoming-bodies.js';
import type { IncomingBody } from '../../lib/door/incoming-bodies.js';
import { UNLIMITED } from '../../lib/seams/client.js';

const MIB = 2 ** 20;

function place() {
  const bodies = new IncomingBodies(10 * MIB, 0);
  const refused: string[] = [];
  const open = (name: string, clientId: string, ageMs: number, sentBytes = 1): IncomingBody => {
    const refuse = ({ code }: ForebayError): void => void refused.push(`${name} ${code}`);
    const startMs = performance.now() - ageMs;
    const links = { before: null, after: null };
    const body: IncomingBody = {
      ...links,
      clientId,
      startMs,
      sentBytes,
      heldBytes: 0,
      windowBytes: 0,
      refuse,
    };
    bodies.add(body);
    return body;
  };
  const of = (id: string): number => bodies.bytesOf({ id, limits: UNLIMITED });
  return { bodies, refused, open, of };
}

void t.test('the client whose bodies take most makes room, however slow the others are', (t) => {
  const { bodies, refused, open, of } = place();
  const slow = open('slow', 'modest', 60_000);
  bodies.hold(slow, MIB / 2);
  const [fast, faster] = [open('fast', 'greedy', 2000, 1e6), open('faster', 'greedy', 2000, 1e7)];
  bodies.hold(fast, 5 * MIB);
  bodies.hold(faster, 4 * MIB);
  t.same(refused, []);
  bodies.hold(slow, MIB);
  t.same(refused, ['fast CLIENT_SHARE'], 'the slowest of its own');
  t.equal(of('greedy'), 4 * MIB);
  t.equal(of('modest'), 1.5 * MIB);
  const large = open('large', 'third', 0);
  for (let piece = 0; piece < 5; piece++) bodies.hold(large, MIB);
  t.same(refused.splice(0), ['fast CLIENT_SHARE', 'large CLIENT_SHARE'], 'it takes most, then');
  bodies.remove(faster);
  bodies.remove(slow);
  t.equal(bodies.bytes, 0);
  t.match([of('greedy'), of('modest'), of('third')], [0, 0, 0]);
  t.end();
});

void t.test('one large body does not yield to many small ones', (t) => {
  const { bodies, refused, open, of } = place();
  const large = open('large', 'modest', 5000);
  bodies.hold(large, 7 * MIB);
  for (let n = 0; n < 4; n++) bodies.hold(open(`small ${n}`, 'greedy', 0), MIB);
  t.same(refused, ['small 3 CLIENT_SHARE']);
  t.equal(of('modest'), 7 * MIB);
  t.end();
});

void t.test('a client that is alone hears of a full queue, and its largest or newest body goes', (t) => {
  const { bodies, refused, open } = place();
  const [first, second] = [open('first', 'one', 0), open('second', 'one', 0)];
  bodies.hold(first, 6 * MIB);
  bodies.hold(second, 3 * MIB);
  const third = open('third', 'one', 0);
  bodies.hold(third, 2 * MIB);
  t.same(refused.splice(0), ['first QUEUE_FULL'], 'the largest');
  const small = Array.from({ length: 3 }, (_each, index) => open(`${index}`, 'one', 0));
  for (const each of small) bodies.hold(each, 2 * MIB);
  t.same(refused, ['second QUEUE_FULL']);
  t.end();
});

void t.test('windows of decoders are bounded for each client, too', (t) => {
  const { bodies, refused, open } = place();
  bodies.holdWindow(open('slow', 'modest', 60_000), MIB);
  for (let n = 0; n < 4; n++) bodies.holdWindow(open(`greedy ${n}`, 'greedy', 0), 4 * MIB);
  t.same(refused, ['greedy 3 CLIENT_SHARE']);
  t.end();
});
