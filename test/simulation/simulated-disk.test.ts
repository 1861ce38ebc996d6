import t from 'tap';
import type { Test } from 'tap';
import { DiskBench } from './disk-bench.js';

const SEEDS = 300;
const PAGE = 4096;
const OLD = 97;
const NEW = 98;

/** How often something happens, over many seeds. */
function times(happens: (bench: DiskBench) => boolean): number {
  let count = 0;
  for (let seed = 1; seed <= SEEDS; seed++) if (happens(new DiskBench(seed))) count++;
  return count;
}

/** A file with one durable page, name and all. */
function durableFile(bench: DiskBench): number {
  const fd = bench.create('/file');
  bench.write(fd, Buffer.alloc(PAGE, OLD), 0);
  bench.flush(fd);
  bench.flushDirectory('/');
  return fd;
}

const is = (bytes: Buffer | null, value: number): boolean => bytes?.every((byte) => byte === value) === true;

function sometimes(t: Test, count: number, what: string): void {
  t.ok(count > SEEDS / 20 && count < SEEDS, `${what}: ${count} of ${SEEDS} times`);
}

void t.test('what was flushed, with its name, is never lost', (t) => {
  const lost = times((bench) => {
    durableFile(bench);
    bench.powerCut();
    return !is(bench.content('file'), OLD) || bench.content('file')?.length !== PAGE;
  });
  t.equal(lost, 0);
  t.end();
});

void t.test('what was written and not flushed is lost at some power cuts, and at no kill', (t) => {
  const overwrite = (bench: DiskBench): void => {
    bench.write(durableFile(bench), Buffer.alloc(PAGE, NEW), 0);
  };
  const lost = times((bench) => {
    overwrite(bench);
    bench.powerCut();
    return is(bench.content('file'), OLD);
  });
  sometimes(t, lost, 'lost');
  const lostByKill = times((bench) => {
    overwrite(bench);
    bench.kill();
    return !is(bench.content('file'), NEW);
  });
  t.equal(lostByKill, 0);
  t.end();
});

void t.test('what a kill keeps is still not flushed', (t) => {
  const lost = times((bench) => {
    bench.write(durableFile(bench), Buffer.alloc(PAGE, NEW), 0);
    bench.kill();
    bench.powerCut();
    return is(bench.content('file'), OLD);
  });
  sometimes(t, lost, 'lost');
  t.end();
});

void t.test('a page may be torn: new bytes at its begin, old ones behind', (t) => {
  const torn = times((bench) => {
    bench.write(durableFile(bench), Buffer.alloc(PAGE, NEW), 0);
    bench.powerCut();
    const bytes = bench.content('file') ?? Buffer.alloc(0);
    const firstOld = bytes.indexOf(OLD);
    t.ok(firstOld === -1 || is(bytes.subarray(firstOld), OLD), 'nothing new behind old bytes, no garbage');
    return firstOld > 0;
  });
  sometimes(t, torn, 'torn');
  t.end();
});

void t.test('pages survive in no order, and a hole reads as zeros', (t) => {
  const holes = times((bench) => {
    bench.write(durableFile(bench), Buffer.alloc(2 * PAGE, NEW), PAGE);
    bench.powerCut({ page: 0.5, torn: 0, size: 1, name: 1 });
    const bytes = bench.content('file') ?? Buffer.alloc(0);
    const isHole = is(bytes.subarray(PAGE, 2 * PAGE), 0) && bytes.length === 3 * PAGE;
    return isHole && is(bytes.subarray(2 * PAGE), NEW);
  });
  sometimes(t, holes, 'the later page without the earlier one');
  t.end();
});

void t.test('the size is durable by itself', (t) => {
  const shorter = times((bench) => {
    bench.write(durableFile(bench), Buffer.alloc(PAGE, NEW), PAGE);
    bench.powerCut({ page: 1, torn: 0, size: 0.5, name: 1 });
    return (bench.content('file')?.length ?? 0) < 2 * PAGE;
  });
  sometimes(t, shorter, 'shorter');
  t.end();
});

void t.test('a new name is lost without a flush of its directory, although the file was flushed', (t) => {
  const lost = times((bench) => {
    bench.flush(bench.create('/file'));
    bench.powerCut();
    return bench.content('file') === null;
  });
  sometimes(t, lost, 'lost');
  t.end();
});

void t.test('a deleted name comes back without a flush of its directory', (t) => {
  const deleted = (flushed: boolean): number =>
    times((bench) => {
      durableFile(bench);
      bench.unlink('/file');
      if (flushed) bench.flushDirectory('/');
      bench.powerCut();
      return bench.content('file') !== null;
    });
  sometimes(t, deleted(false), 'back');
  t.equal(deleted(true), 0, 'never back once that is flushed');
  t.end();
});

void t.test('a renamed file takes the place of the other one, or not, and surely after a flush', (t) => {
  const isOld = (flushed: boolean): number =>
    times((bench) => {
      durableFile(bench);
      const copy = bench.create('/copy');
      bench.write(copy, Buffer.alloc(PAGE, NEW), 0);
      bench.flush(copy);
      bench.rename('/copy', '/file');
      t.equal(bench.content('copy'), null);
      if (flushed) bench.flushDirectory('/');
      bench.powerCut();
      const content = bench.content('file');
      t.ok(is(content, OLD) || is(content, NEW), 'one of the two is always there');
      return is(content, OLD);
    });
  sometimes(t, isOld(false), 'the old one');
  t.equal(isOld(true), 0);
  t.end();
});

void t.test('a name is written by a rename, even if a flush has failed at it before', (t) => {
  const lost = times((bench) => {
    bench.flush(bench.create('/file'));
    bench.disk.faults.rates.fsync = 1;
    t.throws(() => {
      bench.flushDirectory('/');
    });
    bench.disk.faults.clear();
    bench.flush(bench.create('/copy'));
    bench.rename('/copy', '/file');
    bench.flushDirectory('/');
    bench.powerCut();
    return bench.content('file') === null;
  });
  t.equal(lost, 0);
  t.throws(() => {
    new DiskBench(1).rename('/none', '/file');
  }, /ENOENT/);
  t.end();
});

void t.test('after a failed flush the next one succeeds, and the bytes are gone all the same', (t) => {
  const lost = times((bench) => {
    const fd = durableFile(bench);
    bench.write(fd, Buffer.alloc(PAGE, NEW), 0);
    bench.disk.faults.rates.fdatasync = 1;
    t.throws(() => {
      bench.flush(fd);
    });
    bench.disk.faults.clear();
    bench.flush(fd);
    t.ok(is(bench.content('file'), NEW), 'reads give the new bytes');
    bench.powerCut({ page: 1, torn: 0, size: 1, name: 1 });
    return is(bench.content('file'), OLD);
  });
  sometimes(t, lost, 'gone');
  t.end();
});

void t.test('what is written again after a failed flush is flushed again', (t) => {
  const lost = times((bench) => {
    const fd = durableFile(bench);
    bench.write(fd, Buffer.alloc(PAGE, NEW), 0);
    bench.disk.faults.rates.fdatasync = 1;
    t.throws(() => {
      bench.flush(fd);
    });
    bench.disk.faults.clear();
    bench.write(fd, Buffer.alloc(1, NEW), 0);
    bench.flush(fd);
    bench.powerCut();
    return !is(bench.content('file'), NEW);
  });
  t.equal(lost, 0);
  t.end();
});

void t.test('a flush covers what was written before it was asked for, and no more', (t) => {
  const lost = times((bench) => {
    const fd = durableFile(bench);
    let flushed = false;
    bench.disk.fdatasync(fd, () => {
      flushed = true;
    });
    bench.write(fd, Buffer.alloc(PAGE, NEW), 0);
    bench.settle(() => flushed);
    bench.powerCut({ page: 0, torn: 0, size: 1, name: 1 });
    return is(bench.content('file'), OLD);
  });
  t.equal(lost, SEEDS);
  t.end();
});

void t.test('a failed flush of a directory forgets names, and the next one succeeds all the same', (t) => {
  const lost = times((bench) => {
    bench.create('/file');
    bench.disk.faults.rates.fsync = 1;
    t.throws(() => {
      bench.flushDirectory('/');
    });
    bench.disk.faults.clear();
    bench.flushDirectory('/');
    bench.powerCut();
    return bench.content('file') === null;
  });
  sometimes(t, lost, 'forgotten');
  t.end();
});

void t.test('a failing write leaves some of its bytes, a full disk lets go of what is deleted', (t) => {
  const partial = times((bench) => {
    const fd = bench.create('/file');
    bench.disk.faults.fullUntilMs = Infinity;
    t.throws(() => {
      bench.write(fd, Buffer.alloc(PAGE, NEW), 0);
    });
    const length = bench.content('file')?.length ?? 0;
    bench.unlink('/file');
    t.equal(bench.content('file'), null);
    return length > 0;
  });
  t.ok(partial > 0, 'a part of it is written');
  t.end();
});

void t.test('a lock is held until its file is closed, and no longer than its process', (t) => {
  const bench = new DiskBench(1);
  const first = bench.create('/lock');
  const second = bench.call<number>((done) => {
    bench.disk.open('/lock', 'r', done);
  });
  t.ok(bench.disk.tryLock(first));
  t.notOk(bench.disk.tryLock(second));
  bench.kill();
  const third = bench.call<number>((done) => {
    bench.disk.open('/lock', 'r', done);
  });
  t.ok(bench.disk.tryLock(third));
  t.end();
});

void t.test('a dead disk never answers', (t) => {
  const bench = new DiskBench(1);
  const dead = bench.disk;
  bench.powerCut();
  dead.opendir('/', () => {
    t.fail('it answers');
  });
  bench.settle();
  t.end();
});
