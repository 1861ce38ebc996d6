import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Scope } from '../helpers/temp-dir.js';

/** What a server does with a request that has arrived. */
export type Act = (res: ServerResponse, req: IncomingMessage, body: string) => void;

export interface Asked {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A server of a test: it answers as it is written, request by request, and then as Forebay does. */
export interface ScriptedServer {
  readonly url: string;
  readonly asked: readonly Asked[];
}

export async function scripted(t: Scope, ...acts: readonly Act[]): Promise<ScriptedServer> {
  const asked: Asked[] = [];
  const server = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (piece: string) => (body += piece));
    req.on('end', () => {
      const act = acts[asked.length] ?? accepts;
      asked.push({ headers: req.headers, body });
      act(res, req, body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`, asked };
}

export function says(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Act {
  return (res) => {
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    res.end(typeof body === 'string' ? body : `${JSON.stringify(body)}\n`);
  };
}

export const accepts: Act = (res, req, body) => {
  says(202, { status: 'accepted', count: body.split('\n').length - 1 })(res, req, body);
};

/** Takes the events, and breaks the connection within the answer. */
export const cutsOff: Act = (res) => {
  res.writeHead(202, { 'content-type': 'application/json', 'content-length': '22' });
  res.write('{"status":"acc', () => res.destroy());
};

/** Breaks the connection before the answer. */
export const resets: Act = (_res, req) => {
  req.socket.resetAndDestroy();
};

/** Never answers. */
export const isSilent: Act = () => undefined;

/** The ids of the events of a request. */
export function idsIn({ body }: Asked): string[] {
  return body
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { id: string }).id);
}
