import t from 'tap';
import type { Test } from 'tap';
import { createForebay } from '../../../lib/forebay.js';
import { markedLine } from '../../../lib/logs/file/checksum.js';
import { openStreamLog } from '../../../lib/open-log.js';
import { fromObject } from '../../../lib/settings/option-table.js';
import { LOG_SETTINGS } from '../../../lib/settings/log-settings.js';
import { CollectingSink } from '../../helpers/collecting-sink.js';
import { openHttp } from '../../helpers/http-door.js';
import type { HttpDoor } from '../../helpers/http-door.js';
import { LogStreams } from '../../helpers/log-streams.js';
import { NatsCluster } from '../../helpers/nats-cluster.js';
import { eventText, idsOf } from '../../helpers/running-forebay.js';
import { until } from '../../helpers/wait-for.js';

const skip = NatsCluster.missing();
const PAYLOAD_MAX = 65_536;
const configuration = `max_payload: ${PAYLOAD_MAX}`;
const starting = skip === false ? NatsCluster.start(t, { configuration }) : null;

/** An instance with a sink that holds what it gets, and its door. */
async function instance(
  t: Test,
  backlogBytesMax: number,
): Promise<{ streams: LogStreams; sink: CollectingSink; door: HttpDoor }> {
  if (starting === null) throw new Error(String(skip));
  const streams = await LogStreams.at(t, await starting);
  const { url: logUrl, logName } = streams;
  const ofLog = fromObject(LOG_SETTINGS, { logUrl, logName, logReplicas: 1 });
  const sink = new CollectingSink();
  sink.held = true;
  const forebay = createForebay({
    sink,
    batchWaitMs: 10,
    backlogBytesMax,
    deadLettersBytesMax: 2 ** 20,
    openLog: async (context) => openStreamLog(context, ofLog, new AbortController().signal),
  });
  t.teardown(async () => {
    sink.release();
    await forebay.stop(0);
  });
  await forebay.start();
  return { streams, sink, door: await openHttp(t, forebay) };
}

void t.test('an event that no message can hold gets 413, and harms no other', { skip }, async (t) => {
  const { streams, sink, door } = await instance(t, 2 ** 26);
  const large = eventText('large', 'x'.repeat(PAYLOAD_MAX));
  const most = eventText('most', 'x'.repeat(PAYLOAD_MAX - 2048));
  const ids = Array.from({ length: 20 }, (_each, index) => `small-${index}`);
  // in the same commit
  const [refused, taken, ...others] = await Promise.all([
    door.post(large),
    door.post(most),
    ...ids.map(async (id) => door.post(eventText(id))),
  ]);
  t.match(refused, { status: 413, code: 'EVENT_TOO_LARGE', retryAfter: null });
  t.same(
    [taken, ...others].map((answer) => answer?.status),
    Array<number>(21).fill(202),
  );
  sink.release();
  await sink.received(21);
  t.same(idsOf(sink.lines).toSorted(), ['most', ...ids].toSorted(), 'what was refused is not delivered');
  await until(async () => (await streams.messagesOf(streams.names.events)) === 0, 'all are confirmed');
});

void t.test('a full stream gets 429, and takes events again once some are delivered', { skip }, async (t) => {
  const { streams, sink, door } = await instance(t, 2 ** 20);
  const { names } = streams;
  t.equal((await door.post(eventText('first'))).status, 202);
  // another instance fills it, so this one hears it from the servers
  const line = markedLine(eventText('other', 'x'.repeat(60_000)));
  let puts = 0;
  const fill = async (): Promise<boolean> =>
    streams.put(`${names.events}.1`, line).then(
      () => ++puts === 0,
      (error: unknown) => /maximum bytes exceeded/.test(String(error)),
    );
  await until(fill, 'the stream is full');
  const large = eventText('second', 'x'.repeat(60_000));
  const full = await door.post(large);
  t.match(full, { status: 429, code: 'BACKLOG_FULL' });
  t.ok((full.retryAfter ?? 0) >= 1, `Retry-After: ${full.retryAfter}`);
  sink.release();
  await sink.received(1 + puts);
  await until(async () => (await door.post(large)).status === 202, 'the door takes events again');
  await sink.received(2 + puts);
  t.same(
    idsOf(sink.lines).filter((id) => id !== 'other'),
    ['first', 'second'],
  );
});
