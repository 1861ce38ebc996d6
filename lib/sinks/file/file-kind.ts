import { bytes, milliseconds, onOff, optional, text } from '../../settings/checks.js';
import type { OptionTable, Values } from '../../settings/option-table.js';
import { invalid } from '../../settings/setting-error.js';
import type { SinkContext, SinkKind } from '../../seams/sink-kind.js';
import { nodeFiles } from './sink-files.js';
import type { SinkFiles } from './sink-files.js';

const SETTINGS = {
  sinkFile: {
    flag: 'sink-file',
    initial: null,
    unit: 'PATH',
    help: 'file: where each delivered event is appended, one a line',
    check: optional(text),
  },
  sinkFileRotateBytes: {
    flag: 'sink-file-rotate-bytes',
    initial: null,
    unit: 'BYTES',
    help: 'file: begin a new file before one would be larger',
    check: optional(bytes(1)),
  },
  sinkFileRotateAfterMs: {
    flag: 'sink-file-rotate-after',
    initial: null,
    unit: 'MS',
    help: "file: begin a new file so long after one's first batch, like 1h",
    check: optional(milliseconds(1)),
  },
  sinkFileGzip: {
    flag: 'sink-file-gzip',
    initial: false,
    unit: '',
    help: 'file: compress what was rotated',
    check: onOff,
  },
} as const satisfies OptionTable;

export const fileKind = {
  name: 'file',
  settings: SETTINGS,
  needs: 'sinkFile',
  check: ({ sinkFileGzip, sinkFileRotateBytes, sinkFileRotateAfterMs }) => {
    if (sinkFileGzip && sinkFileRotateBytes === null && sinkFileRotateAfterMs === null)
      throw invalid('--sink-file-gzip needs --sink-file-rotate-bytes or --sink-file-rotate-after');
  },
  open: async (values, { logger, fs = nodeFiles }: SinkContext & { readonly fs?: SinkFiles }) => {
    const { FileSink } = await import('./file-sink.js');
    return FileSink.open(values.sinkFile ?? '', {
      rotateBytes: values.sinkFileRotateBytes,
      rotateAfterMs: values.sinkFileRotateAfterMs,
      gzip: values.sinkFileGzip,
      logger,
      fs,
    });
  },
} as const satisfies SinkKind<Values<typeof SETTINGS>>;
