import { jetstreamManager } from '@nats-io/jetstream';
import type { Reporter } from '../../base/reporter.js';
import type { IdRule } from '../../seams/id-store.js';
import type { LogSettings } from '../../settings/log-settings.js';
import type { PipelineSettings } from '../../settings/pipeline-settings.js';
import { Connection } from './connection.js';
import { GROUP } from './delivery-consumer.js';
import { Puller } from './puller.js';
import { openStreamSecret } from './ids/id-secret.js';
import { checkFlushing, checkVersion, checkVersionForIds } from './server-checks.js';
import { StreamLog } from './stream-log.js';
import { streamNames } from './stream-names.js';
import type { StreamNames } from './stream-names.js';
import { openStreams } from './stream-setup.js';

const API_MS = 5000;

/**
 * Connects to the servers, makes or checks the streams, and opens the log. Waits until the servers are there.
 *
 * @throws ForebayError `LOG_UNUSABLE`, `SETTING_INVALID`
 */
export async function openStreamLog(
  settings: PipelineSettings & LogSettings,
  reporter: Reporter,
  stopping: AbortSignal,
  idRules: readonly IdRule[] = [],
): Promise<StreamLog> {
  const { logName, logOrder: inOrder, logReplicas: replicas, ackTimeoutMs } = settings;
  const { backlogBytesMax, deadLettersBytesMax } = settings;
  const connection = await Connection.open(settings, reporter, stopping);
  try {
    const { info } = connection.nc;
    checkVersion(info?.version ?? '0', reporter);
    if (idRules.length > 0) checkVersionForIds(info?.version ?? '0');
    await checkFlushing(settings.logMonitorUrl, reporter);
    const jsm = await jetstreamManager(connection.nc, { checkAPI: false, timeout: API_MS });
    const payloadMax = info?.max_payload ?? 0;
    // all instances share it, and each table of a source has as many
    const idsMax = idRules.length * settings.idWindowMax;
    const bytesMax = { backlogBytesMax, deadLettersBytesMax };
    const sizes = { replicas, ...bytesMax, ackTimeoutMs, inOrder, payloadMax, idsMax };
    const opened = await openStreams(jsm, streamNames(logName), sizes, reporter, stopping);
    const { names, streamId } = opened;
    const isAsked = settings.logCompress === 'on';
    if (isAsked && !opened.readsCompressed) reporter.info(notCompressed(names));
    const compresses = isAsked && opened.readsCompressed;
    const ids =
      idsMax === 0
        ? null
        : { secret: await openStreamSecret(connection, jsm, names.events, stopping), idsMax };
    const puller = new Puller(connection, names.events, names.consumer, inOrder ? GROUP : null);
    const about = { connection, jsm, puller, names, streamId, ids, ...bytesMax };
    const log = new StreamLog({ ...about, bounds: settings, ackTimeoutMs, inOrder, compresses, reporter });
    await log.open(stopping);
    return log;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

function notCompressed({ events, consumer }: StreamNames): string {
  const why = `instances of an earlier build, which cannot read them, may share the stream ${events}`;
  return `Messages are not compressed, as ${why}: when all are of this build, stop them, remove the consumer ${consumer}, and start them`;
}
