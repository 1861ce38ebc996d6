import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import t from 'tap';
import { Departures } from '../../lib/door/departures.js';
import { Exchanges } from '../../lib/door/exchanges.js';
import { stopClock } from '../helpers/stop-clock.js';
import { until } from '../helpers/wait-for.js';

void t.test('a connection that has sent nothing yet is read for longer than one that has', async (t) => {
  const connections = new Map<Socket, { socket: Socket }>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.set(socket, { socket });
    socket.resume();
    socket.once('close', () => connections.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const clients = await Promise.all(
    [0, 1].map(async () => {
      const client = connect(port, '127.0.0.1');
      t.teardown(() => client.destroy());
      await once(client, 'connect');
      await until(() => connections.size > 0, 'it is accepted');
      return client;
    }),
  );
  clients[0]?.write('GET');
  const hasSent = (socket: Socket): boolean => socket.bytesRead > 0;
  await until(() => [...connections.keys()].some(hasSent) && connections.size === 2, 'both are there');
  const [idle] = [...connections.keys()].filter(hasSent);
  const [fresh] = [...connections.keys()].filter((socket) => !hasSent(socket));
  const passMs = stopClock(t);
  const departures = new Departures({
    gate: () => ({ accepted: 2, connections }),
    isQuiet: () => true,
    exchanges: new Exchanges(createHttpServer()),
    opener: (connection, ready) => {
      ready(connection);
    },
    others: null,
  });
  const gone = departures.gone(60_000, false);
  passMs(300);
  await until(() => idle?.writableEnded === true, 'the idle one is closed');
  t.equal(fresh?.writableEnded, false, 'the request of the other may be on its way');
  passMs(800);
  await until(() => fresh?.writableEnded === true, 'it is closed, too');
  for (const client of clients) client.end();
  await gone;
});
