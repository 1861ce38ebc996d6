import t from 'tap';
import { EventIds, ID_WORDS } from '../../../../lib/event/event-ids.js';
import { maskOf } from '../../../../lib/event/id-scope.js';
import { SipHash } from '../../../../lib/event/sip-hash.js';
import { blockBytes, checkedText } from '../../../../lib/logs/file/checksum.js';
import { writeLines } from '../../../../lib/logs/file/file-part.js';
import { idMarkBytes, readIdMark } from '../../../../lib/logs/file/ids/id-mark.js';
import { marksAt } from '../../../../lib/logs/file/run-mark.js';
import { events } from '../../../../lib/sources/events/events-source.js';
import { headOf, LIMITS } from '../../../helpers/read-source.js';

const HASH = new SipHash(Buffer.alloc(16, 1));
const TYPE = { 'content-type': 'application/x-ndjson' };
const NOTHING = Buffer.alloc(0);

/** With and without a time, with one that looks like that of the server, with an id that is written in another way. */
const GOOD = [
  '{"id":"a","type":"t","data":1}',
  '{ "id":"b","type":"t","data":1,"timestamp":1 }',
  '{"type":"t","timestamp":null,"data":"é","id":"\\u00e9"}',
  '{"id":"é","type":"t","data":{"timestamp":5}}',
];
/** Only JSON.parse is certain of it. */
const RARE = '{"\\u0069d":"c","type":"t","data":1}';

for (const [what, lines, holder, key, bytes] of [
  ['the short form', GOOD, null, null, 28],
  ['that of a holder', GOOD, 5, null, 68],
  ['the long form, beside an event that is parsed', [...GOOD, RARE], null, null, 152],
  ['the long form, of a key', GOOD, null, 'key', 152],
] as const)
  void t.test(`what an id window knows is in the lines of a killed run: ${what}`, (t) => {
    const about = { source: 'events', hash: HASH, holder, mask: maskOf(HASH, holder) };
    const ids = new EventIds({ ...about, windowMs: 1000, refusesConflicts: false, lastEvents: 0 }, key);
    const reader = events.readerFor(headOf(TYPE), LIMITS)(0, ids);
    reader.append(Buffer.from(lines.join('\n')));
    reader.end();
    ids.seal();
    t.equal(idMarkBytes(ids), bytes);
    const { block } = reader;
    const request = { block, withdrawn: false, acknowledge: () => undefined };
    for (const [index, line] of lines.entries()) {
      const target = Buffer.alloc(blockBytes(block, index, index + 1));
      writeLines(target, 0, [{ request, from: index, to: index + 1 }], null);
      const text = checkedText(target.subarray(0, -1)) ?? NOTHING;
      const { id } = marksAt(text, 0, text.length);
      const words = new Uint32Array(ID_WORDS);
      readIdMark(text.subarray(0, text.length - id), text.subarray(text.length - id), HASH, words);
      t.same([...words], [...ids.words.subarray(ids.at(index), ids.at(index) + ID_WORDS)], line);
    }
    t.end();
  });
