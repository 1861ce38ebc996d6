import { ForebayError, systemCode } from '../base/errors.js';
import type { Logger } from '../base/reporter.js';
import type { Tracer } from '../seams/tracer.js';
import type { TraceSettings } from '../settings/trace-settings.js';

const PACKAGES =
  '@opentelemetry/api, @opentelemetry/sdk-trace, @opentelemetry/resources and @opentelemetry/exporter-trace-otlp-http';

/** `null`: no spans are wanted, and nothing is loaded. @throws ForebayError `SETTING_INVALID` */
export async function openTracer(
  { traceUrl, traceSample }: TraceSettings,
  logger: Logger,
  load = async (): Promise<typeof import('./otlp-tracer.js')> => import('./otlp-tracer.js'),
): Promise<Tracer | null> {
  if (traceUrl === null) return null;
  try {
    const { OtlpTracer } = await load();
    return new OtlpTracer({ url: traceUrl, sample: traceSample, logger });
  } catch (error) {
    if (systemCode(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    const message = `--trace-url needs the packages ${PACKAGES}, which npm leaves out with --omit=optional`;
    throw new ForebayError('SETTING_INVALID', { message, cause: error });
  }
}
