import { readFile, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { Pace } from '../../tools/producer/pace.js';
import { Schedule } from '../../tools/producer/schedule.js';
import { answer, endOf, listen, run, start } from '../helpers/producer-run.js';
import { until } from '../helpers/wait-for.js';

const LINES = [
  Buffer.from('{"id":"a","type":"test","data":{"n":12345678901234567890,"f":1.0}}'),
  Buffer.from('  { "type":"test", "id" : "b\\u00e9", "data":"für €\u{1F600}"}\t'),
  Buffer.concat([Buffer.from('{"id":"c","data":"'), Buffer.from([0xff, 0xc3, 0x28]), Buffer.from('"}')]),
  Buffer.from('no JSON'),
  Buffer.from(`{"id":"d","data":"${'x'.repeat(200_000)}é"}`),
  Buffer.from('{"id":7}'),
  Buffer.from('{"id":"last"}'),
];
// empty lines in between, one line that ends as on Windows, and none at the end
const FILE = Buffer.concat(
  LINES.flatMap((line, n) => [line, Buffer.from(['\n', '\r\n', '\n\n \n', '\n', '\n', '\n', ''][n] ?? '')]),
);

for (const from of ['a file', 'standard input'] as const) {
  void t.test(`--file sends the lines of ${from} byte for byte, in their order`, async (t) => {
    const bodies: Buffer[] = [];
    const url = await listen(t, ({ res, body }) => {
      bodies.push(body);
      answer(res, body.includes('no JSON') ? 400 : 202);
    });
    const dir = t.testdir();
    const [file, ids] = [join(dir, 'events.jsonl'), join(dir, 'ids')];
    await writeFile(file, FILE);
    const args = ['--url', url, '--file', from === 'a file' ? file : '-', '--accepted', ids];
    const { code, stdout } = await run([...args, '--max-in-flight', '1', '--rate', '1000'], FILE);
    t.equal(code, 1, 'the server judges the lines');
    t.match(stdout, 'Total sent: 7\nAccepted (202): 6\nBackpressure (429): 0\nErrors: 1\n');
    t.same(bodies, LINES);
    t.same((await readFile(ids, 'utf8')).split('\n'), ['a', 'bé', 'c', 'd', 'last', '']);
  });
}

void t.test('a source is read no further ahead than events can leave', async (t) => {
  const line = Buffer.from(`{"id":"a","data":"${'x'.repeat(100_000)}"}\n`);
  const held: ServerResponse[] = [];
  let hold = true;
  const url = await listen(t, ({ res }) => (hold ? void held.push(res) : answer(res, 202)));
  const child = start(['--url', url, '--file', '-', '--rate', '100000', '--max-in-flight', '2']);
  const ended = endOf(child);
  let left = 200;
  const write = (): void => {
    while (left > 0 && child.stdin.writableLength === 0) {
      left -= 1;
      child.stdin.write(line, write);
    }
    if (left === 0) child.stdin.end();
  };
  write();
  await until(() => held.length === 2, 'two requests have come');
  // no answer yet: what the producer has taken in settles
  for (let settled = 0, before = left; settled < 3; before = left) {
    await wait(100);
    settled = left === before ? settled + 1 : 0;
  }
  t.ok(left > 100, `${200 - left} of 200 lines were read`);
  hold = false;
  for (const res of held) answer(res, 202);
  t.match((await ended).stdout, 'Accepted (202): 200');
});

void t.test('an event that did not exist before is not late, and no burst follows', async (t) => {
  const schedule = new Schedule([{ from: 1000, to: 1000, durationMs: null }], null, null);
  const pace = new Pace(schedule, new AbortController().signal);
  const askedMs = performance.now();
  while (performance.now() < askedMs + 50);
  const arrivedMs = performance.now();
  pace.arrivedNow(askedMs);
  const dueMs = (await pace.next()) ?? NaN;
  t.ok(dueMs >= arrivedMs, 'due when it arrived');
  t.equal(Math.round((((await pace.next()) ?? NaN) - dueMs) * 1000), 1000, 'the next one an interval later');
});

void t.test('a line that is too long ends the run, with the statistics of what was done', async (t) => {
  const url = await listen(t, ({ res }) => answer(res, 202));
  const { code, stdout, stderr } = await run(
    ['--url', url, '--file', '-'],
    Buffer.concat([Buffer.from('{"id":"a"}\n'), Buffer.alloc(17 * 2 ** 20, 'x')]),
  );
  t.equal(code, 1);
  t.match(stdout, 'Accepted (202): 1\n');
  t.match(
    stderr,
    /^(forebay-producer: after .*\n)*forebay-producer: .*16 MiB.*\n$/,
    'a slow run says how far it is',
  );
});
