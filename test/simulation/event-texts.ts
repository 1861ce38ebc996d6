import type { Random } from './random.js';

const LETTERS = Array.from('abcdefghijklmnopqrstuvwxyz0123456789');
const PIECES = [
  'é',
  'ß',
  '漢字',
  '🙂',
  '\u2028',
  '\\"',
  '"',
  '\n',
  '\t',
  '                                        ',
  '{}',
  'a\u0000b',
];

/** The text of a valid event, as a client may write it: of 60 bytes to some 10 KB, or more than a block of the disk. */
export function eventText(random: Random, id: string, isLarge = false): string {
  if (isLarge && random.chance(0.7)) {
    const data = random.pick(LETTERS).repeat(Math.floor(random.spread(4096, 12_000)));
    return JSON.stringify({ id, type: 'large', data });
  }
  const data: unknown = random.chance(0.2) ? { nested: [padding(random), null, 1.5e300] } : padding(random);
  const event: Record<string, unknown> = { id, type: random.pick(['click', 'order', 'größe 📦']), data };
  if (random.chance(0.2)) event['timestamp'] = random.pick([1765416480000, 'yesterday', null]);
  if (random.chance(0.1)) return `\r\n ${JSON.stringify(event, null, 2).replaceAll('\n', '\r\n')}\n\n`;
  if (random.chance(0.1)) return JSON.stringify(event).replace('{', '{ "n": 1.00, "n": 1e400,');
  return JSON.stringify(event);
}

/** Texts that are no events: none of them may ever be seen again. */
export function invalidText(random: Random, id: string): string {
  return random.pick([
    '',
    '{',
    'null',
    '[]',
    `{"id":"${id}","type":"click"}`,
    `{"id":"${id}","data":1}`,
    `{"id":"","type":"click","data":1}`,
    `{"id":"${id}","type":7,"data":1}`,
    `{"id":"${id}","type":"click","data":1}\n{"id":"${id}","type":"click","data":2}`,
  ]);
}

/** The line that must come out for a text that went in at this time, written from docs/append-log.md. */
export function expectedLine(text: string, nowMs: number): string {
  const line = text.trim().replaceAll('\r', ' ').replaceAll('\n', ' ');
  const hasTimestamp = Object.keys(JSON.parse(text) as object).includes('timestamp');
  return hasTimestamp ? line : `${line.slice(0, -1)},"timestamp":${nowMs}}`;
}

function padding(random: Random): string {
  const length = Math.floor(random.chance(0.85) ? random.spread(1, 800) : random.spread(800, 12_000));
  const letter = random.pick(LETTERS);
  if (random.chance(0.7)) return letter.repeat(length);
  const piece = random.pick(PIECES);
  return letter + piece.repeat(Math.ceil(length / 8 / piece.length) + 1) + letter;
}
