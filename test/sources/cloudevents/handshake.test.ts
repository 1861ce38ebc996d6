import t from 'tap';
import { cloudeventsKind } from '../../../lib/sources/cloudevents/cloudevents-source.js';
import { eventsKind } from '../../../lib/sources/events/events-source.js';
import { openRaw } from '../../helpers/raw-door.js';
import type { RawAnswer } from '../../helpers/raw-client.js';
import { sourceOf } from '../../helpers/read-source.js';

const CALLBACK = 'https://example.com/confirm?id=12345&key=x';

void t.test('a sender may ask whether it may send, and only those that are named may', async (t) => {
  const named = {
    ...sourceOf(cloudeventsKind, { 'webhook-origins': 'EventGrid.example,b.example' }),
    path: '/named',
  };
  const any = { ...sourceOf(cloudeventsKind, { 'webhook-origins': ['*', 'b.example'] }), path: '/any' };
  const none = { ...sourceOf(cloudeventsKind), path: '/none' };
  const events = sourceOf(eventsKind, { 'webhook-origins': 'eventgrid.example' });
  const { connect, server } = await openRaw(t, { sources: [named, any, none, events] });
  const client = await connect();
  const ask = async (path: string, headers: Readonly<Record<string, string>>): Promise<RawAnswer> => {
    const lines = Object.entries({ Host: 'localhost', ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    await client.send(`OPTIONS ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
    return client.answer();
  };
  const origin = { 'WebHook-Request-Origin': 'eventgrid.example' };
  const granted = (asked: string, rate: string) => ({
    status: 200,
    headers: { allow: 'POST, OPTIONS', 'webhook-allowed-origin': asked, 'webhook-allowed-rate': rate },
    body: '',
  });
  const isNotGranted = ({ headers }: RawAnswer): void => {
    t.equal(headers['webhook-allowed-origin'], undefined);
    t.equal(headers['webhook-allowed-rate'], undefined);
  };
  for (const path of ['/named', '/events']) {
    t.match(await ask(path, origin), granted('eventgrid.example', '*'));
    t.match(
      await ask(path, { ...origin, 'WebHook-Request-Rate': '120' }),
      granted('eventgrid.example', '120'),
    );
    const asynchronous = { ...origin, 'WebHook-Request-Callback': CALLBACK, 'WebHook-Request-Rate': '0' };
    t.match(await ask(path, asynchronous), granted('eventgrid.example', '*'), 'no callback is needed');
    const foreign = await ask(path, { 'WebHook-Request-Origin': 'evil.example' });
    t.match(foreign, {
      status: 403,
      headers: { allow: 'POST, OPTIONS' },
      body: /webhook-origins of the source/,
    });
    isNotGranted(foreign);
    const bare = await ask(path, {});
    t.equal(bare.status, 204, 'a preflight of a browser, which has no origin here');
    isNotGranted(bare);
  }
  t.match(await ask('/any', { 'WebHook-Request-Origin': 'anyone.example' }), granted('*', '*'));
  for (const rate of ['-1', '1.5', 'x', '1'.repeat(30)])
    t.match(await ask('/any', { ...origin, 'WebHook-Request-Rate': rate }), granted('*', '*'), rate);
  const refused = await ask('/none', origin);
  t.match(refused, { status: 405, headers: { allow: 'POST' } });
  isNotGranted(refused);
  t.equal(server.counts.answered.get('/none')?.get(405), 1);
});

void t.test('who may send is a list of names', (t) => {
  for (const bad of ['https://a.example', 'a b', 'a,*b'])
    t.throws(() => sourceOf(cloudeventsKind, { 'webhook-origins': bad }), {
      code: 'SETTING_INVALID',
      message: /"webhook-origins" of the source cloudevents must be a name like eventgrid.example/,
    });
  t.notOk('handshake' in sourceOf(cloudeventsKind, { 'webhook-origins': '' }));
  t.end();
});
