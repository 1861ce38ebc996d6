import { jetstreamManager } from '@nats-io/jetstream';
import type { JetStreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { NatsConnection } from '@nats-io/transport-node';
import { Reporter } from '../../lib/base/reporter.js';
import { openStreamLog } from '../../lib/logs/jetstream/open-stream-log.js';
import { namesOfStream, streamIdOf, streamNames } from '../../lib/logs/jetstream/stream-names.js';
import type { StreamNames } from '../../lib/logs/jetstream/stream-names.js';
import { LOG_SETTINGS } from '../../lib/settings/log-settings.js';
import { fromObject } from '../../lib/settings/option-table.js';
import { PIPELINE_SETTINGS } from '../../lib/settings/pipeline-settings.js';
import type { NatsCluster } from './nats-cluster.js';
import type { Scope } from './temp-dir.js';

let names = 0;
/** An answer is waited for on a slow machine, too, in milliseconds. */
const ANSWER_MS = 20_000;

/** The streams of a log on one server, each log with its own name, and a client that is no instance. */
export class LogStreams {
  readonly logName: string;
  names: StreamNames;
  readonly url: string;
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;

  private constructor(logName: string, url: string, nc: NatsConnection, jsm: JetStreamManager) {
    this.logName = logName;
    this.names = streamNames(logName);
    this.url = url;
    this.nc = nc;
    this.jsm = jsm;
  }

  /** There are no streams yet. */
  static async at(t: Scope, cluster: NatsCluster): Promise<LogStreams> {
    const url = await cluster.urls();
    const nc = await connect({ servers: url.replace('nats://', '') });
    t.teardown(async () => nc.close());
    return new LogStreams(`log-${++names}`, url, nc, await jetstreamManager(nc, { timeout: ANSWER_MS }));
  }

  /** As an instance has made them. */
  static async made(t: Scope, cluster: NatsCluster): Promise<LogStreams> {
    const streams = await LogStreams.at(t, cluster);
    const settings = {
      ...fromObject(PIPELINE_SETTINGS, { backlogBytesMax: 2 ** 26, deadLettersBytesMax: 2 ** 24 }),
      ...fromObject(LOG_SETTINGS, { logUrl: streams.url, logName: streams.logName, logReplicas: 1 }),
    };
    const log = await openStreamLog(settings, new Reporter(), new AbortController().signal);
    await log.close();
    const { created } = await streams.jsm.streams.info(streams.names.events);
    streams.names = namesOfStream(streams.names, streamIdOf(streams.names.events, created));
    return streams;
  }

  /** For a tool, or for a server. */
  get flags(): string[] {
    return ['--log', 'jetstream', '--log-url', this.url, '--log-name', this.logName];
  }

  /** @returns the number of the message */
  async put(subject: string, data: Uint8Array | string): Promise<number> {
    const answer = await this.nc.request(subject, data, { timeout: ANSWER_MS });
    const { seq, error } = answer.json<{ seq: number; error?: object }>();
    if (error !== undefined) throw new Error(`${subject}: ${JSON.stringify(error)}`);
    return seq;
  }

  async messagesOf(stream: string): Promise<number> {
    return (await this.jsm.streams.info(stream)).state.messages;
  }
}
