import type { SinkContext, SinkKind } from '../../seams/sink-kind.js';

export const stdoutKind = {
  name: 'stdout',
  settings: {},
  ownsStdout: true,
  oneProcess: 'standard output has one writer',
  open: async (_values, { fd = 1 }: SinkContext & { readonly fd?: number }) => {
    const { StdoutSink } = await import('./stdout-sink.js');
    return StdoutSink.open(fd);
  },
} as const satisfies SinkKind<unknown>;
