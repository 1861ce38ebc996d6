import fc from 'fast-check';
import t from 'tap';
import { ID_WORDS } from '../../lib/event/event-ids.js';
import { IdTable, NONE } from '../../lib/intake/id-table.js';
import { SEED } from '../helpers/seed.js';

const WINDOW_S = 100;

/** The words of an id. Few have the same first word, so that cells of the index meet. */
function wordsOf(id: number): Uint32Array {
  return Uint32Array.of(id % 7, Math.floor(id / 7), 0xffffffff - id, id * 3);
}

const ids = fc.nat(60);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: fc.constant('add' as const), id: ids }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('keep' as const), id: ids }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('drop' as const), id: ids }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('wait' as const), id: fc.nat(WINDOW_S) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('recall' as const), id: ids }) },
);

void t.test(
  'it knows exactly the ids that were added, kept or are on their way, and are not too old',
  (t) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.constantFrom(1, -30), (steps, first) => {
        const table = new IdTable(WINDOW_S * 1000, 1_000_000, first);
        /** `null`: on its way. */
        const known = new Map<number, { place: number; atS: number | null }>();
        let nowS = 1000;
        for (const { what, id } of steps) {
          const entry = known.get(id);
          const isKnown = entry !== undefined && (entry.atS === null || nowS - entry.atS < WINDOW_S);
          if (what === 'wait') nowS += id;
          else if (what === 'recall' && entry?.atS !== null) {
            table.recall(wordsOf(id), 0, nowS - 10, nowS);
            known.set(id, { place: table.find(wordsOf(id), 0, nowS), atS: nowS - 10 });
          } else if (what === 'add' && !isKnown) {
            if (table.find(wordsOf(id), 0, nowS) !== NONE) return false;
            known.set(id, { place: table.add(wordsOf(id), 0, id, nowS), atS: null });
          } else if (what === 'keep' && entry?.atS === null) {
            table.keep(entry.place, nowS);
            entry.atS = nowS;
          } else if (what === 'drop' && isKnown) {
            table.drop(entry.place);
            known.delete(id);
          }
          for (let each = 0; each <= 60; each++) {
            const expected = known.get(each);
            const isThere =
              expected !== undefined && (expected.atS === null || nowS - expected.atS < WINDOW_S);
            const place = table.find(wordsOf(each), 0, nowS);
            if ((place !== NONE) !== isThere) return false;
            if (!isThere) continue;
            if (table.contentOf(place) !== each * 3) return false;
            if (table.requestOf(place) !== (expected.atS === null ? each : NONE)) return false;
          }
        }
        return true;
      }),
      { seed: SEED, numRuns: 200 },
    );
    t.end();
  },
);

const many = (id: number): Uint32Array =>
  Uint32Array.of(Math.imul(id, 0x9e3779b1) >>> 0, id, id ^ 0x5bd1e995, 0);

void t.test('beyond its bound the oldest go first, and it says how long the others were kept', (t) => {
  const table = new IdTable(WINDOW_S * 1000, 50_000);
  for (let id = 0; id < 120_000; id++)
    table.keep(table.add(many(id), 0, 1, 10), 10 + Math.floor(id / 10_000));
  t.equal(table.size, 50_001, 'the last was on its way when it came');
  t.equal(table.droppedAgeS, 0, 'the last to go came less than a second before its successor');
  t.equal(table.find(many(69_998), 0, 21), NONE);
  t.not(table.find(many(69_999), 0, 21), NONE);
  table.keep(table.add(many(200_000), 0, 1, 40), 40);
  t.equal(table.droppedAgeS, 24);
  t.end();
});

void t.test('its memory is used again, and a million ids take less than 64 MB', (t) => {
  const before = process.memoryUsage().arrayBuffers;
  const table = new IdTable(WINDOW_S * 1000, 1_000_000);
  for (let id = 0; id < 3_000_000; id++) table.keep(table.add(many(id), 0, 1, 10), 10);
  t.equal(table.find(many(2_999_999), 0, 10) === NONE, false);
  const megabytes = (process.memoryUsage().arrayBuffers - before) / 1e6;
  t.ok(megabytes < 64 && table.size === 1_000_001, `${megabytes.toFixed(1)} MB`);
  const full = process.memoryUsage().arrayBuffers;
  for (let id = 0; id < 100_000; id++) table.add(many(3_000_000 + id), 0, 1, 10);
  const more = (process.memoryUsage().arrayBuffers - full) / 1e6;
  t.ok(more < 3, `those on their way take ${more.toFixed(1)} MB more: their entries, and no larger index`);
  t.end();
});

void t.test('places may come again', (t) => {
  const table = new IdTable(WINDOW_S * 1000, 30_000, -100_000);
  for (let id = 0; id < 200_000; id++) {
    if (table.find(many(id), 0, 10) !== NONE) t.fail(`${id} was not added`);
    const place = table.add(many(id), 0, 1, 10);
    table.keep(place, 10);
    if (place === NONE || table.find(many(id), 0, 10) !== place) t.fail(`${id} is not found`);
    if (id >= 30_000 && table.find(many(id - 29_998), 0, 10) === NONE) t.fail(`${id} pushes out a newer one`);
    if (id > 30_000 && table.find(many(id - 30_001), 0, 10) !== NONE) t.fail(`${id} pushes out none`);
  }
  t.equal(table.size, 30_001);
  t.end();
});

void t.test('those on their way are never forgotten, and push out no others', (t) => {
  const table = new IdTable(WINDOW_S * 1000, 2);
  for (let id = 0; id < 3; id++) table.keep(table.add(many(id), 0, 1, 10), 10);
  const places = Array.from({ length: 100 }, (_, n) => table.add(many(1000 + n), 0, n, 20));
  for (let n = 0; n < 100; n++) t.equal(table.find(many(1000 + n), 0, 20), places[n]);
  for (const id of [1, 2]) t.not(table.find(many(id), 0, 20), NONE);
  t.end();
});

void t.test('an event that is not stored takes no room', (t) => {
  const table = new IdTable(WINDOW_S * 1000, 1000);
  table.keep(table.add(many(0), 0, 1, 10), 10);
  const before = process.memoryUsage().arrayBuffers;
  for (let round = 1; round <= 100; round++) {
    const places = Array.from({ length: 20_000 }, (_, n) => table.add(many(round * 20_000 + n), 0, n, 10));
    for (const place of places) table.drop(place);
  }
  t.equal(table.size, 1);
  t.not(table.find(many(0), 0, 10), NONE);
  t.equal(table.find(many(20_001), 0, 10), NONE);
  const megabytes = (process.memoryUsage().arrayBuffers - before) / 1e6;
  t.ok(megabytes < 5, `${megabytes.toFixed(1)} MB for two million`);
  t.end();
});

t.equal(ID_WORDS, 4);
