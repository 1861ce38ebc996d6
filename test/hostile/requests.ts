/** Names and values, as they go into a head: a value that is `null` takes its line out. */
export type Headers = Readonly<Record<string, string | number | null>>;

export const JSON_TYPE = { 'Content-Type': 'application/json' };
export const NDJSON_TYPE = { 'Content-Type': 'application/x-ndjson' };
export const CHUNKED = { 'Transfer-Encoding': 'chunked' };

export function head(startLine: string, headers: Headers): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${value}\r\n`],
  );
  return `${startLine}\r\n${lines.join('')}\r\n`;
}

export function ask(host: string, method: string, path: string, headers: Headers = {}, body = ''): Buffer {
  return Buffer.from(head(`${method} ${path} HTTP/1.1`, { Host: host, ...headers }) + body, 'latin1');
}

/** `POST /events` with its length. */
export function post(host: string, body: string | Buffer, headers: Headers = JSON_TYPE): Buffer {
  const bytes = Buffer.from(body);
  const all = { Host: host, 'Content-Length': bytes.length, ...headers };
  return Buffer.concat([Buffer.from(head('POST /events HTTP/1.1', all), 'latin1'), bytes]);
}

export function event(id: string, data: unknown = null): string {
  return JSON.stringify({ id, type: 'hostile', data });
}

export function chunk(body: string | Buffer): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** Cuts at these places. */
export function cut(bytes: Buffer, ...places: readonly number[]): Buffer[] {
  const all = [0, ...places, bytes.length];
  return all.slice(1).map((end, index) => bytes.subarray(all[index], end));
}

/** Cuts into three at a third and two thirds. */
export function inThree(bytes: Buffer): Buffer[] {
  return cut(bytes, Math.floor(bytes.length / 3), Math.floor((bytes.length * 2) / 3));
}
