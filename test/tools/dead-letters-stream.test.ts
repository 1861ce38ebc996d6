import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import type { Test } from 'tap';
import { DEAD_LETTERS_TOOL } from '../../tools/dead-letters/tool.js';
import { frontDoor } from '../helpers/front-door.js';
import { LogStreams } from '../helpers/log-streams.js';
import { NatsCluster } from '../helpers/nats-cluster.js';
import { printed, runHere } from '../helpers/tool-run.js';
import type { Ran } from '../helpers/tool-run.js';

const skip = NatsCluster.missing();
const starting = skip === false ? NatsCluster.start(t) : null;

const event = (id: string): string => `{"id":"${id}","type":"t","data":1.0,"timestamp":1}`;
const letter = (id: string, index: number, reason: string): string =>
  `{"batch":"events_7","key":"k","index":${index},"reason":"${reason}","status":422,"attempts":1,` +
  `"time":"2025-01-01T00:00:0${index}.000Z","event":${event(id)}}\n`;
const OLD = [letter('a', 0, 'too old'), letter('c', 1, 'too old')] as const;
const NEW = letter('b', 3, 'too new');

/** A stream with dead letters of two messages: 7.0, 7.3 and 8.1. */
async function filled(t: Test): Promise<LogStreams> {
  if (starting === null) throw new Error(String(skip));
  const streams = await LogStreams.made(t, await starting);
  const { letters } = streams.names;
  await streams.put(`${letters}.a.7.0`, OLD[0]);
  await streams.put(`${letters}.a.7.3`, NEW);
  await streams.put(`${letters}.a.8.1`, OLD[1]);
  return streams;
}

const tool = async ({ flags }: LogStreams, ...args: readonly string[]): Promise<Ran> =>
  runHere(DEAD_LETTERS_TOOL, [...args, ...flags]);

/** The ids of the events that are dead letters. */
async function left(streams: LogStreams): Promise<string[]> {
  const { out } = await tool(streams, 'show');
  return [...out.matchAll(/"event":\{"id":"(\w+)"/g)].map(([, id = '']) => id);
}

void t.test('ls counts by reason, show prints the letters as they are in the stream', { skip }, async (t) => {
  const streams = await filled(t);
  const { letters } = streams.names;
  const listed = await tool(streams, 'ls');
  t.equal(listed.code, 0);
  t.match(
    listed.out,
    /^ +2 .*00:00:00.000Z to .*00:00:01.000Z  422 too old\n +1 .* 422 too new\n3 dead letters in the stream /,
  );
  printed(t, await tool(streams, 'show'), { code: 0, out: OLD[0] + NEW + OLD[1] });
  printed(t, await tool(streams, 'show', '7'), { code: 0, out: OLD[0] + NEW });
  printed(t, await tool(streams, 'show', '8.1', '7.3'), { code: 0, out: OLD[1] + NEW });
  printed(t, await tool(streams, 'show', '7', '7.3'), { code: 0, out: OLD[0] + NEW }, 'each once');
  printed(t, await tool(streams, 'show', '--reason', 'new'), { code: 0, out: NEW });
  t.match(await tool(streams, 'show', '8', '--reason', 'new'), { code: 1, out: '', err: /too old \(1\)/ });
  const none = { code: 2, err: `forebay-dead-letters: There is no letter 9 in the stream ${letters}\n` };
  t.match(await tool(streams, 'show', '8', '9'), none);
  t.match(await tool(streams, 'show', 'batch_1.jsonl'), { code: 78, err: /120\.3/ });
});

void t.test('a letter as large as a message may be is printed whole', { skip }, async (t) => {
  const streams = await filled(t);
  const { letters } = streams.names;
  const largest = letter('x'.repeat(1024 * 1024 - letter('', 0, 'large').length), 0, 'large');
  t.equal(largest.length, 1024 * 1024);
  for (let n = 0; n < 5; n++) await streams.put(`${letters}.a.9.${n}`, largest);
  const { code, out } = await tool(streams, 'show', '--reason', 'large');
  t.equal(code, 0);
  t.ok(out === largest.repeat(5));
});

void t.test('redrive takes letters off the stream after their 202, and no others', { skip }, async (t) => {
  const streams = await filled(t);
  const { letters } = streams.names;
  const there: number[] = [];
  const { url, bodies } = await frontDoor(t, (res, body) => {
    void streams.messagesOf(letters).then((messages) => {
      there.push(messages);
      const status = body.includes('"a"') ? 400 : 202;
      res.writeHead(status).end(status === 400 ? 'no "a" here' : '');
    });
  });
  const { code, out, err } = await tool(streams, 'redrive', '--url', url);
  t.equal(code, 1);
  t.match(out, `2 events sent again to ${new URL(url).origin}, and taken there\n`);
  t.match(err, `the stream ${letters}, message 1: ${url} answered 400: no "a" here\n`);
  t.match(err, `what was not taken stays in the stream ${letters}\n`);
  t.equal(bodies[0], ['a', 'b', 'c'].map((id) => `${event(id)}\n`).join(''), 'the text of the client');
  t.ok(
    there.length > 1 && there.every((messages) => messages === 3),
    'all are there while one is asked about',
  );
  t.same(await left(streams), ['a']);
});

void t.test('a redrive of many sends each once, some at a time', { skip }, async (t) => {
  const streams = await filled(t);
  const { letters } = streams.names;
  const ids = Array.from({ length: 1100 }, (_each, index) => `n${index}`);
  for (const id of ids) await streams.put(`${letters}.a.9.${id.slice(1)}`, letter(id, 0, 'many'));
  const { url, bodies } = await frontDoor(t, (res) => res.writeHead(202).end());
  const { code, out, err } = await tool(streams, 'redrive', '--url', url, '--reason', 'many');
  t.match({ code, out, err }, { code: 0, out: /^1100 events sent again/, err: '' });
  t.same(bodies.join('').trimEnd().split('\n'), ids.map(event));
  t.ok(bodies.length > 2);
  t.same(await left(streams), ['a', 'b', 'c']);
});

void t.test('a redrive that is killed may send letters twice, and loses none', { skip }, async (t) => {
  const streams = await filled(t);
  let kill = (): void => undefined;
  const killing = await frontDoor(t, (res) => {
    kill();
    res.writeHead(202).end();
  });
  const { url, bodies } = killing;
  const args = ['bin/dead-letters.js', 'redrive', '--url', url, ...streams.flags];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  kill = () => child.kill('SIGKILL');
  await once(child, 'close');
  t.equal(bodies.length, 1);
  t.same(await left(streams), ['a', 'b', 'c'], 'taken by the server, and still here');
  kill = () => undefined;
  t.match(await tool(streams, 'redrive', '--url', url), { code: 0, out: /^3 events sent again/, err: '' });
  t.equal(bodies[1], bodies[0]);
  t.same(await left(streams), []);
});

void t.test('a letter that goes meanwhile, or comes again, stops no redrive', { skip }, async (t) => {
  const streams = await filled(t);
  const { names, jsm } = streams;
  const { url } = await frontDoor(t, (res) => {
    // another run drops one, and another attempt of a sink replaces one
    const changed = [
      jsm.streams.deleteMessage(names.letters, 1),
      streams.put(`${names.letters}.8.1`, letter('c', 1, 'still too old')),
    ];
    void Promise.all(changed).then(() => res.writeHead(202).end());
  });
  const { code, err } = await tool(streams, 'redrive', '--url', url);
  t.match({ code, err }, { code: 0, err: '' });
  printed(t, await tool(streams, 'show'), { code: 0, out: letter('c', 1, 'still too old') });
});

void t.test('drop deletes what is selected, with --yes', { skip }, async (t) => {
  const streams = await filled(t);
  t.match(await tool(streams, 'drop'), { code: 78, err: /say --yes/ });
  t.match(await tool(streams, 'drop', '--yes', '--reason', 'other'), { code: 1, err: /too old \(2\)/ });
  t.same(await left(streams), ['a', 'b', 'c']);
  printed(t, await tool(streams, 'drop', '--yes', '--reason', 'old', '7'), {
    code: 0,
    out: '1 event dropped\n',
    err: '',
  });
  t.same(await left(streams), ['b', 'c']);
  printed(t, await tool(streams, 'drop', '--yes'), { code: 0, out: '2 events dropped\n' });
  t.match(await tool(streams, 'drop', '--yes'), { code: 0, out: /^No dead letters in the stream / });
});

void t.test('a message that is no letter is named, and left alone', { skip }, async (t) => {
  const streams = await filled(t);
  const { letters } = streams.names;
  await streams.put(`${letters}.a.9.0`, 'garbage');
  const { code, out, err } = await tool(streams, 'ls');
  t.match({ code, out }, { code: 1, out: /3 dead letters in/ });
  t.equal(err, `forebay-dead-letters: the stream ${letters}: message 4 cannot be read\n`);
  printed(t, await tool(streams, 'drop', '--yes'), { code: 1, out: '3 events dropped\n' });
  t.equal(await streams.messagesOf(letters), 1);
});
