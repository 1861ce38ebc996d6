import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { openDoor } from './door.js';
import { NatsMessages } from './nats-messages.js';

// node:http and a JetStream stream in a file: each event is published as it comes, all on one connection, and is
// safe when its PubAck is there. With `sync_interval: always` the server flushes before it acknowledges.
// Called as: node dist/bench/rivals/jetstream.js NATS_PORT [REPLICAS]

const STREAM = 'EVENTS';
const SUBJECT = 'events';
const INBOX = `_INBOX.${randomBytes(8).toString('hex')}`;

/** What the API and a PubAck answer, as far as it is used here. */
interface Answer {
  readonly error?: { readonly description: string };
  readonly state?: { readonly messages: number };
}

const socket = connect({ host: '127.0.0.1', port: Number(process.argv[2]), noDelay: true });
await once(socket, 'connect');
const waiting = new Map<string, { resolve(answer: Answer): void; reject(error: Error): void }>();
let requests = 0;
const messages = new NatsMessages({
  onMessage(subject, payload) {
    const found = waiting.get(subject);
    waiting.delete(subject);
    const answer = JSON.parse(payload) as Answer;
    if (answer.error === undefined) found?.resolve(answer);
    else found?.reject(new Error(answer.error.description));
  },
  onPing() {
    socket.write('PONG\r\n');
  },
  onError(text) {
    console.error(`jetstream: ${text}`);
    process.exit(1);
  },
});
socket.on('data', (chunk: Buffer) => {
  messages.push(chunk.toString('latin1'));
});
socket.on('close', () => process.exit(1));
socket.write(`CONNECT {"verbose":false,"pedantic":false,"headers":false}\r\nSUB ${INBOX}.* 1\r\n`);

/** Publishes with an inbox for the answer. */
async function request(subject: string, payload: string): Promise<Answer> {
  const inbox = `${INBOX}.${++requests}`;
  return new Promise((resolve, reject) => {
    waiting.set(inbox, { resolve, reject });
    socket.write(`PUB ${subject} ${inbox} ${Buffer.byteLength(payload)}\r\n${payload}\r\n`);
  });
}

const stream = {
  name: STREAM,
  subjects: [SUBJECT],
  storage: 'file',
  retention: 'limits',
  num_replicas: Number(process.argv[3] ?? 1),
};
await request(`$JS.API.STREAM.CREATE.${STREAM}`, JSON.stringify(stream));

openDoor('jetstream', {
  async keep(text) {
    await request(SUBJECT, text);
  },
  async count() {
    const { state } = await request(`$JS.API.STREAM.INFO.${STREAM}`, '');
    return state?.messages ?? NaN;
  },
});
