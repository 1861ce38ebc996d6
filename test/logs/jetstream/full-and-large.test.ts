import t from 'tap';
import type { Test } from 'tap';
import { createForebay } from '../../../lib/forebay.js';
import type { Forebay } from '../../../lib/forebay.js';
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
const BATCH_BYTES = 131_072;
const configuration = `max_payload: ${PAYLOAD_MAX}`;
const starting = skip === false ? NatsCluster.start(t, { configuration }) : null;

/** An instance with a sink that holds what it gets, and its door. */
async function instance(
  t: Test,
  backlogBytesMax: number,
  logCompress: 'on' | 'off' = 'on',
): Promise<{ streams: LogStreams; sink: CollectingSink; door: HttpDoor; forebay: Forebay }> {
  if (starting === null) throw new Error(String(skip));
  const streams = await LogStreams.at(t, await starting);
  const { url: logUrl, logName } = streams;
  const ofLog = fromObject(LOG_SETTINGS, { logUrl, logName, logReplicas: 1 });
  const sink = new CollectingSink();
  sink.held = true;
  const forebay = createForebay({
    sink,
    batchWaitMs: 10,
    batchBytes: BATCH_BYTES,
    backlogBytesMax,
    logCompress,
    deadLettersBytesMax: 2 ** 20,
    openLog: async (context) => openStreamLog(context, ofLog, new AbortController().signal),
  });
  t.teardown(async () => {
    sink.release();
    await forebay.stop(0);
  });
  await forebay.start();
  return { streams, sink, door: await openHttp(t, forebay), forebay };
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
  const { streams, sink, door, forebay } = await instance(t, 2 ** 20, 'off');
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
  const seen = forebay.statistics();
  // else the page says that the servers take no events
  t.same([seen?.failedEvents, seen?.groupEvents.sum], [0, 1], 'it is no failure of the log');
  sink.release();
  await sink.received(1 + puts);
  await until(async () => (await door.post(large)).status === 202, 'the door takes events again');
  await sink.received(2 + puts);
  t.same(
    idsOf(sink.lines).filter((id) => id !== 'other'),
    ['first', 'second'],
  );
});

void t.test('compressed messages make room, and batches count their lines', { skip }, async (t) => {
  const { streams, sink, door } = await instance(t, 2 ** 18);
  const { names, jsm } = streams;
  const event = (n: number): string => eventText(`e-${n}`, 'x'.repeat(20_000));
  // uncompressed, 13 of them fill the stream
  for (let n = 1; n <= 100; n++) t.equal((await door.post(event(n))).status, 202);
  const { data } = (await jsm.streams.getMessage(names.events, { seq: 1 })) ?? {};
  t.same(data?.subarray(0, 2), Uint8Array.of(0x1f, 0x8b));
  sink.release();
  await sink.received(100);
  const texts = sink.batches.map(({ text }) => text);
  t.same(idsOf(sink.lines).toSorted(), Array.from({ length: 100 }, (_each, n) => `e-${n + 1}`).toSorted());
  // messages of 200 bytes would all be in one
  const most = Math.max(...texts.map(({ length }) => length));
  t.ok(most <= BATCH_BYTES + event(1).length, `a batch of ${most} bytes`);
  await until(async () => (await streams.messagesOf(names.events)) === 0, 'all are confirmed');
});
