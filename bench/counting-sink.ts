import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

// An HTTP sink that keeps nothing: counts the lines of each body and answers 204. GET / tells how many came.

const LINE_FEED = 10;
let events = 0;

const server = createServer((req, res) => {
  if (req.method === 'GET') {
    res.end(JSON.stringify({ events }));
    return;
  }
  req.on('data', (piece: Buffer) => {
    for (let at = piece.indexOf(LINE_FEED); at !== -1; at = piece.indexOf(LINE_FEED, at + 1)) events++;
  });
  req.on('end', () => {
    res.writeHead(204);
    res.end();
  });
});

server.listen(0, '127.0.0.1', () => {
  console.log(`counting sink started on port ${(server.address() as AddressInfo).port}`);
});
process.on('SIGTERM', () => process.exit(0));
