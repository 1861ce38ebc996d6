import { readFileSync } from 'node:fs';

// The floor of bulk requests: the bytes of a body to text, split at line feeds, each line parsed. In a loop.
// Called as: node dist/bench/parse-lines.js BODY_FILE SECONDS

const WARM_UP_MS = 500;

const [path = '', seconds = '1'] = process.argv.slice(2);
const body = readFileSync(path);
parseFor(WARM_UP_MS);
console.log(JSON.stringify(parseFor(Number(seconds) * 1000)));

function parseFor(durationMs: number): { eventsPerSecond: number } {
  const startMs = performance.now();
  let events = 0;
  let elapsedMs = 0;
  do {
    for (const line of body.toString('utf8').split('\n')) {
      if (line === '') continue; // after the last line feed
      JSON.parse(line);
      events++;
    }
    elapsedMs = performance.now() - startMs;
  } while (elapsedMs < durationMs);
  return { eventsPerSecond: events / (elapsedMs / 1000) };
}
