import { setTimeout as sleep } from 'node:timers/promises';
import { asError, ForebayError } from '../base/errors.js';
import type { Logger } from '../base/reporter.js';
import { VERSION } from '../base/version.js';
import { AdminServer } from '../door/admin-server.js';
import { controlRoutes } from '../door/control-routes.js';
import { isLoopback } from '../door/host-rules.js';
import { IngestionServer } from '../door/ingestion-server.js';
import { health } from '../door/probes.js';
import type { WholeProbe } from '../door/probes.js';
import { createForebay } from '../forebay.js';
import type { Forebay } from '../forebay.js';
import type { Keys } from '../keys/keys.js';
import { metricsAt } from '../observe/metrics/metrics-route.js';
import { OperatorRoutes } from '../observe/operator-routes.js';
import type { Resuming } from '../observe/page/messages.js';
import { pageRoutes } from '../observe/page/page-routes.js';
import { mergeCounts } from '../observe/together/merge-statistics.js';
import { withLeftovers } from '../observe/together/with-leftovers.js';
import { adoptedLogDirs, allLogDirs, leftLogDirs, openAppendLog, openStreamLog } from '../open-log.js';
import type { LogContext } from '../open-log.js';
import { pauseOfOther } from '../pausing.js';
import type { EventLog } from '../seams/event-log.js';
import { kindNamed } from '../seams/sink-kind.js';
import { HTTP_SETTINGS } from '../settings/http-settings.js';
import { streamFlags } from '../settings/log-settings.js';
import { ofTable } from '../settings/option-table.js';
import { PIPELINE_SETTINGS } from '../settings/pipeline-settings.js';
import { declaredSources } from '../settings/source-settings.js';
import { SINK_KINDS } from '../sinks/registry.js';
import { openTracer } from '../traces/open-tracer.js';
import { tracedSink } from '../traces/traced-sink.js';
import { openSources } from '../sources/registry.js';
import { idRulesOf } from './id-rules.js';
import { tellLeft } from './left-behind.js';
import { Leftovers } from './leftovers.js';
import { boundConnections, openFilesMax } from './open-files.js';
import { openKeys } from './open-keys.js';
import { pauseOnSignal } from './pause-signal.js';
import type { ServerSettings } from './server-settings.js';
import { CLOSING_MS, endAtOnce, endServing, Stopping, tellStopped } from './stopping.js';
import type { SupervisorLink } from './workers/supervisor-link.js';
import { workerReports } from './workers/worker-reports.js';

/** The address for operators, unless --admin-host names another. */
const LOOPBACK = '127.0.0.1';
/** Workers whose supervisor was killed hold their directories for a moment, in milliseconds. */
const ORPHANS_MS = 5000;
const ORPHAN_LOOK_MS = 50;
/** How long a stop sends the last spans, in milliseconds, within --shutdown-timeout. */
const SPANS_MS = 2000;

/** A server in this process: the whole one, or a worker. @param supervisor `null`: it is the whole one */
export async function serve(
  settings: ServerSettings,
  supervisor: SupervisorLink | null,
  logger: Logger,
): Promise<void> {
  if (supervisor === null) tellStart(settings, logger);
  const sources = openSources(declaredSources(settings), { logger });
  const idRules = idRulesOf(sources, settings);
  const keys = openKeys(settings, sources, logger);
  const { logDir, adopt, deliverAllMs } = settings;
  const isStream = settings.log === 'jetstream';
  const leftDirs = supervisor === null && !isStream ? await leftLogDirs(logDir, 0) : [];
  const adopted = supervisor === null ? await adoptedLogDirs(adopt, logDir) : [];
  // each directory has as many batches at the sink
  const sinkConcurrency = settings.sinkConcurrency * (1 + leftDirs.length + adopted.length);
  const bounds = boundConnections(openFilesMax(), { ...settings, sinkConcurrency }, logger);
  const tracer = await openTracer(settings, logger);
  const opened = await kindNamed(SINK_KINDS, settings.sink).open(settings, {
    connections: sinkConcurrency,
    logger,
  });
  const sink = tracer === null ? opened : tracedSink(opened, tracer);
  const pauses = pauseOfOther(() => forebay);
  const leftovers = new Leftovers({ left: leftDirs, adopted, idRules, pauses }, settings, sink, logger);
  const starting = new AbortController();
  const forebay = createForebay({
    ...ofTable(PIPELINE_SETTINGS, settings),
    sink,
    logger,
    idRules,
    ...(supervisor !== null && { pauses: supervisor.pauses }),
    openLog: logOpener(settings, supervisor, starting.signal),
    besideReplay: async () => (supervisor === null ? leftovers.start() : supervisor.leftoversDelivered()),
  });
  const http = ofTable(HTTP_SETTINGS, settings);
  const { adminPort, adminHost, page } = settings;
  const shown = {
    page: page !== 'off',
    showsData: page === 'data',
    resuming: resumingOf(settings),
    logFlags: isStream ? streamFlags(settings) : null,
  };
  const hasHealth = adminPort === null;
  const whole = withLeftovers(forebay, leftovers.forebays);
  const wholeProbe: WholeProbe =
    supervisor === null
      ? async (which, own) => (which === 'health' ? health(whole, server.isDraining) : own)
      : supervisor.probe.bind(supervisor);
  const server = new IngestionServer({
    ...http,
    ...bounds,
    sources,
    keys,
    hasHealth,
    others: supervisor?.doors ?? null,
    wholeProbe,
    tracer,
    forebay,
    logger,
  });
  const routes =
    supervisor === null
      ? new OperatorRoutes({ forebay, door: server, leftovers: leftovers.forebays, ...shown }).routes
      : new Map([
          ['/metrics', metricsAt(async (isOpen) => supervisor.metrics(isOpen))],
          ...(shown.page ? pageRoutes({ forebay, door: server, feed: supervisor }) : []),
        ]);
  const control = controlRoutes({ control: supervisor ?? forebay, keys, isForOperators: adminPort !== null });
  const all = [...routes, ...control];
  const address = { host: adminHost ?? LOOPBACK, port: adminPort ?? 0 };
  const admin =
    adminPort === null
      ? null
      : new AdminServer({ ...http, ...address, forebay, door: server, routes: all, logger, wholeProbe });
  if (admin === null) server.addRoutes(all);
  const stopping = new Stopping({
    ...settings,
    logger,
    giveUp: endAtOnce,
    drain: () => {
      server.drain();
    },
    end: async () => {
      starting.abort();
      const endMs = performance.now() + deliverAllMs + settings.shutdownTimeoutMs - CLOSING_MS / 2;
      const counts = await endServing({ forebay, server, leftovers }, settings);
      await tracer?.close(Math.min(SPANS_MS, endMs - performance.now()));
      const besides = adopted.length === 0 ? '' : ' or in adopted directories';
      tellStopped(counts, logger, isStream ? `in the stream${besides}` : 'on disk');
      await supervisor?.tell({ kind: 'stopped', counts });
      if (supervisor !== null || deliverAllMs === 0) return 0;
      const { paused } = forebay;
      if (!isStream) return tellLeft([...(await allLogDirs(logDir)), ...adopted], counts, paused, logger);
      return tellLeft(adopted, mergeCounts(leftovers.forebays.map((each) => each.counts())), paused, logger);
    },
  });
  const reload = reloader(forebay, server, keys, logger);
  if (supervisor === null) {
    stopping.onSignals();
    process.on('SIGHUP', reload);
    pauseOnSignal(forebay, logger);
  } else {
    supervisor.onStop(() => void stopping.stop('The supervisor stops'));
    supervisor.on('reload', reload);
    supervisor.answerWith(workerReports(forebay, server));
  }
  forebay.broken.catch(() => process.exit(1)); // a restart starts with what is on disk
  try {
    // a worker that takes the place of another replays first: the others take events meanwhile
    if (supervisor?.task.isRestart === true) await forebay.start();
    if (stopping.signal.aborted) return;
    // first: a port that is in use stops the start before anything is delivered
    await admin?.start();
    await server.start();
    if (stopping.signal.aborted) return;
    if (supervisor?.task.isRestart !== true) await forebay.start();
    if (stopping.signal.aborted) return;
  } catch (error) {
    if (starting.signal.aborted) return; // what the start waited for was not there
    admin?.stop();
    await Promise.all([server.stop(0), leftovers.stop(0)]);
    await forebay.stop(0);
    throw error;
  }
  const { isTls } = server;
  if (supervisor !== null) await supervisor.tell({ kind: 'listening', isTls });
  else tellListening(settings, { port: server.port, adminPort: admin?.port ?? null, isTls }, logger);
}

/** What ends a pause, in this process. */
export function resumingOf({ keysFile, adminPort }: ServerSettings): Resuming {
  const here = adminPort === null ? 'nowhere' : 'this machine';
  return { toolFrom: keysFile === null ? here : 'anywhere', pid: process.pid };
}

/** The first line of a server. */
export function tellStart({ sink, fsync, workers }: ServerSettings, logger: Logger): void {
  const about = { version: VERSION, node: process.versions.node, sink, fsync };
  const number = workers === 1 ? '' : `, ${workers} workers`;
  logger.info(
    workers === 1 ? about : { ...about, workers },
    `Forebay ${about.version}, Node.js ${about.node}, sink ${sink}, fsync ${fsync}${number}`,
  );
}

/** Says that clients and operators can come. */
export function tellListening(
  { host, adminHost, keysFile }: ServerSettings,
  {
    port,
    adminPort,
    isTls,
  }: { readonly port: number; readonly adminPort: number | null; readonly isTls: boolean },
  logger: Logger,
): void {
  if (adminPort !== null) {
    const address = { host: adminHost ?? LOOPBACK, port: adminPort };
    // a proxy can be as silent as a program on this machine
    const who =
      keysFile === null
        ? '; it asks for no key: a proxy in front of it may let anyone pause delivery (--keys-file)'
        : '';
    logger.info(address, `Operators' address: port ${adminPort}${who}`);
  } else if (!isLoopback(host)) {
    logger.warn(
      { code: 'ADMIN_PUBLIC' },
      `Page, metrics and /health are open to anyone who reaches ${host}: --admin-port moves them to another address`,
    );
  }
  logger.info({ host, port }, `IngestionServer started on port ${port}${isTls ? ', with TLS' : ''}`);
}

/** A `SIGHUP` ends nothing: what the sink has open may have been moved, and what was set up may have changed. */
function reloader(forebay: Forebay, server: IngestionServer, keys: Keys | null, logger: Logger): () => void {
  let last = Promise.resolve();
  return () => {
    last = last
      .then(async () => keys?.refresh())
      .then(async () => server.reload())
      .then(async () => forebay.reloadSink())
      .then(() => {
        logger.info({ signal: 'SIGHUP' }, 'SIGHUP: files of the sink are opened and read again');
      })
      .catch((error: unknown) => {
        logger.warn({ code: 'SINK_FILE_FAILED' }, `SIGHUP: ${asError(error).message}`);
      });
  };
}

function logOpener(
  settings: ServerSettings,
  supervisor: SupervisorLink | null,
  stopping: AbortSignal,
): (context: LogContext) => Promise<EventLog> {
  if (settings.log === 'jetstream') return async (context) => openStreamLog(context, settings, stopping);
  return supervisor === null ? openAppendLog : openAfterOrphans;
}

/** Opens the log of a worker: the supervisor holds the directory around it, so who has the lock is about to end. */
async function openAfterOrphans(context: LogContext): Promise<EventLog> {
  const endMs = performance.now() + ORPHANS_MS;
  for (let isSaid = false; ; isSaid = true) {
    try {
      return await openAppendLog(context);
    } catch (error) {
      if (!(error instanceof ForebayError) || error.code !== 'LOG_DIR_LOCKED') throw error;
      if (performance.now() > endMs) throw error;
      if (!isSaid)
        context.reporter.info(`${error.message}. It is a worker of a server that was killed, and ends`);
      await sleep(ORPHAN_LOOK_MS);
    }
  }
}
