import t from 'tap';
import type { Test } from 'tap';
import { Reporter } from '../../../lib/base/reporter.js';
import { openStreamLog } from '../../../lib/logs/jetstream/open-stream-log.js';
import type { StreamLog } from '../../../lib/logs/jetstream/stream-log.js';
import { fromObject } from '../../../lib/settings/option-table.js';
import { LOG_SETTINGS } from '../../../lib/settings/log-settings.js';
import { PIPELINE_SETTINGS } from '../../../lib/settings/pipeline-settings.js';
import { eventLogContract } from '../../helpers/event-log-contract.js';
import type { LogPlace } from '../../helpers/event-log-contract.js';
import { NatsCluster } from '../../helpers/nats-cluster.js';
import { until } from '../../helpers/wait-for.js';

const skip = NatsCluster.missing();
const starting = skip === false ? NatsCluster.start(t, { servers: 3 }) : null;
const BACKLOG_BYTES = 8 * 1024 * 1024;
let places = 0;

/** Streams of their own on the servers, of which all tests make use. */
function place(t: Test, deadLettersBytesMax: number = BACKLOG_BYTES): LogPlace {
  const logName = `place-${++places}`;
  let log: StreamLog | null = null;
  // a log that a failed test left open would keep its process alive
  t.teardown(async () => log?.close());
  const cluster = async (): Promise<NatsCluster> => (starting === null ? missing() : starting);
  const signal = async (name: 'SIGSTOP' | 'SIGCONT'): Promise<void> => {
    for (const server of (await cluster()).servers) server.signal(name);
  };
  return {
    async open() {
      const logUrl = await (await cluster()).urls();
      const ofPipeline = { batchSize: 2, batchWaitMs: 10_000, ackTimeoutMs: 30_000 };
      const bounds = { backlogBytesMax: BACKLOG_BYTES, deadLettersBytesMax };
      const settings = {
        ...fromObject(PIPELINE_SETTINGS, { ...ofPipeline, ...bounds }),
        ...fromObject(LOG_SETTINGS, { logUrl, logName }),
      };
      log = await openStreamLog(settings, new Reporter(), new AbortController().signal);
      return log;
    },
    hold: async () => signal('SIGSTOP'),
    release: async () => signal('SIGCONT'),
    async lose() {
      const { servers } = await cluster();
      await Promise.all(servers.map(async (server) => server.end('SIGKILL')));
      await until(() => log?.isConnected !== true, 'the log knows that no server is there');
    },
    async doubt() {
      await signal('SIGSTOP');
    },
    async mend() {
      const all = await cluster();
      for (const server of all.servers) if (!server.isRunning) server.start();
      await signal('SIGCONT');
      await all.ready();
      // the stream has a leader, and so has its consumer
      const isUp = async (): Promise<boolean> => log?.probe().then(always, never) ?? false;
      await until(isUp, 'the log reaches the servers, and they agree on who leads');
    },
  };
}

const always = (): boolean => true;
const never = (): boolean => false;

function missing(): never {
  throw new Error(String(skip));
}

eventLogContract('stream on three servers', {
  place,
  skip,
  isShared: true,
  apart: { cannot: 'what the servers have after all is delivered by this run' },
  late: { cannot: 'as above: it comes in this run' },
});
