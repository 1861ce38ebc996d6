import t from 'tap';
import { EventBlock } from '../../lib/event/event-block.js';
import { BRACE, contentOfText, EventIds, ID_WORDS } from '../../lib/event/event-ids.js';
import { SipHash } from '../../lib/event/sip-hash.js';
import { withKeyMember } from '../../lib/keys/key-member.js';
import { blockBytes, checkedText } from '../../lib/logs/file/checksum.js';
import { writeLines } from '../../lib/logs/file/file-part.js';
import { readIdMark } from '../../lib/logs/file/ids/id-mark.js';
import { marksAt } from '../../lib/logs/file/run-mark.js';
import { eventText } from '../helpers/running-forebay.js';

const HASH = new SipHash(Buffer.alloc(16, 1));
const SCOPE = {
  source: 'events',
  hash: HASH,
  holder: null,
  mask: [0, 0, 0],
  windowMs: 1000,
  refusesConflicts: false,
  lastEvents: 1,
} as const;

void t.test(
  'in an id window the line with the name of a key is sound, and has the id of what was sent',
  (t) => {
    const block = EventBlock.of(eventText('a'));
    const ids = new EventIds({ ...SCOPE });
    ids.addJson(Buffer.from('a'), 0, 1, true, contentOfText(eventText('a')), BRACE);
    block.ids = ids;
    const marked = withKeyMember(block, 'sender', 'meter');
    const target = Buffer.alloc(blockBytes(marked, 0, 1));
    const request = { block: marked, withdrawn: false, acknowledge: () => undefined };
    t.equal(writeLines(target, 0, [{ request, from: 0, to: 1 }], null), target.length);
    const text = checkedText(target.subarray(0, -1)) ?? Buffer.alloc(0);
    const { id } = marksAt(text, 0, text.length);
    const event = text.subarray(0, text.length - id);
    t.match(event.toString(), /,"sender":"meter"\}$/);
    const words = new Uint32Array(ID_WORDS);
    readIdMark(event, text.subarray(text.length - id), HASH, words);
    t.same([...words], [...ids.words.subarray(ids.at(0), ids.at(0) + ID_WORDS)]);
    t.end();
  },
);
