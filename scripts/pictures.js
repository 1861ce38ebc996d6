// Takes the pictures of the live page that stand in the documents: `npm run pictures`, or with fewer minutes of load
// before the first one, `npm run pictures -- 1`. Needs Chromium, and pngquant to make the files small.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { request } from 'undici';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const IMAGES = join(ROOT, 'docs/images');
const MINUTES = Number(process.argv[2] ?? 15);
const DESKTOP = { width: 1280, height: 1120 };
const PHONE = { width: 390, height: 844 };

const dir = mkdtempSync(join(tmpdir(), 'forebay-pictures-'));
mkdirSync(IMAGES, { recursive: true });

/** A sink that refuses what has the type `bad`, and is slow or away when it is told to. */
const sink = { isDown: false, delayMs: 15 };
const sinkServer = createServer((req, res) => {
  answer(req, res).catch(() => res.destroy());
}).listen(0, '127.0.0.1');
await once(sinkServer, 'listening');

async function answer(req, res) {
  let body = '';
  for await (const piece of req) body += piece;
  await sleep(sink.delayMs);
  if (sink.isDown) {
    res.writeHead(503, { 'content-type': 'text/plain' }).end('upstream connect error: connection refused');
    return;
  }
  const types = body
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).type);
  const refused = types.flatMap((type, index) =>
    type === 'bad' ? [{ index, reason: 'amount must not be negative', status: 422 }] : [],
  );
  res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ refused }));
}

let port = 0;
let server = null;
async function start() {
  const flags = {
    port,
    'log-dir': join(dir, 'log'),
    'log-format': 'json',
    'queue-size': 2000,
    sink: 'http',
    'sink-url': `http://127.0.0.1:${sinkServer.address().port}/`,
  };
  const words = [
    ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`),
    ...['shop', 'partner'].map((name) => `--source=${name}=/in/${name},format=events`),
  ];
  server = spawn(process.execPath, [join(ROOT, 'bin/server.js'), ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const listening = new Promise((resolve) => {
    server.stdout.on('data', (text) => {
      const found = / on port (\d+)/.exec(text)?.[1];
      if (found !== undefined) resolve(Number(found));
    });
  });
  port = await listening;
}
async function kill() {
  server.kill('SIGKILL');
  await once(server, 'exit');
}

/** Load that rises and falls; a flood where it is told to. */
const load = { perSecond: 600, isOn: true };
let sent = 0;
async function post(events, path = '/events') {
  const body = events.map((event) => JSON.stringify(event)).join('\n');
  const headers = { 'content-type': 'application/x-ndjson' };
  const { body: told } = await request(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers, body });
  await told.dump();
}
function made(type = 'order.placed', data = { amount: 12.5 }) {
  return { id: `evt-${String(++sent).padStart(7, '0')}`, type, data };
}
/** Two senders with a source of their own. */
let isPartnerWrong = false;
setInterval(() => {
  if (!load.isOn || server === null) return;
  post([made('cart.updated', { items: 3 })], '/in/shop').catch(() => undefined);
}, 90);
setInterval(() => {
  if (!load.isOn || server === null) return;
  const { id, ...event } = made('invoice.paid');
  post([isPartnerWrong ? event : { id, ...event }], '/in/partner').catch(() => undefined);
}, 1700);
const beginMs = Date.now();
setInterval(() => {
  if (!load.isOn || server === null) return;
  const wave =
    1 + 0.35 * Math.sin((Date.now() - beginMs) / 70_000) + 0.12 * Math.sin((Date.now() - beginMs) / 9000);
  const events = Math.max(1, Math.round((load.perSecond * wave * (0.9 + Math.random() * 0.2)) / 50));
  for (let left = events; left > 0; left -= 20)
    post(Array.from({ length: Math.min(20, left) }, () => made())).catch(() => undefined);
}, 20);

await start();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
const looks = [
  { colorScheme: 'light', viewport: DESKTOP },
  { colorScheme: 'dark', viewport: DESKTOP },
  { colorScheme: 'light', viewport: PHONE },
  { colorScheme: 'dark', viewport: PHONE },
];
const pages = await Promise.all(
  looks.map(async ({ colorScheme, viewport }) => {
    const isPhone = viewport === PHONE;
    const page = await browser.newPage({ colorScheme, viewport, deviceScaleFactor: isPhone ? 1.5 : 1 });
    await page.goto(`http://127.0.0.1:${port}/`);
    return { page, name: `${isPhone ? 'phone' : 'desktop'}-${colorScheme}` };
  }),
);
async function picture(state, wanted) {
  for (const { page, name } of pages.filter((each) => wanted.includes(each.name))) {
    const path = join(IMAGES, `page-${state}-${name}.png`);
    await page.screenshot({ path, fullPage: true });
    spawnSync('pngquant', ['--force', '--ext', '.png', '--quality', '70-95', path]);
    console.log(path);
  }
}

const only = (process.env.ONLY ?? '').split(',').filter((each) => each !== '');
const wants = (state) => only.length === 0 || only.includes(state);
await sleep(MINUTES * 60_000);
if (wants('well'))
  await picture(
    'well',
    pages.map(({ name }) => name),
  );

isPartnerWrong = true;
if (wants('source')) {
  await sleep(68_000);
  for (const { page } of pages) await page.locator('#sources summary').first().click();
  await sleep(1500);
  await picture('source', ['desktop-light']);
  for (const { page } of pages) await page.locator('#sources details[open] summary').click();
}
isPartnerWrong = false;
await sleep(wants('source') ? 62_000 : 0);

load.perSecond = 60_000;
await sleep(6000);
if (wants('flood')) await picture('flood', ['desktop-dark']);
load.perSecond = 600;
await sleep(20_000);

sink.isDown = true;
await sleep(25_000);
if (wants('sink-down')) await picture('sink-down', ['desktop-light', 'phone-dark']);

await kill();
load.isOn = false;
await sleep(8000);
if (wants('stale')) await picture('stale', ['desktop-light']);

sink.isDown = false;
await start();
load.isOn = true;
await sleep(15_000);
await post([made('bad', { amount: -3 }), made('bad', { amount: -1 }), made()]);
await sleep(9000);
for (const { page } of pages) await page.locator('#letters summary').first().click();
if (wants('recovered')) await picture('recovered', ['desktop-light']);

load.isOn = false;
await browser.close();
server.kill('SIGTERM');
await once(server, 'exit');
sinkServer.close();
sinkServer.closeAllConnections();
rmSync(dir, { recursive: true, force: true });
process.exit(0);
