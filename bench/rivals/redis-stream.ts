import { once } from 'node:events';
import { connect } from 'node:net';
import { openDoor } from './door.js';
import { RedisReplies } from './redis-replies.js';

// node:http and a Redis stream: an XADD for each event as it comes, all on one connection, none waiting for the
// answer of the one before it (pipelining), so that Redis flushes many with one `fdatasync`.
// Called as: node dist/bench/rivals/redis-stream.js REDIS_PORT

const STREAM = 'events';

interface Waiting {
  resolve(reply: string): void;
  reject(error: Error): void;
}

const socket = connect({ host: '127.0.0.1', port: Number(process.argv[2]), noDelay: true });
await once(socket, 'connect');
const waiting: Waiting[] = [];
let first = 0;
const replies = new RedisReplies((reply, isError) => {
  const next = waiting[first++];
  if (isError) next?.reject(new Error(reply));
  else next?.resolve(reply);
  if (first < 1024 || first * 2 < waiting.length) return;
  waiting.splice(0, first);
  first = 0;
});
socket.on('data', (chunk: Buffer) => {
  replies.push(chunk.toString('latin1'));
});
socket.on('close', () => process.exit(1));

async function command(...args: readonly string[]): Promise<string> {
  const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`);
  return new Promise((resolve, reject) => {
    waiting.push({ resolve, reject });
    socket.write(`*${args.length}\r\n${parts.join('')}`);
  });
}

openDoor('redis-stream', {
  async keep(text) {
    await command('XADD', STREAM, '*', 'event', text);
  },
  async count() {
    return Number(await command('XLEN', STREAM));
  },
});
