import { X509Certificate } from 'node:crypto';
import { asError } from '../errors.js';
import { silentLogger } from '../log-lines.js';
import type { Logger } from '../log-lines.js';
import { headerLines } from '../settings/checks.js';
import type { ServerSettings } from '../settings/server-settings.js';
import { SettingFile } from './setting-file.js';
import type { Sink } from './sink.js';

/**
 * The sink that the settings name; its module is loaded only then.
 *
 * @throws ForebayError `SINK_UNUSABLE`
 */
export async function chooseSink(settings: ServerSettings, logger: Logger = silentLogger): Promise<Sink> {
  const { sinkConcurrency, sinkConcurrencyMax } = settings;
  const connections = sinkConcurrency === 'auto' ? sinkConcurrencyMax : sinkConcurrency;
  const file = <T>(flag: string, path: string | null, parse: (text: string) => T): SettingFile<T> | null =>
    path === null ? null : new SettingFile(flag, path, parse, logger);
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
        headers: sinkHeader ?? {},
        headersFile: file('sink-headers-file', sinkHeadersFile, headersIn),
        gzip: settings.sinkGzip,
        timeoutMs: settings.sinkTimeoutMs,
        connections,
        caFile: file('sink-ca', sinkCa, certificates),
        refuses: settings.sinkRefuses ?? [],
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
        ca: file('sink-ca', settings.sinkCa, String),
      });
    }
    case 'simulated': {
      const { SimulatedSink } = await import('./simulated-sink.js');
      return new SimulatedSink({ latencyMs: settings.sinkLatencyMs, failureRate: settings.sinkFailureRate });
    }
  }
}

function headersIn(lines: string): Readonly<Record<string, string>> {
  try {
    return headerLines(lines);
  } catch (error) {
    throw new Error(`a line of it ${asError(error).message}`, { cause: error });
  }
}

function certificates(text: string): string {
  try {
    void new X509Certificate(text);
  } catch (error) {
    throw new Error('it holds no certificate as PEM', { cause: error });
  }
  return text;
}
