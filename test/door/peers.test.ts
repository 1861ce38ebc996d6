import type { Socket } from 'node:net';
import t from 'tap';
import { forwardedFor } from '../../lib/door/forwarded.js';
import { Peers } from '../../lib/door/peers.js';
import type { RequestHead } from '../../lib/seams/source.js';

const PROXIES = ['10.0.0.0/8', '2001:db8:aaaa::/48', '192.0.2.100'];

function headWith(headers: Readonly<Record<string, string>>): RequestHead & { asked: number } {
  const head = {
    target: '/events',
    asked: 0,
    headersWith: () => new Map<string, string>(),
    header: (name: string) => {
      head.asked++;
      return headers[name];
    },
  };
  return head;
}

function peersWith(trustedProxies: readonly string[]): Peers {
  return new Peers({ trustedProxies, clientEventsPerSecond: 5, clientBytesPerSecond: null });
}

const socketFrom = (remoteAddress: string | undefined): Socket => ({ remoteAddress }) as Socket;
const isTrusted = (address: string): boolean => address.startsWith('10.');

void t.test('the last address that is no proxy counts, in either header', (t) => {
  const cases: readonly (readonly [string, string | null])[] = [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.9, 192.0.2.1', '192.0.2.1'],
    ['192.0.2.9,192.0.2.1 , 10.0.0.1,10.0.0.2', '192.0.2.1'],
    ['10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['nonsense, 192.0.2.1', '192.0.2.1'],
    ['192.0.2.1, nonsense', null],
    ['192.0.2.1, ', null],
    ['192.0.2.1, nonsense, 10.0.0.1', null],
    ['192.0.2.1:1234', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['2001:DB8:0:0::0001', '2001:db8::1'],
    ['fe80::1%eth0', null],
    ['192.0.2.256', null],
    ['192.0.2.1:x', null],
    ['', null],
  ];
  for (const [header, address] of cases)
    t.equal(forwardedFor(headWith({ 'x-forwarded-for': header }), isTrusted), address, header);
  t.end();
});

void t.test('Forwarded is read as RFC 7239 has it', (t) => {
  const cases: readonly (readonly [string, string | null])[] = [
    ['for=192.0.2.1', '192.0.2.1'],
    ['For="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    ['for=192.0.2.60;proto=http;by=203.0.113.43', '192.0.2.60'],
    ['for=192.0.2.9, for=198.51.100.17', '198.51.100.17'],
    ['for=192.0.2.43,for="192.0.2.1:_port"\t;  proto="https"', '192.0.2.1'],
    ['for=192.0.2.1, for=10.0.0.1;host="a,b;for=192.0.2.9"', '192.0.2.1'],
    ['for="192.0.2.\\1"', '192.0.2.1'],
    ['for=unknown', null],
    ['for=_hidden, for=_SEVKISEK', null],
    ['for=192.0.2.1, by=10.0.0.1', null],
    ['for=192.0.2.1, for="unterminated', null],
    ['for=192.0.2.1 nonsense', null],
    ['for=[2001:db8::1]', null],
    ['for=192.0.2.1,', null],
    ['nonsense', null],
    ['', null],
  ];
  for (const [header, address] of cases)
    t.equal(forwardedFor(headWith({ forwarded: header }), isTrusted), address, header);
  t.end();
});

void t.test('if a request has both, they must agree', (t) => {
  const both = (forwarded: string, xForwardedFor: string): string | null =>
    forwardedFor(headWith({ forwarded, 'x-forwarded-for': xForwardedFor }), isTrusted);
  t.equal(both('for=192.0.2.1', '192.0.2.9, 192.0.2.1'), '192.0.2.1');
  t.equal(both('for=192.0.2.9', '192.0.2.1'), null);
  t.equal(both('nonsense', '192.0.2.1'), null);
  t.equal(forwardedFor(headWith({}), isTrusted), null);
  t.end();
});

void t.test('a header of any length is read in time that grows with it', (t) => {
  const startMs = performance.now();
  for (const piece of ['for=1,', 'for="', 'for="\\', '192.0.2.1,', ';', '"', ' ', 'for=10.0.0.1,', '[', '1.'])
    forwardedFor(
      headWith({ forwarded: piece.repeat(3000), 'x-forwarded-for': piece.repeat(3000) }),
      isTrusted,
    );
  const tookMs = performance.now() - startMs;
  t.ok(tookMs < 1000, `${tookMs} ms`);
  t.end();
});

void t.test('only a trusted proxy may say who sends', (t) => {
  const peers = peersWith(PROXIES);
  const senderAt = (address: string | undefined): string =>
    peers.sendersOf(headWith({ 'x-forwarded-for': '198.51.100.7' }))(peers.of(socketFrom(address))).id;
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8:aaaa:1::1', '192.0.2.100'])
    t.equal(senderAt(address), '198.51.100.7', address);
  for (const [address, id] of [
    ['11.1.2.3', '11.1.2.3'],
    ['::ffff:11.1.2.3', '11.1.2.3'],
    ['2001:db8:aaab:1::1', '2001:db8:aaab:1'],
    ['192.0.2.101', '192.0.2.101'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    [undefined, ''],
  ] as const)
    t.equal(senderAt(address), id, `${address}`);
  t.equal(peersWith([]).of(socketFrom('10.1.2.3')).isTrusted, false);
  t.end();
});

void t.test('a connection is looked at once, and a head once', (t) => {
  const peers = peersWith(PROXIES);
  const [stranger, proxy] = [socketFrom('198.51.100.1'), socketFrom('10.0.0.1')];
  t.equal(peers.of(stranger), peers.of(stranger));
  t.match(peers.of(stranger).client, {
    id: '198.51.100.1',
    limits: { eventsPerSecond: 5, bytesPerSecond: null },
  });
  const head = headWith({ 'x-forwarded-for': '198.51.100.7' });
  const senderOf = peers.sendersOf(head);
  t.equal(senderOf(peers.of(stranger)), peers.of(stranger).client);
  t.equal(head.asked, 0, 'who is not trusted is not asked');
  const client = senderOf(peers.of(proxy));
  t.match(client, { id: '198.51.100.7', limits: { eventsPerSecond: 5 } });
  const { asked } = head;
  t.equal(senderOf(peers.of(socketFrom('10.0.0.2'))), client);
  t.equal(head.asked, asked);
  t.end();
});
