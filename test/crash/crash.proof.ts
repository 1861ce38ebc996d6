import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { binaryCloudEvent, githubDelivery } from '../helpers/senders.js';
import { SEED } from '../helpers/seed.js';
import { tempDir } from '../helpers/temp-dir.js';
import { Random } from '../simulation/random.js';
import { ACKNOWLEDGED_MIN, crashRounds } from './crash-rounds.js';

void t.test('ten times kill -9 under load lose no acknowledged event', async (t) => {
  const result = await crashRounds({
    rounds: 10,
    dir: tempDir(t),
    connections: 64,
    random: new Random(SEED),
    lifeMsMax: 300,
  });
  t.comment(`${result.acknowledged} acknowledged, ${result.duplicates} delivered twice`);
  t.comment(`${result.scrapes} scrapes`);
  t.ok(result.acknowledged >= ACKNOWLEDGED_MIN, 'there was load');
  t.same(result.lost, []);
  t.equal(result.strange, 0);
  t.ok(result.scrapes > 0, 'the metrics were read meanwhile');
  t.same(result.unaccounted, [], 'in each scrape every event was accounted for');
});

void t.test('with --fsync never kill -9 loses nothing either', async (t) => {
  const result = await crashRounds({
    rounds: 3,
    dir: tempDir(t),
    connections: 64,
    random: new Random(SEED),
    lifeMsMax: 300,
    flags: ['--fsync', 'never'],
  });
  t.ok(result.acknowledged >= ACKNOWLEDGED_MIN, 'there was load');
  t.same(result.lost, []);
  t.equal(result.strange, 0);
  t.ok(result.scrapes > 0, 'the metrics were read meanwhile');
  t.same(result.unaccounted, [], 'in each scrape every event was accounted for');
});

void t.test('kill -9 loses nothing while the file of the sink is moved away all the time', async (t) => {
  const dir = tempDir(t);
  const result = await crashRounds({
    rounds: 5,
    dir,
    connections: 64,
    random: new Random(SEED),
    lifeMsMax: 300,
    moves: true,
  });
  t.ok(result.acknowledged >= ACKNOWLEDGED_MIN, 'there was load');
  t.ok(readdirSync(dir).filter((name) => /^sink\.\d+\.jsonl$/.test(name)).length > 5, 'it was moved');
  t.same(result.lost, []);
  t.equal(result.strange, 0);
});

void t.test('kill -9 of workers and of their supervisor loses nothing, whatever their number', async (t) => {
  const result = await crashRounds({
    rounds: 8,
    dir: tempDir(t),
    connections: 64,
    random: new Random(SEED),
    lifeMsMax: 300,
    workers: 3,
  });
  t.comment(`${result.acknowledged} acknowledged, ${result.duplicates} delivered twice`);
  t.ok(result.acknowledged >= ACKNOWLEDGED_MIN, 'there was load');
  t.same(result.lost, []);
  t.equal(result.strange, 0);
  t.same(result.unaccounted, [], 'in each scrape every event was accounted for');
});

void t.test('kill -9 loses no signed webhook and no CloudEvent', async (t) => {
  const dir = tempDir(t);
  const secretFile = join(dir, 'github.secret');
  writeFileSync(secretFile, 'secret of the test\n');
  const webhooks = new Set<string>();
  const result = await crashRounds({
    rounds: 5,
    dir,
    connections: 64,
    random: new Random(SEED),
    lifeMsMax: 300,
    flags: ['--source', `github=/in/github,secret-file=${secretFile}`, '--source', 'ce,format=cloudevents'],
    others: [
      (id) => {
        webhooks.add(id);
        return githubDelivery('secret of the test', id, 'x'.repeat(100));
      },
      (id) => binaryCloudEvent('/in/ce', id),
      (id) => binaryCloudEvent('/events', id),
    ],
  });
  t.comment(`${result.acknowledged} acknowledged, ${webhooks.size} webhooks`);
  t.ok(result.acknowledged >= ACKNOWLEDGED_MIN, 'there was load');
  t.ok(webhooks.size > 20, 'from each source');
  t.same(result.lost, []);
  t.equal(result.strange, 0);
});
