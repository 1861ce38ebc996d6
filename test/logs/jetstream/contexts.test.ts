import t from 'tap';
import type { Test } from 'tap';
import { IngestionServer } from '../../../lib/door/ingestion-server.js';
import { createForebay } from '../../../lib/forebay.js';
import type { Forebay } from '../../../lib/forebay.js';
import { openStreamLog } from '../../../lib/open-log.js';
import { fromObject } from '../../../lib/settings/option-table.js';
import { LOG_SETTINGS } from '../../../lib/settings/log-settings.js';
import { CollectingSink } from '../../helpers/collecting-sink.js';
import { LogStreams } from '../../helpers/log-streams.js';
import { NatsCluster } from '../../helpers/nats-cluster.js';
import { eventText } from '../../helpers/running-forebay.js';

const skip = NatsCluster.missing();
const starting = skip === false ? NatsCluster.start(t) : null;
const TRACED = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', isReplay: false };

/** An instance on a stream, until it is stopped. */
async function instance(t: Test, streams: LogStreams, sink: CollectingSink): Promise<Forebay> {
  const { url: logUrl, logName } = streams;
  const ofLog = fromObject(LOG_SETTINGS, { logUrl, logName, logReplicas: 1 });
  const openLog = async (
    ...[context]: Parameters<NonNullable<Parameters<typeof createForebay>[0]['openLog']>>
  ) => openStreamLog(context, ofLog, new AbortController().signal);
  const forebay = createForebay({ sink, batchWaitMs: 10, openLog });
  t.teardown(async () => {
    sink.release();
    await forebay.stop(0);
  });
  await forebay.start();
  return forebay;
}

void t.test(
  'a traceparent goes from one instance through the stream to the sink of another',
  { skip },
  async (t) => {
    if (starting === null) throw new Error(String(skip));
    const streams = await LogStreams.at(t, await starting);
    const held = new CollectingSink();
    held.held = true;
    const first = await instance(t, streams, held);
    const server = new IngestionServer({ forebay: first, port: 0 });
    await server.start();
    t.teardown(() => server.stop(0));
    const send = async (body: string, headers: Readonly<Record<string, string>>): Promise<number> => {
      const all = { 'content-type': 'application/json', ...headers };
      const answer = await fetch(`http://127.0.0.1:${server.port}/events`, {
        method: 'POST',
        headers: all,
        body,
      });
      await answer.text();
      return answer.status;
    };
    const bulk = `[${['a', 'b', 'c'].map((id) => eventText(id)).join()}]`;
    t.equal(await send(bulk, { traceparent: TRACED.traceparent }), 202);
    t.equal(await send(eventText('d'), {}), 202);
    await first.stop(0);
    const sink = new CollectingSink();
    await instance(t, streams, sink);
    await sink.received(4);
    t.strictSame(sink.contexts, { a: TRACED, b: TRACED, c: TRACED, d: null });
  },
);
