import { X509Certificate } from 'node:crypto';
import { httpUrl, listOf, oneOf, onOff, optional, text } from '../../settings/checks.js';
import type { OptionTable, Values } from '../../settings/option-table.js';
import { invalid } from '../../settings/setting-error.js';
import { NETWORK_SETTINGS } from '../network-settings.js';
import { SettingFile } from '../../settings/setting-file.js';
import type { SinkKind } from '../../seams/sink-kind.js';
import { headerLines, headersIn } from './header-lines.js';
import { isOwnDoor } from './own-door.js';

const SETTINGS = {
  sinkUrl: {
    flag: 'sink-url',
    initial: null,
    unit: 'URL',
    help: 'http: where each batch is posted',
    check: optional(httpUrl),
  },
  sinkFormat: {
    flag: 'sink-format',
    initial: 'ndjson',
    unit: 'ndjson|array',
    help: 'http: one event a line, or a JSON array',
    check: oneOf('ndjson', 'array'),
  },
  sinkHeader: {
    flag: 'sink-header',
    initial: null,
    unit: 'NAME:VALUE',
    help: 'http: a header of each request; may be given more than once',
    isRepeatable: true,
    check: optional(headerLines),
  },
  sinkHeadersFile: {
    flag: 'sink-headers-file',
    initial: null,
    unit: 'FILE',
    help: 'http: headers, one a line, so that no secret is on the command line',
    check: optional(text),
  },
  sinkRefuses: {
    flag: 'sink-refuses',
    initial: null,
    unit: 'STATUS,…',
    help: 'http: further statuses that refuse the events of a batch, like 404,409',
    check: optional(statuses),
  },
  sinkGzip: {
    flag: 'sink-gzip',
    initial: false,
    unit: '',
    help: 'http: compress each body',
    check: onOff,
  },
} as const satisfies OptionTable;

export const httpKind = {
  name: 'http',
  settings: SETTINGS,
  shared: NETWORK_SETTINGS,
  needs: 'sinkUrl',
  ignorable: ['sinkFormat', 'sinkTimeoutMs'],
  check: ({ sinkUrl }, doors) => {
    if (sinkUrl !== null && doors.some((door) => isOwnDoor(sinkUrl, door)))
      throw invalid('--sink-url leads back to this server: each event would come in again for ever');
  },
  open: async ({ sinkHeadersFile: path, sinkCa, ...values }, { connections, logger }) => {
    const { HttpSink } = await import('./http-sink.js');
    return new HttpSink({
      url: values.sinkUrl ?? '',
      format: values.sinkFormat,
      headers: values.sinkHeader ?? {},
      headersFile: path === null ? null : new SettingFile('--sink-headers-file', path, headersIn, logger),
      gzip: values.sinkGzip,
      timeoutMs: values.sinkTimeoutMs,
      connections,
      caFile: sinkCa === null ? null : new SettingFile('--sink-ca', sinkCa, certificates, logger),
      refuses: values.sinkRefuses ?? [],
    });
  },
} as const satisfies SinkKind<Values<typeof SETTINGS & typeof NETWORK_SETTINGS>>;

/** Statuses of HTTP that are errors. */
function statuses(given: unknown): readonly number[] {
  const texts = listOf('a status from 400 to 599', (each) => /^[45]\d\d$/.test(each));
  return texts(given).map(Number);
}

function certificates(pem: string): string {
  try {
    void new X509Certificate(pem);
  } catch (error) {
    throw new Error('it holds no certificate as PEM', { cause: error });
  }
  return pem;
}
