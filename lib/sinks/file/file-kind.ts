import { optional, text } from '../../settings/checks.js';
import type { OptionTable, Values } from '../../settings/option-table.js';
import type { SinkContext, SinkKind } from '../../seams/sink-kind.js';
import { nodeFiles } from './line-file.js';
import type { SinkFiles } from './line-file.js';

const SETTINGS = {
  sinkFile: {
    flag: 'sink-file',
    initial: null,
    unit: 'PATH',
    help: 'file: where each delivered event is appended, one a line',
    check: optional(text),
  },
} as const satisfies OptionTable;

export const fileKind = {
  name: 'file',
  settings: SETTINGS,
  needs: 'sinkFile',
  oneProcess: 'its file has one writer',
  open: async ({ sinkFile }, { logger, fs = nodeFiles }: SinkContext & { readonly fs?: SinkFiles }) => {
    const { FileSink } = await import('./file-sink.js');
    return FileSink.open(sinkFile ?? '', { logger, fs });
  },
} as const satisfies SinkKind<Values<typeof SETTINGS>>;
