import t from 'tap';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const REQUESTS = 120;
const EVENTS = 5000;

/** Prints at the end how often the whole heap was marked. */
const COUNTER = `data:text/javascript,${encodeURIComponent(`
  import { constants, PerformanceObserver } from 'node:perf_hooks';
  let marked = 0;
  new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries()) marked += Number(detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR);
  }).observe({ entryTypes: ['gc'] });
  process.on('exit', () => process.stderr.write('marked ' + marked + ' times'));
`)}`;

void t.test('buffers outside of the heap do not make V8 mark it again and again', async (t) => {
  const environment = { NODE_OPTIONS: `--import ${COUNTER}` };
  const flags = ['--port', '0', '--log-dir', tempDir(t), '--queue-size', '200000'];
  const server = await new ServerProcess(flags, environment).listening();
  const event = JSON.stringify({ id: 'e', type: 't', data: 'x'.repeat(150), timestamp: 1 });
  const body = `${event}\n`.repeat(EVENTS);
  for (let request = 0; request < REQUESTS; request++) {
    const answer = await fetch(`http://127.0.0.1:${server.port}/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    });
    t.equal(answer.status, 202, await answer.text());
  }
  t.equal(await server.stop('SIGTERM'), 0);
  const marked = Number(/marked (\d+) times/.exec(server.stderr)?.[1]);
  t.comment(`${marked} times for ${REQUESTS * EVENTS} events`);
  t.ok(marked <= 8, `${marked} times; without a setting for it, some 20`);
});
