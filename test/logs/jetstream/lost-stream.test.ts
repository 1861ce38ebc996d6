import t from 'tap';
import type { Test } from 'tap';
import { createForebay } from '../../../lib/forebay.js';
import type { Forebay } from '../../../lib/forebay.js';
import { openStreamLog } from '../../../lib/open-log.js';
import { fromObject } from '../../../lib/settings/option-table.js';
import { LOG_SETTINGS } from '../../../lib/settings/log-settings.js';
import { CollectingSink } from '../../helpers/collecting-sink.js';
import { LogStreams } from '../../helpers/log-streams.js';
import { NatsCluster } from '../../helpers/nats-cluster.js';
import { eventText } from '../../helpers/running-forebay.js';
import { until } from '../../helpers/wait-for.js';

const skip = NatsCluster.missing();
const starting = skip === false ? NatsCluster.start(t) : null;

async function running(
  t: Test,
  { logOrder = false, sink = new CollectingSink(), streams }: Partial<Instance> = {},
): Promise<Instance & { readonly forebay: Forebay }> {
  if (starting === null) throw new Error(String(skip));
  const at = streams ?? (await LogStreams.at(t, await starting));
  const ofLog = fromObject(LOG_SETTINGS, { logUrl: at.url, logName: at.logName, logReplicas: 1, logOrder });
  const forebay = createForebay({
    sink,
    batchWaitMs: 10,
    openLog: async (context) => openStreamLog(context, ofLog, new AbortController().signal),
  });
  t.teardown(async () => {
    sink.release();
    await forebay.stop(0);
  });
  await forebay.start();
  return { logOrder, sink, streams: at, forebay };
}

interface Instance {
  readonly logOrder: boolean;
  readonly sink: CollectingSink;
  readonly streams: LogStreams;
}

void t.test(
  'a stream that is deleted and made again ends the instance, and a new one goes on',
  { skip },
  async (t) => {
    const first = await running(t);
    const { streams } = first;
    await first.forebay.write(eventText('a'));
    await until(() => first.sink.lines.length === 1, 'the first event is delivered');
    const { config } = await streams.jsm.streams.info(streams.names.events);
    await streams.jsm.streams.delete(streams.names.events);
    await streams.jsm.streams.add(config);
    await t.rejects(first.forebay.broken, { message: /was deleted and made again|its consumer is gone/ });
    const second = await running(t, { streams });
    await second.forebay.write(eventText('b'));
    await until(() => second.sink.lines.length === 1, 'an event of the new stream is delivered');
  },
);

void t.test(
  'a consumer that is gone ends the instance, and a new one makes it again',
  { skip },
  async (t) => {
    const first = await running(t);
    const { streams } = first;
    const [consumer] = await streams.jsm.consumers.list(streams.names.events).next();
    await streams.jsm.consumers.delete(streams.names.events, consumer?.name ?? '');
    await t.rejects(first.forebay.broken, { message: /its consumer is gone/ });
    const second = await running(t, { streams });
    await second.forebay.write(eventText('a'));
    await until(() => second.sink.lines.length === 1, 'it is delivered');
  },
);

void t.test('another --log-order is refused while the consumer is there', { skip }, async (t) => {
  const { streams } = await running(t);
  await t.rejects(running(t, { streams, logOrder: true }), {
    code: 'LOG_UNUSABLE',
    message: /is delivered without an order by other instances/,
  });
});
