import t from 'tap';
import { contextOf, traceparentOf } from '../../lib/event/event-context.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

void t.test('a traceparent is read as W3C Trace Context says', (t) => {
  const valid = `00-${TRACE}-${PARENT}-01`;
  t.equal(traceparentOf(valid), valid);
  t.equal(traceparentOf(`00-${TRACE}-${PARENT}-03`), `00-${TRACE}-${PARENT}-03`);
  for (const [later, what] of [
    [`01-${TRACE}-${PARENT}-ff`, 'a later version'],
    [`fe-${TRACE}-${PARENT}-01-more-of-it`, 'one with more at its end'],
  ] as const)
    t.equal(traceparentOf(later), valid, what);
  const invalid = {
    'no version': `${TRACE}-${PARENT}-01`,
    'version ff': `ff-${TRACE}-${PARENT}-01`,
    'no trace': `00-${'0'.repeat(32)}-${PARENT}-01`,
    'no parent': `00-${TRACE}-${'0'.repeat(16)}-01`,
    'upper case': valid.toUpperCase(),
    'more after version 00': `${valid}-more`,
    'more without a hyphen': `01-${TRACE}-${PARENT}-01more`,
    'two headers': `${valid}, ${valid}`,
    'flags of one digit': `00-${TRACE}-${PARENT}-1`,
    'a space': ` ${valid}`,
    nothing: '',
  };
  for (const [what, header] of Object.entries(invalid)) t.equal(traceparentOf(header), null, what);
  t.end();
});

void t.test('there is a context only if there is something to keep', (t) => {
  const traceparent = `00-${TRACE}-${PARENT}-01`;
  t.equal(contextOf({}), null);
  t.equal(contextOf({ traceparent: 'nonsense', isReplay: false }), null);
  t.same(contextOf({ traceparent }), { traceparent, isReplay: false });
  t.same(contextOf({ traceparent: 'nonsense', isReplay: true }), { traceparent: null, isReplay: true });
  t.end();
});
