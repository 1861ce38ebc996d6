import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import t from 'tap';
import type { Test } from 'tap';
import { post } from '../../lib/base/http-post.js';
import type { Posted } from '../../lib/base/http-post.js';

/** No buffer of the system takes that much. */
const BODY = Buffer.alloc(32 * 1024 * 1024);

/** Posts to a server that answers `202` before it has the body, and reads no more of it. */
async function answeredEarly(t: Test): Promise<Posted & { readonly peer: Socket }> {
  const peers: Socket[] = [];
  const server = createServer((socket) => {
    peers.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.pause();
      socket.write('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n');
    });
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  t.teardown(() => {
    for (const peer of peers) peer.destroy();
    server.close();
  });
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const posted = await post({ url, headers: {}, body: BODY, signal: AbortSignal.timeout(30_000) });
  const [peer] = peers;
  if (peer === undefined) throw new Error('nobody came');
  posted.answer.resume();
  return { ...posted, peer };
}

void t.test('a body is sent when the system has the whole of it, whenever the answer comes', async (t) => {
  const { answer, sent, peer } = await answeredEarly(t);
  t.equal(answer.statusCode, 202);
  let isSent = false;
  void sent.then(() => (isSent = true));
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.notOk(isSent);
  peer.resume();
  await sent;
  t.pass('it is now');
});

void t.test('a body whose connection ends before is not sent, whoever ends it', async (t) => {
  for (const end of [
    ({ peer }: { peer: Socket }) => peer.destroy(),
    ({ peer }: { peer: Socket }) => peer.resetAndDestroy(),
    // `finish` comes then, as if all were written, and there is no error
    ({ request }: Posted) => request.socket?.destroy(),
    ({ request }: Posted) => request.destroy(),
  ]) {
    const posted = await answeredEarly(t);
    end(posted);
    await t.rejects(posted.sent, /closed before the whole body was sent|ECONNRESET|EPIPE/);
  }
});
