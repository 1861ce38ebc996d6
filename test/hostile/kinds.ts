import type { Kind } from './attack.js';
import {
  ARRAY_OF_NUMBERS,
  BLANK_LINES,
  BOMBS,
  BROKEN_STRINGS,
  DEEP_NESTING,
  LENIENT_LINES,
  TRAILING_BYTES,
} from './kinds/bodies.js';
import { BEHIND_CLOSE, BROKEN_CHUNKS, CUT_OFF, EXPECT_CONTINUE, UPGRADES } from './kinds/broken-frames.js';
import {
  LINE_ENDS,
  LONG_HEADS,
  PIPELINED,
  PIPELINED_EVENTS,
  SILENT_CONNECTIONS,
  UNREAD_ANSWERS,
} from './kinds/floods.js';
import { BROWSERS, CONTENT_TYPES, MALFORMED_HEADS } from './kinds/heads.js';
import { CLOUDEVENT_HEADS, FORGED_SIGNATURES, WEBHOOK_BODIES } from './kinds/senders.js';
import { BROTLI_WINDOWS, ENDLESS_BODIES, SLOW_DRIPS } from './kinds/slow-bodies.js';
import { TLS_GARBAGE, TLS_HALF, TLS_HANDSHAKES } from './kinds/tls.js';
import { VARIATIONS_KIND } from './kinds/variations.js';

/** What the machine does by itself: the other kinds are read beside it. */
const CALM: Kind = {
  name: 'calm',
  about: 'nothing',
  async attack(attack) {
    await attack.hold(1000);
  },
};

export const KINDS: readonly Kind[] = [
  CALM,
  BROKEN_CHUNKS,
  CUT_OFF,
  LENIENT_LINES,
  ARRAY_OF_NUMBERS,
  DEEP_NESTING,
  BLANK_LINES,
  BOMBS,
  BROKEN_STRINGS,
  TRAILING_BYTES,
  ...PIPELINED,
  PIPELINED_EVENTS,
  UNREAD_ANSWERS,
  SILENT_CONNECTIONS,
  LONG_HEADS,
  LINE_ENDS,
  ENDLESS_BODIES,
  SLOW_DRIPS,
  BROTLI_WINDOWS,
  EXPECT_CONTINUE,
  BEHIND_CLOSE,
  UPGRADES,
  MALFORMED_HEADS,
  CONTENT_TYPES,
  BROWSERS,
  FORGED_SIGNATURES,
  WEBHOOK_BODIES,
  CLOUDEVENT_HEADS,
  TLS_GARBAGE,
  TLS_HALF,
  TLS_HANDSHAKES,
  VARIATIONS_KIND,
];
