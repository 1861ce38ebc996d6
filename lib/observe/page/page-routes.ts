import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAnswered, sendAnswer } from '../../door/answers.js';
import type { Route } from '../../door/router.js';
import { OwnFeed } from './live-feed.js';
import type { LiveFeed } from './live-feed.js';
import { LiveStream, STREAMS_MAX } from './live-stream.js';
import type { ObserverOptions } from './observer.js';

export interface PageOptions extends ObserverOptions {
  /** The folder of the browser's files; by default beside this one, where the build puts them. */
  readonly browserDir?: URL;
  /** Where the state comes from; by default from this process. */
  readonly feed?: LiveFeed;
}

const FILES = [
  'page.css',
  'icon.svg',
  'page.js',
  'batch-words.js',
  'batches.js',
  'chart-points.js',
  'charts.js',
  'dom.js',
  'format.js',
  'letters.js',
  'live.js',
  'pause-words.js',
  'pipeline.js',
  'sink.js',
  'source-words.js',
  'sources.js',
  'verdict.js',
];
const UPLOT = { 'uplot.js': 'uplot/dist/uPlot.iife.min.js', 'uplot.css': 'uplot/dist/uPlot.min.css' };

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Nothing from another host, nothing inline; a text that came from a client can do nothing, whatever it is. */
const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-cache',
};

/**
 * The live page: `/`, its files below `/page/`, and `/page/live`, which sends it the state once a second. It
 * changes nothing. Looks at the pipeline from now on, until the server stops.
 *
 * @returns what is at which path
 */
export function pageRoutes({ browserDir, feed, ...options }: PageOptions): ReadonlyMap<string, Route> {
  const dir = browserDir ?? new URL('browser/', import.meta.url);
  const routes = new Map<string, Route>([['/', fileRoute(fileURLToPath(new URL('page.html', dir)))]]);
  for (const file of FILES) routes.set(`/page/${file}`, fileRoute(fileURLToPath(new URL(file, dir))));
  const { resolve } = createRequire(import.meta.url);
  for (const [name, path] of Object.entries(UPLOT)) routes.set(`/page/${name}`, fileRoute(resolve(path)));
  routes.set('/page/live', liveRoute(feed ?? new OwnFeed(options)));
  return routes;
}

function liveRoute(feed: LiveFeed): Route {
  const stream = new LiveStream();
  feed.start(stream);
  return {
    methods: ['GET'],
    handle: async (req, res) => {
      req.resume();
      const headers = { ...HEADERS, 'Content-Type': 'text/plain' };
      if (res.socket === null) {
        // after another answer on its connection: its end would never be known
        sendAnswer(res, { status: 400, headers, body: 'The live page takes no request that is pipelined\n' });
        return;
      }
      const full = (): void => {
        const text = `The server stops, or ${STREAMS_MAX} pages are open already\n`;
        sendAnswer(res, { status: 503, headers: { ...headers, 'Retry-After': '5' }, body: text });
      };
      if (!stream.hasRoom) {
        full();
        return;
      }
      const first = await feed.first();
      if (isAnswered(res)) return;
      if (stream.hasRoom) stream.open(res, first);
      else full();
    },
    stop: () => {
      feed.stop();
      stream.close();
    },
  };
}

/** A file, read when it is first asked for. */
function fileRoute(path: string): Route {
  const type = TYPES[extname(path)] ?? 'application/octet-stream';
  let file: Promise<{ bytes: Buffer; tag: string }> | null = null;
  const read = async (): Promise<{ bytes: Buffer; tag: string }> => {
    const bytes = await readFile(path);
    return { bytes, tag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` };
  };
  const send = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    file ??= read().catch((error: unknown) => {
      file = null;
      throw error;
    });
    const { bytes, tag } = await file;
    if (isAnswered(res)) return;
    const headers = { ...HEADERS, 'Content-Type': type, ETag: tag };
    if (req.headers['if-none-match'] === tag) res.writeHead(304, headers).end();
    else sendAnswer(res, { status: 200, headers, body: bytes });
  };
  return {
    methods: ['GET', 'HEAD'],
    handle: async (req, res) => {
      req.resume();
      await send(req, res);
    },
  };
}
