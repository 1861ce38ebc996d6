import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import type { Test } from 'tap';
import type { Statistics } from '../../tools/producer/statistics.js';

/** For a test that writes to a device that is always full. */
export const NEEDS_FULL = { skip: existsSync('/dev/full') ? false : 'this system has no /dev/full' };

/** A request at the server of a test, read to its end. */
export interface Request {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly body: Buffer;
}

export type Handler = (request: Request) => void;

/** A run of `bin/producer.js`. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a server on any free port; gives the URL that events go to. */
export async function serve(t: Test, handler: Handler): Promise<{ url: string; server: Server }> {
  const server = createServer((req, res) => {
    buffer(req).then(
      (body) => handler({ req, res, body }),
      () => {}, // the producer went away
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`, server };
}

export async function listen(t: Test, handler: Handler): Promise<string> {
  return (await serve(t, handler)).url;
}

/** Answers with a body that says nothing. */
export function answer(res: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  res.writeHead(status, headers).end('{"status":"of the test"}');
}

export function start(args: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, ['bin/producer.js', ...args]);
  child.stdin.on('error', () => {}); // it may end before it has read everything
  return child;
}

export async function endOf(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, stdout, stderr };
}

export function run(args: readonly string[], stdin: Buffer = Buffer.alloc(0)): Promise<Ended> {
  const child = start(args);
  child.stdin.end(stdin);
  return endOf(child);
}

/** Runs with `--json`; the run must end with exit code 0. */
export async function runJson(args: readonly string[]): Promise<Statistics> {
  const { code, stdout, stderr } = await run([...args, '--json']);
  if (code !== 0) throw new Error(`exit code ${code}: ${stdout}${stderr}`);
  return JSON.parse(stdout) as Statistics;
}

export function idOf(body: Buffer | string): string {
  return (JSON.parse(body.toString()) as { id: string }).id;
}
