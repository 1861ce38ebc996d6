import t from 'tap';
import { LinkedSet } from '../../lib/base/linked-set.js';
import type { Links } from '../../lib/base/linked-set.js';

class Member implements Links<Member> {
  before: Member | null = null;
  after: Member | null = null;
}

void t.test('the first member is the oldest one that is left, whichever have gone', (t) => {
  const set = new LinkedSet<Member>();
  const known = new Set<Member>();
  const gone: Member[] = [];
  t.equal(set.first, null);
  // each order of leaving among eight that come and go
  let seed = 1;
  for (let step = 0; step < 5000; step++) {
    seed = (seed * 48_271) % 2_147_483_647;
    if (known.size < 8 && seed % 2 === 0) {
      const member = gone.length > 4 ? (gone.shift() ?? new Member()) : new Member();
      set.add(member);
      known.add(member);
    } else {
      const leaving = [...known][seed % 8];
      if (leaving === undefined) continue;
      if (!set.delete(leaving) || set.delete(leaving)) throw new Error('a member leaves once');
      known.delete(leaving);
      gone.push(leaving);
    }
    const [oldest = null] = known;
    if (set.first !== oldest) throw new Error(`step ${step}: another one is the first`);
    if (step % 100 === 0) t.same([set.size, set.all.length], [known.size, known.size]);
  }
  for (const member of known) {
    t.equal(set.first, member);
    t.ok(set.delete(member));
    known.delete(member);
  }
  t.equal(set.first, null);
  t.equal(known.size, 0);
  t.end();
});

void t.test('a member that has left has no link to any other', (t) => {
  const set = new LinkedSet<Member>();
  const [first, second, third] = [new Member(), new Member(), new Member()];
  for (const member of [first, second, third]) set.add(member);
  for (const member of [second, first, third]) {
    set.delete(member);
    t.same([member.before, member.after], [null, null]);
  }
  t.end();
});
