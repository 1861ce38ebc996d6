import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { Batch } from '../../lib/seams/batch.js';
import { HttpSink } from '../../lib/sinks/http/http-sink.js';
import { replayHeader } from '../../lib/sinks/http/replay-header.js';
import { batchOfLines } from '../helpers/batches.js';
import { clientsOf } from '../helpers/http-door.js';
import { eventText, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const contexts = (marks: string) =>
  marks.split('').map((mark) => (mark === ' ' ? null : { traceparent: null, isReplay: mark === 'r' }));

void t.test('a header names the events of a batch that are replays', (t) => {
  for (const [marks, header] of [
    ['', undefined],
    ['  . ', undefined],
    ['rrr', 'true'],
    ['r', 'true'],
    ['rrr r. rr', '0-2, 4, 7-8'],
    [' r', '1'],
    ['r '.repeat(66), `${Array.from({ length: 64 }, (_, n) => 2 * n).join(', ')}, more=2`],
  ] as const)
    t.equal(replayHeader(contexts(marks))['forebay-replay'], header, marks);
  t.end();
});

void t.test(
  'a request that says it is a replay is one at the sink; the header of any other value is none',
  async (t) => {
    const heads: (string | undefined)[] = [];
    const target = createServer((req, res) => {
      heads.push(req.headers['forebay-replay']?.toString());
      req.resume().on('end', () => res.end());
    }).listen(0, '127.0.0.1');
    await once(target, 'listening');
    t.teardown(() => {
      target.closeAllConnections();
      target.close();
    });
    const url = `http://127.0.0.1:${(target.address() as AddressInfo).port}/`;
    const sink = new HttpSink({ url });
    const { name, key, events, bytes } = batchOfLines([eventText('a'), eventText('b')]);
    await sink.deliver(
      new Batch({ name, key, events, bytes, contexts: contexts('r ') }),
      new AbortController().signal,
    );
    await sink.close();
    t.same(heads.splice(0), ['0']);

    const flags = ['--log-dir', tempDir(t), '--sink', 'http', '--sink-url', url, '--batch-wait', '10'];
    const server = await ServerProcess.start(...flags);
    const { post } = clientsOf(t, server.port);
    const send = async (body: string, headers: Record<string, string>): Promise<void> => {
      const before = heads.length;
      const { status } = await fetch(server.url, { method: 'POST', headers, body });
      t.equal(status, 202);
      await until(() => heads.length > before, 'it is delivered');
    };
    await send(eventText('a'), { 'content-type': 'application/json', 'forebay-replay': 'true' });
    await send(`${eventText('b')}\n`, { 'content-type': 'application/x-ndjson', 'forebay-replay': 'true' });
    await send(eventText('c'), { 'content-type': 'application/json', 'forebay-replay': 'yes' });
    t.match(await post(eventText('d')), { status: 202 });
    await until(() => heads.length === 4, 'all are delivered');
    t.same(heads, ['true', 'true', undefined, undefined]);
    t.equal(await server.stop('SIGTERM'), 0);
  },
);
