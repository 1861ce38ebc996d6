import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { NumberedEvent } from './numbered-event.js';
import { quantile } from './numbers.js';
import { isWhole } from './whole-answer.js';

// Events at a fixed rate, whatever the server does (an open loop), on connections that stay open.
// Called as: node dist/bench/post-at-rate.js PORT EVENTS_PER_SECOND SECONDS CONNECTIONS
//
// A latency is counted from the moment at which the event was due, not from the one at which a connection was free
// for it: a server that stalls pays for all events that wait meanwhile.

const [port = 0, rate = 1, seconds = 1, connections = 1] = process.argv.slice(2).map(Number);
const total = Math.floor(rate * seconds);
const request = new NumberedEvent(
  (event) =>
    `POST /events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${event.length}\r\n\r\n${event}`,
);

/** A connection with at most one request at a time. */
interface Connection {
  readonly socket: Socket;
  /** When the event that it sent was due, in milliseconds of `performance.now()`. */
  dueMs: number;
  answer: string;
}

const idle: Connection[] = [];
const latencies: number[] = [];
let sent = 0;

for (let opened = 0; opened < connections; opened++) idle.push(await open());
const startMs = performance.now();
await new Promise<void>((resolve) => {
  // looks at the clock all the time: a timer would be late by up to a millisecond
  const turn = (): void => {
    while (sent < total && idle.length > 0 && dueMs(sent) <= performance.now()) send();
    if (latencies.length === total) resolve();
    else setImmediate(turn);
  };
  turn();
});
console.log(
  JSON.stringify({
    answered: total,
    eventsPerSecond: total / ((performance.now() - startMs) / 1000),
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    p999Ms: quantile(latencies, 0.999),
  }),
);
process.exit(0);

function dueMs(number: number): number {
  return startMs + (number * 1000) / rate;
}

function send(): void {
  const connection = idle.pop();
  if (connection === undefined) return;
  connection.dueMs = dueMs(sent);
  request.number = ++sent;
  connection.socket.write(Buffer.from(request.bytes));
}

async function open(): Promise<Connection> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true }).setEncoding('latin1');
  await once(socket, 'connect');
  const connection: Connection = { socket, dueMs: 0, answer: '' };
  socket.on('data', (text: string) => {
    connection.answer += text;
    if (!isWhole(connection.answer)) return;
    if (!connection.answer.startsWith('HTTP/1.1 202 ')) fail(connection.answer);
    latencies.push(performance.now() - connection.dueMs);
    connection.answer = '';
    idle.push(connection);
  });
  socket.on('close', () => {
    fail('the server closed a connection');
  });
  return connection;
}

function fail(why: string): never {
  console.error(`post-at-rate: ${why}`);
  process.exit(1);
}
