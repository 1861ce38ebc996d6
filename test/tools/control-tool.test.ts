import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { CONTROL_TOOL } from '../../tools/control/tool.js';
import { freePort } from '../helpers/free-port.js';
import { runHere } from '../helpers/tool-run.js';

void t.test('what does not answer as the server does is named, with what may be wrong', async (t) => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const { port } = silent.address() as AddressInfo;
  const run = async (url: string) => runHere(CONTROL_TOOL, ['pause', '--url', url]);
  t.match(await run(`http://127.0.0.1:${await freePort()}`), {
    code: 2,
    err: /does not answer: connect ECONNREFUSED [^\n]*; is it the address of the server \(--url\)\?\n$/,
  });
  t.match(await run(`https://127.0.0.1:${port}`), {
    code: 2,
    err: /^forebay-control: [^\n]* does not answer: [^\n]*wrong version number[^\n]*\n$/,
  });
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  t.intercept(AbortSignal, 'timeout', { value: () => timeout(1) });
  t.match(await run(`http://127.0.0.1:${port}`), {
    code: 2,
    err: /does not answer: nothing came within 15 s; is it the address/,
  });
});
