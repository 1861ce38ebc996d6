import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

// The floor of what HTTP in Node costs: reads the body, parses it, answers `202`, and keeps nothing.

const ACCEPTED = Buffer.from('{"status":"accepted"}');
const HEADERS = { 'Content-Type': 'application/json', 'Content-Length': ACCEPTED.length };

const server = createServer((req, res) => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
  });
  req.on('end', () => {
    let status = 202;
    try {
      JSON.parse(Buffer.concat(chunks).toString('utf8'));
    } catch {
      status = 400;
    }
    res.writeHead(status, HEADERS);
    res.end(ACCEPTED);
  });
});

server.listen(0, '127.0.0.1', () => {
  console.log(`bare server started on port ${(server.address() as AddressInfo).port}`);
});
process.on('SIGTERM', () => process.exit(0));
