import type { Test } from 'tap';
import { Reporter } from '../../lib/base/reporter.js';
import { AppendLog } from '../../lib/logs/file/append-log.js';
import { eventLogContract } from '../helpers/event-log-contract.js';
import type { LogBench, LogPlace } from '../helpers/event-log-contract.js';
import { heldDisk } from '../helpers/held-disk.js';
import { MemoryLog, MemoryStore } from '../helpers/memory-log.js';
import type { AppendFault } from '../helpers/memory-log.js';
import { tempDir } from '../helpers/temp-dir.js';

/** @param recentBytesMax what is kept in memory, too; 0: each batch is read from its file */
function files(t: Test, recentBytesMax: number, deadLettersBytesMax: number): LogPlace {
  const dir = tempDir(t);
  const disk = heldDisk();
  return {
    async open() {
      const bounds = { recentBytesMax, deadLettersBytesMax };
      return AppendLog.open({ dir, fsync: 'always', reporter: new Reporter(), fs: disk.fs, ...bounds });
    },
    hold() {
      disk.hold();
    },
    release() {
      disk.release();
    },
    lose() {
      disk.fail('write', 'ENOSPC');
    },
    doubt() {
      disk.fail('fdatasync', 'EIO');
    },
    mend() {
      for (const method of ['write', 'fdatasync'] as const) disk.fail(method, null);
    },
  };
}

function memory(lettersBytesMax: number, doubt: AppendFault): LogPlace {
  const store = new MemoryStore(lettersBytesMax);
  return {
    open: async () => Promise.resolve(new MemoryLog(store)),
    hold() {
      store.hold();
    },
    release() {
      store.release();
    },
    lose() {
      store.fault = 'lost';
    },
    doubt() {
      store.fault = doubt;
    },
    mend() {
      store.fault = null;
    },
  };
}

const BENCHES: Readonly<Record<string, LogBench>> = {
  'append log': {
    place: (t, lettersBytesMax = Infinity) => files(t, 0, lettersBytesMax),
    apart: null,
    late: { cannot: 'what cannot be cut off comes again only if the disk keeps it: see the simulation' },
  },
  'append log, from memory': {
    place: (t, lettersBytesMax = Infinity) => files(t, 1_000_000, lettersBytesMax),
    apart: null,
    late: { cannot: 'as above' },
  },
  'memory, late': {
    place: (_t, lettersBytesMax = Infinity) => memory(lettersBytesMax, 'late'),
    apart: null,
    late: null,
  },
  'memory, doubtful': {
    place: (_t, lettersBytesMax = Infinity) => memory(lettersBytesMax, 'doubtful'),
    apart: null,
    late: { cannot: 'it is lost' },
  },
};

for (const [name, bench] of Object.entries(BENCHES)) eventLogContract(name, bench);
