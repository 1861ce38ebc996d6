import { readFileSync } from 'node:fs';
import { asError, ForebayError } from '../errors.js';
import { silentLogger } from '../log-lines.js';
import type { Logger } from '../log-lines.js';
import { headerLines } from '../settings/checks.js';
import type { ServerSettings } from '../settings/server-settings.js';
import type { Sink } from './sink.js';

/**
 * The sink that the settings name; its module is loaded only then.
 *
 * @throws ForebayError `SINK_UNUSABLE`
 */
export async function chooseSink(settings: ServerSettings, logger: Logger = silentLogger): Promise<Sink> {
  const { sinkConcurrency, sinkConcurrencyMax } = settings;
  const connections = sinkConcurrency === 'auto' ? sinkConcurrencyMax : sinkConcurrency;
  switch (settings.sink) {
    case 'file': {
      const { FileSink } = await import('./file-sink.js');
      return FileSink.open(settings.sinkFile ?? '', {
        rotateBytes: settings.sinkFileRotateBytes,
        rotateAfterMs: settings.sinkFileRotateAfterMs,
        gzip: settings.sinkFileGzip,
        logger,
      });
    }
    case 'stdout': {
      const { StdoutSink } = await import('./stdout-sink.js');
      return StdoutSink.open();
    }
    case 'http': {
      const { HttpSink } = await import('./http-sink.js');
      const { sinkUrl, sinkHeader, sinkHeadersFile, sinkCa } = settings;
      return new HttpSink({
        url: sinkUrl ?? new URL('http://localhost'),
        format: settings.sinkFormat,
        headers: { ...(sinkHeadersFile !== null && headersIn(sinkHeadersFile)), ...sinkHeader },
        gzip: settings.sinkGzip,
        timeoutMs: settings.sinkTimeoutMs,
        connections,
        ca: sinkCa === null ? null : readSetting('sink-ca', sinkCa),
      });
    }
    case 'postgres': {
      const { PostgresSink } = await import('./postgres-sink.js');
      return new PostgresSink({
        url: settings.sinkPostgresUrl ?? '',
        table: settings.sinkTable,
        createTable: settings.sinkCreateTable,
        timeoutMs: settings.sinkTimeoutMs,
        connections,
        ca: settings.sinkCa === null ? null : readSetting('sink-ca', settings.sinkCa),
      });
    }
    case 'simulated': {
      const { SimulatedSink } = await import('./simulated-sink.js');
      return new SimulatedSink({ latencyMs: settings.sinkLatencyMs, failureRate: settings.sinkFailureRate });
    }
  }
}

function headersIn(path: string): Readonly<Record<string, string>> {
  const lines = readSetting('sink-headers-file', path);
  try {
    return headerLines(lines);
  } catch (error) {
    const message = `Each line of ${path} (--sink-headers-file) ${asError(error).message}`;
    throw new ForebayError('SINK_UNUSABLE', { message });
  }
}

function readSetting(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const message = `The file ${path} (--${flag}) cannot be read: ${asError(error).message}`;
    throw new ForebayError('SINK_UNUSABLE', { message, cause: error });
  }
}
