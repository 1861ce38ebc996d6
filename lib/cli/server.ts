import { calledAs } from '../base/called-as.js';
import { asError, ForebayError } from '../base/errors.js';
import type { ErrorCode } from '../base/errors.js';
import { createForebay } from '../forebay.js';
import type { Forebay } from '../forebay.js';
import { AdminServer } from '../door/admin-server.js';
import { ClosedDoor } from '../door/closed-door.js';
import type { ClosedDoorOptions } from '../door/closed-door.js';
import { isLoopback } from '../door/host-rules.js';
import { IngestionServer } from '../door/ingestion-server.js';
import type { Keys } from '../keys/keys.js';
import type { Logger } from '../base/reporter.js';
import { OperatorRoutes } from '../observe/operator-routes.js';
import { HTTP_SETTINGS } from '../settings/http-settings.js';
import { helpText, readOptions } from '../settings/option-table.js';
import type { OptionTable, Values } from '../settings/option-table.js';
import { PIPELINE_SETTINGS } from '../settings/pipeline-settings.js';
import { isWrongSetting, WRONG_SETTING_EXIT } from '../settings/setting-error.js';
import { openSources, SOURCE_KINDS } from '../sources/registry.js';
import { declaredSources } from '../settings/source-settings.js';
import { SINK_KINDS } from '../sinks/registry.js';
import { kindNamed } from '../seams/sink-kind.js';
import { VERSION } from '../base/version.js';
import { createLogger, neverWait } from './log-output.js';
import type { ConnectionBounds } from './open-files.js';
import { openKeys } from './open-keys.js';
import { boundConnections, openFilesMax } from './open-files.js';
import { checkRelations, SERVER_SETTINGS } from './server-settings.js';
import type { ServerSettings } from './server-settings.js';
import { count } from '../base/words.js';

/** The address for operators, unless --admin-host names another. */
const LOOPBACK = '127.0.0.1';

/** What closing files takes at the end of a stop, in milliseconds, with room to spare. */
const CLOSING_MS = 500;

/** A second signal this soon after the first is the same one, come on two ways, in milliseconds. */
const SAME_SIGNAL_MS = 500;

const USAGE = `forebay-server: takes events by HTTP, puts them on disk, answers 202, delivers them to a sink.

  ${calledAs('server')} [--flag VALUE ...]

Exit code: 0 after a stop, 78 for a wrong setting, 1 for all else.

`;

const goOn = (): void => undefined;
// The reader of the log lines may go away (a pipe that is closed); the door stays open.
neverWait(process.stderr).on('error', goOn);

// Settings that are wrong cannot be asked; neither can their file.
let wantsJson =
  /--log-format[= ]json\b/.test(process.argv.join(' ')) || process.env['FOREBAY_LOG_FORMAT'] === 'json';

// what nobody has caught is a fault of the program: its state cannot be trusted with more events
process.on('uncaughtException', (thrown) => {
  tellEnd(asError(thrown));
  process.exit(1);
});

try {
  const settings = readOptions(SERVER_SETTINGS, process.argv.slice(2), process.env);
  wantsJson = settings.logFormat === 'json';
  checkRelations(settings);
  if (settings.help)
    process.stdout.on('error', goOn).write(USAGE + helpText(SERVER_SETTINGS, true) + sourcesHelp());
  else if (settings.version) process.stdout.on('error', goOn).write(`${VERSION}\n`);
  // the sink has standard output for itself: `process.stdout` is not even touched
  else if (kindNamed(SINK_KINDS, settings.sink).ownsStdout === true)
    await run(settings, createLogger(settings, process.stderr));
  else await run(settings, createLogger(settings, neverWait(process.stdout.on('error', goOn))));
} catch (error) {
  tellEnd(asError(error));
  process.exit(isWrongSetting(error) ? WRONG_SETTING_EXIT : 1);
}

async function run(settings: ServerSettings, logger: Logger): Promise<void> {
  const { sink: kind, fsync } = settings;
  const about = { version: VERSION, node: process.versions.node, sink: kind, fsync };
  logger.info(about, `Forebay ${about.version}, Node.js ${about.node}, sink ${kind}, fsync ${fsync}`);
  const sources = openSources(declaredSources(settings), { logger });
  const keys = openKeys(settings, sources, logger);
  const bounds = boundConnections(openFilesMax(), settings, logger);
  const sink = await kindNamed(SINK_KINDS, kind).open(settings, {
    connections: settings.sinkConcurrency,
    logger,
  });
  const forebay = createForebay({ ...ofTable(PIPELINE_SETTINGS, settings), sink, logger });
  const http = ofTable(HTTP_SETTINGS, settings);
  const { adminPort, adminHost } = settings;
  const hasHealth = adminPort === null;
  const server = new IngestionServer({ ...http, ...bounds, sources, keys, hasHealth, forebay, logger });
  reloadOnHangUp(forebay, server, keys, logger);
  const { routes } = new OperatorRoutes({
    forebay,
    door: server,
    page: settings.page !== 'off',
    showsData: settings.page === 'data',
  });
  const address = { host: adminHost ?? LOOPBACK, port: adminPort ?? 0 };
  const admin =
    adminPort === null
      ? null
      : new AdminServer({ ...http, ...address, forebay, door: server, routes, logger });
  if (admin === null) server.addRoutes(routes);
  const stopping = stopOnSignals({ ...settings, ...bounds }, forebay, server, logger);
  forebay.broken.catch(() => process.exit(1)); // a restart starts with what is on disk
  try {
    // first: a port that is in use stops the start before anything is delivered
    await admin?.start();
    await server.start();
    if (stopping.aborted) return;
    await forebay.start();
    if (stopping.aborted) return;
  } catch (error) {
    admin?.stop();
    await Promise.all([server.stop(0), forebay.stop(0)]);
    throw error;
  }
  if (admin !== null) logger.info(address, `Operators' address: port ${admin.port}`);
  else if (!isLoopback(settings.host)) {
    logger.warn(
      { code: 'ADMIN_PUBLIC' },
      `Page, metrics and /health are open to anyone who reaches ${settings.host}: --admin-port moves them to another address`,
    );
  }
  const how = server.tlsOptions === null ? '' : ', with TLS';
  logger.info(
    { host: settings.host, port: server.port },
    `IngestionServer started on port ${server.port}${how}`,
  );
}

/** What each kind of source takes, and a command that sends to it. */
function sourcesHelp(): string {
  const kinds = SOURCE_KINDS.map(({ name, help, flag, curl }) => {
    const lines = [`  ${name}: ${help}`, ...[flag ?? [], curl].flat().map((line) => `    ${line}`)];
    return `\n${lines.join('\n')}\n`;
  });
  return `\nSources (docs/sources.md), with a command that sends to each:\n${kinds.join('')}`;
}

/** Why the server does not start, or breaks: on standard error, as standard output may be the sink's. */
function tellEnd(error: Error): void {
  const isKnown = error instanceof ForebayError;
  if (wantsJson) {
    const code: ErrorCode = isKnown ? error.code : 'INTERNAL';
    createLogger({ logLevel: 'error', logFormat: 'json' }, process.stderr).error(
      { code, err: error },
      error.message,
    );
  } else
    process.stderr.write(`forebay-server: ${isKnown ? error.message : (error.stack ?? String(error))}\n`);
}

/**
 * The first signal stops in order, the second at once; neither loses what was acknowledged.
 *
 * @returns aborted with the first signal
 */
function stopOnSignals(
  { shutdownTimeoutMs, host, corsOrigins, refusedMax }: ServerSettings & ConnectionBounds,
  forebay: Forebay,
  server: IngestionServer,
  logger: Logger,
): AbortSignal {
  const stopping = new AbortController();
  let firstMs = 0;
  const stop = async (signal: string): Promise<void> => {
    if (stopping.signal.aborted) {
      // npm hands on a Ctrl-C that the terminal has sent already
      if (performance.now() - firstMs < SAME_SIGNAL_MS) return;
      logger.error({ signal }, `${signal} again: exiting at once; what was acknowledged is on disk`);
      endAtOnce();
    }
    firstMs = performance.now();
    stopping.abort();
    logger.info({ signal }, `${signal}: stopping`);
    const end = performance.now() + shutdownTimeoutMs;
    setTimeout(() => {
      logger.error(
        { code: 'STOP_TIMEOUT' },
        `Not stopped within ${shutdownTimeoutMs} ms (--shutdown-timeout): exiting`,
      );
      endAtOnce();
    }, shutdownTimeoutMs).unref();
    const port = server.listening ? server.port : null;
    const stopped = server.stop(shutdownTimeoutMs / 2);
    const tls = server.tlsOptions;
    const door =
      port === null
        ? null
        : await closedDoor({ forebay, host, port, connectionsMax: refusedMax, corsOrigins, tls }, logger);
    await stopped;
    await forebay.stop(Math.max(0, end - performance.now() - CLOSING_MS));
    const { pending, unreadBatches } = forebay.counts();
    const unread =
      unreadBatches === 0 ? '' : ` and ${count(unreadBatches, 'batch', 'batches')} of earlier runs`;
    door?.close();
    logger.info(
      { ...forebay.counts() },
      `Stopped; ${count(pending, 'event')}${unread} ${pending + unreadBatches === 1 ? 'waits' : 'wait'} on disk`,
    );
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, (name) => void stop(name));
  return stopping.signal;
}

/** A `SIGHUP` ends nothing: what the sink has open may have been moved, and what was set up may have changed. */
function reloadOnHangUp(forebay: Forebay, server: IngestionServer, keys: Keys | null, logger: Logger): void {
  let last = Promise.resolve();
  process.on('SIGHUP', () => {
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
  });
}

/** `null` if it cannot listen: clients get no connection then, and come back as well. */
async function closedDoor(options: ClosedDoorOptions, logger: Logger): Promise<ClosedDoor | null> {
  try {
    return await ClosedDoor.open(options);
  } catch (error) {
    logger.info({ err: error }, `While it stops the server answers nobody: ${asError(error).message}`);
    return null;
  }
}

/** `process.exit` waits for the calls to the file system that run, and a disk that hangs never ends them. */
function endAtOnce(): never {
  process.kill(process.pid, 'SIGKILL');
  process.exit(1);
}

/** The settings that are in a table. */
function ofTable<Table extends OptionTable>(table: Table, settings: Values<Table>): Values<Table> {
  return Object.fromEntries(Object.keys(table).map((key) => [key, settings[key]])) as Values<Table>;
}
