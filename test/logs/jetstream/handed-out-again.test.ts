import { once } from 'node:events';
import t from 'tap';
import { createForebay } from '../../../lib/forebay.js';
import { namesOfStream, streamIdOf } from '../../../lib/logs/jetstream/stream-names.js';
import { openStreamLog } from '../../../lib/open-log.js';
import type { Batch } from '../../../lib/seams/batch.js';
import { SinkError } from '../../../lib/seams/sink-error.js';
import { LOG_SETTINGS } from '../../../lib/settings/log-settings.js';
import { fromObject } from '../../../lib/settings/option-table.js';
import { CollectingSink } from '../../helpers/collecting-sink.js';
import { LogStreams } from '../../helpers/log-streams.js';
import { NatsCluster } from '../../helpers/nats-cluster.js';
import { eventText } from '../../helpers/running-forebay.js';
import { until } from '../../helpers/wait-for.js';

const skip = NatsCluster.missing();
const starting = skip === false ? NatsCluster.start(t) : null;

/** Refuses events with this id. */
class RefusingSink extends CollectingSink {
  override async deliver(batch: Batch, signal: AbortSignal): Promise<void> {
    await super.deliver(batch, signal);
    const index = batch.bytes
      .toString()
      .split('\n')
      .findIndex((line) => line.includes('"id":"refused"'));
    if (index >= 0) throw new SinkError('no', { refused: [{ index, reason: 'no', status: 400 }] });
  }
}

void t.test(
  'dead letters of an instance that had a message in between go once the sink has their events, and no others',
  { skip },
  async (t) => {
    if (starting === null) throw new Error(String(skip));
    const streams = await LogStreams.at(t, await starting);
    const { url: logUrl, logName, names, nc, jsm } = streams;
    const ofLog = fromObject(LOG_SETTINGS, { logUrl, logName, logReplicas: 1 });
    const sink = new RefusingSink();
    sink.held = true;
    const forebay = createForebay({
      sink,
      batchSize: 1,
      sinkConcurrency: 3,
      openLog: async (context) => openStreamLog(context, ofLog, new AbortController().signal),
    });
    t.teardown(async () => {
      sink.release();
      await forebay.stop(0);
    });
    await forebay.start();
    const attempts = async (most: number): Promise<void> => {
      while (sink.attempts.length < most) await once(sink, 'attempt');
    };
    await forebay.write(eventText('taken'));
    await attempts(1);
    await forebay.write(eventText('refused'));
    await attempts(2);
    // as another instance would, that had both in between
    const { created } = await jsm.streams.info(names.events);
    const streamId = streamIdOf(names.events, created);
    const { consumer } = namesOfStream(names, streamId);
    for (const seq of [1, 2]) {
      nc.publish(`$JS.ACK.${names.events}.${consumer}.1.${seq}.${seq}.${Date.now()}000000.0`, '-NAK');
      await streams.put(`${names.letters}.${streamId}.${seq}.0`, '{}\n');
    }
    await until(
      async () => (await jsm.consumers.info(names.events, consumer)).num_redelivered === 2,
      'both messages are handed out again',
    );
    // what comes after them is here, so they are
    await forebay.write(eventText('next'));
    await attempts(3);
    sink.release();
    await until(async () => (await streams.messagesOf(names.events)) === 0, 'everything is off the stream');
    const { state } = await jsm.streams.info(names.letters, { subjects_filter: '>' });
    t.strictSame(
      Object.keys(state.subjects ?? {}).map((subject) => subject.split('.').slice(-2)),
      [['2', '0']],
    );
  },
);
