import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

// An HTTP sink that works on so many bodies at once and tells nobody: others wait, or are answered with 503.
// GET / tells how many bodies were taken. Called as: node dist/bench/limited-sink.js PLACES MS waits|busy

const [places = 1, takesMs = 1] = process.argv.slice(2).map(Number);
const isBusyWhenFull = process.argv[4] === 'busy';
const waiting: (() => void)[] = [];
let working = 0;
let taken = 0;

const server = createServer((req, res) => {
  if (req.method === 'GET') {
    res.end(JSON.stringify({ taken }));
    return;
  }
  req.resume();
  req.on('end', () => void work(req, res));
});

async function work(_req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (working >= places) {
    if (isBusyWhenFull) {
      res.writeHead(503).end();
      return;
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else working++;
  await sleep(takesMs * (0.5 + Math.random()));
  taken++;
  res.writeHead(204).end();
  const next = waiting.shift();
  if (next === undefined) working--;
  else next();
}

server.listen(0, '127.0.0.1', () => {
  console.log(`limited sink started on port ${(server.address() as AddressInfo).port}`);
});
process.on('SIGTERM', () => process.exit(0));
