import t from 'tap';
import type { Test } from 'tap';
import { createForebay } from '../../../lib/forebay.js';
import { markedLine } from '../../../lib/logs/file/checksum.js';
import { openStreamLog } from '../../../lib/open-log.js';
import { LOG_SETTINGS } from '../../../lib/settings/log-settings.js';
import { fromObject } from '../../../lib/settings/option-table.js';
import { CollectingSink } from '../../helpers/collecting-sink.js';
import { LogStreams } from '../../helpers/log-streams.js';
import { NatsCluster } from '../../helpers/nats-cluster.js';
import { eventText, idsOf } from '../../helpers/running-forebay.js';
import { until } from '../../helpers/wait-for.js';

const skip = NatsCluster.missing();
/** The bound of a quarantine, and messages of which eight fit. */
const BYTES_MAX = 64 * 2 ** 20;
const PAYLOAD_MAX = 8 * 2 ** 20;
const LARGE = Buffer.alloc(PAYLOAD_MAX - 2 ** 16, 'x');
const FIT = 8;
const configuration = `max_payload: ${PAYLOAD_MAX}`;
const starting = skip === false ? NatsCluster.start(t, { configuration }) : null;

/** An instance on these streams, and what it says. */
async function instance(t: Test, streams: LogStreams): Promise<{ sink: CollectingSink; said: string[] }> {
  const { url: logUrl, logName } = streams;
  const ofLog = fromObject(LOG_SETTINGS, { logUrl, logName, logReplicas: 1 });
  const sink = new CollectingSink();
  const said: string[] = [];
  const line = (_fields: object, text: string): void => void said.push(text);
  const forebay = createForebay({
    sink,
    batchWaitMs: 10,
    backlogBytesMax: 2 ** 26,
    deadLettersBytesMax: 2 ** 20,
    logger: { debug: line, info: line, warn: line, error: line },
    openLog: async (context) => openStreamLog(context, ofLog, new AbortController().signal),
  });
  t.teardown(async () => forebay.stop(0));
  await forebay.start();
  return { sink, said };
}

void t.test(
  'while the quarantine is full, a damaged message waits, and others go on',
  { skip },
  async (t) => {
    if (starting === null) throw new Error(String(skip));
    const streams = await LogStreams.at(t, await starting);
    const { names, jsm } = streams;
    const { sink, said } = await instance(t, streams);
    t.equal((await jsm.streams.info(names.quarantine)).config.max_bytes, BYTES_MAX);
    for (let n = 1; n <= FIT; n++) await streams.put(`${names.quarantine}.9`, LARGE);
    const lines = [markedLine(eventText('beside')), `${LARGE.toString()}\n`];
    const damaged = await streams.put(`${names.events}.2`, lines.join(''));
    await until(
      () => said.some((text) => /log-\d+-quarantine is full, and message \d+ is damaged/.test(text)),
      'it says why',
    );
    await until(
      () => said.some((text) => /cannot be read: others go first/.test(text)),
      'it lets others go first',
    );
    await streams.put(`${names.events}.1`, markedLine(eventText('other')));
    await sink.received(1);
    t.same(idsOf(sink.lines), ['other']);
    t.not(await jsm.streams.getMessage(names.events, { seq: damaged }), null, 'it is still in the stream');
    await jsm.streams.purge(names.quarantine);
    await sink.received(2);
    t.same(idsOf(sink.lines), ['other', 'beside']);
    const aside = await jsm.streams.getMessage(names.quarantine, {
      last_by_subj: `${names.quarantine}.${damaged}`,
    });
    t.equal(aside?.data.length, LARGE.length + 1);
    await until(async () => (await streams.messagesOf(names.events)) === 0, 'both are confirmed');
  },
);

void t.test(
  'a quarantine of an earlier version, without a bound, loses nothing to it',
  { skip },
  async (t) => {
    if (starting === null) throw new Error(String(skip));
    const streams = await LogStreams.at(t, await starting);
    const { names, jsm } = streams;
    const name = names.quarantine;
    await jsm.streams.add({ name, subjects: [`${name}.>`], storage: 'file', discard: 'new' });
    for (let n = 1; n <= FIT + 1; n++) await streams.put(`${name}.9`, LARGE);
    await instance(t, streams);
    const { config, state } = await jsm.streams.info(name);
    t.equal(config.max_bytes, BYTES_MAX);
    t.equal(state.messages, FIT + 1);
  },
);
