import type { Sink } from './sink.js';
import type { ServerSettings } from '../settings/server-settings.js';

/**
 * The sink that the settings name; its module is loaded only then.
 *
 * @throws ForebayError `SINK_UNUSABLE`
 */
export async function chooseSink(settings: ServerSettings): Promise<Sink> {
  switch (settings.sink) {
    case 'file': {
      const { FileSink } = await import('./file-sink.js');
      return FileSink.open(settings.sinkFile ?? '');
    }
    case 'simulated': {
      const { SimulatedSink } = await import('./simulated-sink.js');
      return new SimulatedSink({ latencyMs: settings.sinkLatencyMs, failureRate: settings.sinkFailureRate });
    }
  }
}
