import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Kind } from '../attack.js';
import { ask, chunk, CHUNKED, event, JSON_TYPE, NDJSON_TYPE, post } from '../requests.js';

const MIB = 2 ** 20;
const HOLD_MS = 3000;
/** As long as the server takes to inflate them all. */
const ENDLESS_MS = 4000;
const DRIP_MS = 500;
/** The server may close or refuse what is slow; a body that never ends is never taken. */
const NEVER_TAKEN = [400, 408, 413, 429, 503];

export const ENDLESS_BODIES: Kind = {
  name: 'endless-bodies',
  about: '100 bodies that never end: gzip that inflates to 1 MiB, plain ones of 1 MiB',
  async attack(attack) {
    const lines = `${event('endless', 'x'.repeat(100))}\n`.repeat(6500);
    const begun = gzipSync(lines).subarray(0, -12);
    const compressed = ask(attack.host, 'POST', '/events', {
      ...CHUNKED,
      ...NDJSON_TYPE,
      'Content-Encoding': 'gzip',
    });
    const plain = ask(attack.host, 'POST', '/events', { ...NDJSON_TYPE, 'Content-Length': 16 * MIB }, lines);
    await Promise.all([
      attack.flood(Buffer.concat([compressed, chunk(begun)]), {
        connections: 80,
        holdMs: ENDLESS_MS,
        statuses: NEVER_TAKEN,
      }),
      attack.flood(plain, { connections: 20, holdMs: ENDLESS_MS, statuses: NEVER_TAKEN }),
    ]);
  },
};

export const SLOW_DRIPS: Kind = {
  name: 'slow-drips',
  about: '200 requests that come a byte each half second: heads, bodies, gzip bodies',
  async attack(attack) {
    const { host } = attack;
    const text = event('drip', 'x'.repeat(100));
    const body = gzipSync(text);
    const request = post(host, text);
    const compressed = post(host, body, { ...JSON_TYPE, 'Content-Encoding': 'gzip' });
    const chunked = ask(
      host,
      'POST',
      '/events',
      { ...CHUNKED, ...JSON_TYPE },
      `${text.length.toString(16)}\r\n{`,
    );
    const starts: [Buffer, number][] = [
      [request, 1],
      [request, request.length - text.length + 1],
      [compressed, compressed.length - body.length + 1],
      [Buffer.concat([chunked, Buffer.from(text.slice(1))]), chunked.length],
    ];
    const drips = Array.from({ length: 200 }, (_, index) => {
      const [bytes, sent] = starts[index % starts.length] ?? [request, 1];
      const connection = attack.connect();
      connection.send(bytes.subarray(0, sent));
      return { connection, bytes, sent };
    });
    for (let ms = 0; ms < HOLD_MS && !attack.isOver; ms += DRIP_MS) {
      await attack.hold(DRIP_MS);
      for (const drip of drips) drip.connection.send(drip.bytes.subarray(drip.sent, ++drip.sent));
    }
    for (const { connection } of drips) attack.leave(connection, NEVER_TAKEN);
  },
};

export const BROTLI_WINDOWS: Kind = {
  name: 'brotli-windows',
  about: '300 bodies of brotli with a window of 16 MiB that never end',
  async attack(attack) {
    const params = { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: 16 * MIB };
    const begun = brotliCompressSync(`${event('window', 'x'.repeat(100))}\n`.repeat(6500), {
      params,
    }).subarray(0, -2);
    const start = ask(attack.host, 'POST', '/events', {
      ...CHUNKED,
      ...NDJSON_TYPE,
      'Content-Encoding': 'br',
    });
    await attack.flood(Buffer.concat([start, chunk(begun)]), {
      connections: 300,
      holdMs: HOLD_MS,
      statuses: NEVER_TAKEN,
    });
  },
};
