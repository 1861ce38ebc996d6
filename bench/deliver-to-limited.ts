import { setTimeout as sleep } from 'node:timers/promises';
import { createForebay } from '../lib/forebay.js';
import { HttpSink } from '../lib/sinks/http/http-sink.js';

// How many batches a second Forebay delivers of what an earlier run left, once it knows the sink.
// Called as: node dist/bench/deliver-to-limited.js DIR PORT CONCURRENCY WARM_SECONDS SECONDS

const [logDir = '', port = '', concurrency = '', warm = '', seconds = ''] = process.argv.slice(2);
const sinkConcurrency = concurrency === 'auto' ? concurrency : Number(concurrency);
const forebay = createForebay({
  logDir,
  replayWaitMs: 0,
  sinkConcurrency,
  sink: new HttpSink({
    url: new URL(`http://127.0.0.1:${port}/`),
    format: 'ndjson',
    headers: {},
    gzip: false,
    timeoutMs: 30_000,
    connections: 64,
    ca: null,
  }),
});
await forebay.start();
await sleep(Number(warm) * 1000);
const batches = (): number => forebay.sinkState()?.attempts.taken ?? 0;
const before = batches();
const startMs = performance.now();
await sleep(Number(seconds) * 1000);
const rate = ((batches() - before) * 1000) / (performance.now() - startMs);
const ended = forebay.sinkState()?.concurrency;
const isDry = forebay.counts().unreadBatches === 0;
await forebay.stop();
if (isDry) throw new Error('the backlog was too short');
console.log(JSON.stringify({ rate, concurrency: ended, taken: batches() }));
