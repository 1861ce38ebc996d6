import { createForebay } from '../lib/forebay.js';
import { BODIES_AT_ONCE, toCountingSink } from './to-counting-sink.js';

// What an earlier run left in a folder, delivered to the counting sink.
// Called as: node dist/bench/replay-to-http.js DIR PORT

const [logDir = '', port = ''] = process.argv.slice(2);
const { post, close } = toCountingSink(Number(port));
const forebay = createForebay({
  logDir,
  replayWaitMs: 600_000,
  sinkConcurrency: BODIES_AT_ONCE,
  sink: { deliver: async ({ bytes }) => post(bytes), close },
});
const startMs = performance.now();
await forebay.start();
const seconds = (performance.now() - startMs) / 1000;
const { delivered, pending } = forebay.counts();
await forebay.stop();
if (pending !== 0) throw new Error(`${pending} events are left`);
console.log(JSON.stringify({ seconds, delivered }));
