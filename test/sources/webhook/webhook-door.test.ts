import t from 'tap';
import type { Test } from 'tap';
import { metricsRoute } from '../../../lib/observe/metrics/metrics-route.js';
import type { Source } from '../../../lib/seams/source.js';
import { openRaw, post } from '../../helpers/raw-door.js';
import type { Door } from '../../helpers/raw-door.js';
import type { RawAnswer } from '../../helpers/raw-client.js';
import { scrape } from '../../helpers/scrape.js';
import { nowSeconds, openSource, SECRET, secretFile, SENDERS } from '../../helpers/webhook-senders.js';

type Headers = Readonly<Record<string, string>>;

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

interface Hooked extends Door {
  readonly send: (body: string, headers?: Headers, query?: string) => Promise<RawAnswer>;
  /** The events that the sink has, in order. */
  readonly events: (count: number) => Promise<readonly Readonly<Record<string, unknown>>[]>;
}

/** A door with this source alone, on the fast path and without it. */
async function hooked(t: Test, source: Source, isFast: boolean): Promise<Hooked> {
  const door = await openRaw(t, { sources: [source] });
  const client = await door.connect();
  const send: Hooked['send'] = async (body, headers = {}, query = '') => {
    const all = { ...headers, ...(isFast ? {} : { Prefer: 'x' }), 'Content-Length': Buffer.byteLength(body) };
    await client.send(post(all, body, source.path + query));
    return client.answer();
  };
  const events: Hooked['events'] = async (count) => {
    await door.sink.received(count);
    return door.sink.lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  };
  return { ...door, send, events };
}

function onBothWays(title: string, check: (t: Test, isFast: boolean) => Promise<void>): void {
  for (const isFast of [true, false])
    void t.test(`${title}, ${isFast ? 'fast path' : 'node:http'}`, async (t) => check(t, isFast));
}

onBothWays('any body becomes one event, answered as set', async (t, isFast) => {
  const source = openSource(t, 'hook=/in/hook,format=webhook,status=200,query=on,headers=x-a,id=/id');
  const { send, events, server } = await hooked(t, source, isFast);
  const bodies = ['{"id":"a","n":1.0}', '', 'text', '[\n]'];
  for (const body of bodies)
    t.match(await send(body, { 'X-A': body.slice(0, 1) }), { status: 200, body: '{"status":"accepted"}\n' });
  t.equal(server.handedOverConnections, isFast ? 0 : 1);
  t.equal((await send('1', {}, '?k=%31&q')).status, 200, 'with a query it is for node:http');
  t.equal(server.handedOverConnections, 1);
  const [first, empty, , pretty, last] = await events(5);
  t.match(first, { id: 'a', type: 'hook', source: 'hook', data: { n: 1 }, headers: { 'x-a': '{' } });
  t.notOk('query' in (first ?? {}));
  t.match(empty, { data: '', headers: { 'x-a': '' } });
  t.match(pretty, { data: [], body: '[\n]' });
  t.match(last, { data: 1, query: 'k=%31&q' });
  t.equal(server.counts.idsMade.get('hook'), 4);
});

void t.test('ids that were made, and signatures that are wrong, are on /metrics by source', async (t) => {
  const source = openSource(t, `hook=/in/hook,format=github,secret-file=${secretFile(t, SECRET)}`);
  const { send, events, server, forebay } = await hooked(t, source, true);
  server.addRoutes([['/metrics', metricsRoute({ forebay, door: server, sharedMs: 0 })]]);
  const look = async (): Promise<readonly number[]> => {
    const seen = await scrape(server.port);
    return [
      seen.value('forebay_source_ids_made_total', { source: 'hook' }),
      seen.value('forebay_source_events_accepted_total', { source: 'hook' }),
    ];
  };
  t.same(await look(), [0, 0]);
  const headers = SENDERS['github']?.headers('a', 'x', SECRET, 0) ?? {};
  const { 'X-GitHub-Delivery': _, ...withoutId } = headers;
  t.equal((await send('x', headers)).status, 202);
  t.equal((await send('x', withoutId)).status, 202);
  t.equal((await send('y', headers)).status, 401);
  await events(2);
  t.same(await look(), [1, 2]);
  const refused = { source: 'hook', code: 'SIGNATURE_WRONG' };
  t.equal((await scrape(server.port)).value('forebay_events_refused_total', refused), 1);
});

onBothWays(
  'Slack: the challenge is answered once its signature is right, and nothing is stored',
  async (t, isFast) => {
    const source = openSource(t, `slack=/in/slack,secret-file=${secretFile(t, SECRET)}`);
    const { send, events, server } = await hooked(t, source, isFast);
    const signed = (body: string, secret = SECRET): Headers =>
      SENDERS['slack']?.headers('', body, secret, nowSeconds()) ?? {};
    const challenge = '{"token":"t","challenge":"3eZbrw1a\\"","type":"url_verification"}';
    t.match(await send(challenge, signed(challenge)), { status: 200, body: '{"challenge":"3eZbrw1a\\""}\n' });
    t.match(await send(challenge, signed(challenge, 'other')), { status: 401, body: /SIGNATURE_WRONG/ });
    const command = 'command=%2Fweather&text=94070&payload=%7B%22type%22%3A%22url_verification%22%7D';
    t.match(await send(command, { ...FORM, ...signed(command) }), { status: 200, body: '' });
    for (const body of [
      '{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}',
      '{"type":"app_rate_limited"}',
      '{"type":"url_verification"}',
      '{"type":"url_verification","challenge":""}',
    ])
      t.match(await send(body, signed(body)), { status: 200, body: '' });
    t.match(await events(5), [
      { type: 'slack', data: command },
      { id: 'Ev1', type: 'app_mention', source: 'slack' },
      { type: 'app_rate_limited' },
      { type: 'url_verification' },
      { type: 'url_verification' },
    ]);
    t.equal(server.counts.acceptedEvents.get('slack'), 5);
  },
);

onBothWays('presets find id and type where their senders put them', async (t, isFast) => {
  for (const [format, type] of Object.entries({
    github: 'ping',
    'standard-webhooks': 't',
    svix: 't',
    stripe: 'charge.succeeded',
    slack: 'app_mention',
    shopify: 'orders/create',
  })) {
    const kind = format === 'svix' ? 'standard-webhooks' : format;
    const source = openSource(t, `hook=/in/hook,format=${kind},secret-file=${secretFile(t, SECRET)}`);
    const { send, events } = await hooked(t, source, isFast);
    const sender = SENDERS[format];
    const body = sender?.body('id-1') ?? '';
    const { status } = await send(body, sender?.headers('id-1', body, SECRET, nowSeconds()));
    t.equal(status, format === 'slack' ? 200 : 202);
    t.match(await events(1), [{ id: 'id-1', type, source: 'hook' }], format);
  }
});

void t.test('GitHub may send forms', async (t) => {
  const source = openSource(t, `github=/in/github,secret-file=${secretFile(t, SECRET)}`);
  const { send, events } = await hooked(t, source, true);
  const body = 'payload=%7B%22zen%22%3A%22Design+for+failure.%22%7D';
  const headers = SENDERS['github']?.headers('f', body, SECRET, 0) ?? {};
  t.equal((await send(body, { ...FORM, ...headers })).status, 202);
  t.match(await events(1), [{ id: 'f', type: 'ping', data: body }]);
});

void t.test('what a preset does can be set otherwise', async (t) => {
  const settings = 'status=200,id=/n,type-default=x,type=/none,signature-header=x-own,prefix=,headers=x-own';
  const source = openSource(t, `github=/in/github,secret-file=${secretFile(t, SECRET)},${settings}`);
  const { send, events } = await hooked(t, source, true);
  const { 'X-Signature': signature = '' } = SENDERS['hmac']?.headers('', '{"n":7}', SECRET, 0) ?? {};
  t.equal((await send('{"n":7}', { 'X-Own': signature })).status, 200);
  t.match(await events(1), [{ id: '7', type: 'x', headers: { 'x-own': signature } }]);
});
