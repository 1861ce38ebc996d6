import type { Oddity } from '../worlds.js';

/** A fault put into a copy of the code, and what the simulation must say about it. */
export interface Mutant {
  /** What the faulty code does. */
  readonly name: string;
  /** Which invariant of lib/core/README.md. */
  readonly breaks: string;
  readonly edits: readonly Edit[];
  /** The promise that is found broken. */
  readonly violates: RegExp;
  /** What is odd about the worlds that it is looked for in, and nothing else; without it, nothing is. */
  readonly worlds?: readonly Oddity[];
  /** The seed that is looked at first, if the fault shows in few; otherwise 1. */
  readonly from?: number;
}

export interface Edit {
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

const LOST = /was acknowledged and is lost/;
const NOT_STORED =
  /was answered as a (duplicate|conflict), and was not stored before|was acknowledged and is lost/;
const STORED_TWICE = /^VIOLATED: the id \S+ of \S+ is stored twice/;
const CAME_WITH = /came with .*: it was sent with/;
const REFUSED_BUT_SENT =
  /was refused with LOG_FAILED (and came to the sink all the same|after the sink got it)/;

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'acknowledges before the flush',
    breaks: 'N3',
    edits: [
      {
        file: 'lib/logs/file/batch-file.ts',
        find: 'if (flushes) await this.flush();',
        replace: 'if (flushes) this.flush().catch(() => undefined);',
      },
    ],
    violates: LOST,
  },
  {
    name: 'takes a write for a flushed one although the file was not opened so',
    breaks: 'N3',
    edits: [{ file: 'lib/logs/file/batch-file.ts', find: 'options.flushes ? fs.dsync : 0', replace: '0' }],
    violates: LOST,
  },
  {
    name: 'acknowledges a request with some of its events on disk',
    breaks: 'N5',
    edits: [
      {
        file: 'lib/intake/waiting-requests.ts',
        find: 'if (this.#onDisk + this.#failed < this.#events) return;',
        replace: 'if (this.#isOver) return;\n    this.#isOver = true;',
      },
      {
        file: 'lib/intake/waiting-requests.ts',
        find: '#onDisk = 0;',
        replace: '#onDisk = 0;\n  #isOver = false;',
      },
    ],
    violates: /is lost|was refused with LOG_FAILED/,
  },
  {
    name: 'does not flush the directory',
    breaks: 'N3',
    edits: [
      {
        file: 'lib/logs/file/batch-file.ts',
        find: 'this.#named ? data : bothDone(data, this.#options.flushName())',
        replace: 'data',
      },
    ],
    violates: LOST,
  },
  {
    name: 'does not flush the names above the log directory',
    breaks: 'N3',
    edits: [
      {
        file: 'lib/logs/file/file-system.ts',
        find: 'await flushDirectory(fs, dirname(made));',
        replace: '',
      },
    ],
    violates: /is lost/,
  },
  {
    name: 'lets events out of the queue when the log is given them',
    breaks: 'N2',
    edits: [
      {
        file: 'lib/core/batcher.ts',
        find: 'this.#givenEvents += events;',
        replace: 'this.queuedEvents -= events;',
      },
    ],
    violates: /events wait for the disk, and the queue may hold/,
  },
  {
    name: 'deletes before the sink confirmed',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/core/delivery.ts',
        find: 'const settlement = await settleFile(',
        replace:
          'await this.#log.delete({ ...batch, events: 0, logBytes: 0 });\n    const settlement = await settleFile(',
      },
    ],
    violates: LOST,
  },
  {
    name: 'drops what the sink refuses',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/delivery/settler.ts',
        find: 'notKept: isSettled ? null : await this.keep(batch, refused)',
        replace: 'notKept: null',
      },
    ],
    violates: LOST,
  },
  {
    name: 'takes a batch off the disk whose dead letters have no room',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/core/delivery.ts',
        find: 'if (notKept === null) return',
        replace: 'if (notKept !== undefined) return',
      },
    ],
    violates: /was acknowledged and is lost|is a dead letter, and the sink has it/,
  },
  {
    name: 'takes other lines for the refused ones when a batch aside is read again',
    breaks: 'N10',
    edits: [
      {
        file: 'lib/delivery/settlement.ts',
        find: 'event: linesOf(batch, starts, verdict.index, verdict.index + 1).subarray(0, -1),',
        replace: 'event: linesOf(batch, starts, 0, 1).subarray(0, -1),',
      },
    ],
    violates: /is lost|is a dead letter, and the sink did not refuse it/,
  },
  {
    name: 'does not flush dead letters',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/logs/file/new-file.ts',
        find: 'await writeAll(fs, fd, bytes, 0);\n    await callVoid((done) => {\n      fs.fsync(fd, done);',
        replace:
          'await writeAll(fs, fd, bytes, 0);\n    await callVoid((done) => {\n      if (path.includes("dead-letters")) done(null);\n      else fs.fsync(fd, done);',
      },
    ],
    violates: LOST,
  },
  {
    name: 'does not flush the names of dead letters',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/logs/file/new-file.ts',
        find: 'await flushName();',
        replace: 'if (!path.includes("dead-letters")) await flushName();',
      },
    ],
    violates: LOST,
  },
  {
    name: 'takes the neighbours of a refused event for refused',
    breaks: 'N10',
    edits: [
      {
        file: 'lib/delivery/settlement.ts',
        find: "putBack(course, { ...part, attempts }, 'split');\n      continue;",
        replace: "for (let index = 0; index < to - from; index++) add({ index, reason: '', status: null });",
      },
    ],
    // lost if someone drops the dead letters
    violates: /is a dead letter, and the sink did not refuse it|was acknowledged and is lost/,
  },
  {
    name: 'leaves the dead letters of an event that the sink takes after a crash',
    breaks: 'N10',
    edits: [
      {
        file: 'lib/core/delivery.ts',
        find: "pending.leftover || pending.past === 'offered'",
        replace: 'false',
      },
    ],
    violates: /is a dead letter, and the sink has it/,
  },
  {
    name: 'deletes a batch before the deletion of its dead letters is flushed',
    breaks: 'N10',
    edits: [
      {
        file: 'lib/logs/file/aside/dead-letters.ts',
        find: 'if (this.#isFlushed) return;',
        replace: 'if (earlier.length >= 0) return;',
      },
    ],
    violates: /is a dead letter, and the sink has it/,
    worlds: ['removed lock'],
  },
  {
    name: 'forgets events that the sink fails at when the rest of their batch is delivered',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/delivery/settlement.ts',
        find: 'if (course.apart.length > 0) return null;',
        replace: '',
      },
    ],
    violates: LOST,
    worlds: ['toxic events'],
  },
  {
    name: 'forgets what is left of a batch that gives way to another',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/delivery/settlement.ts',
        find: "if (next === 'keep') course.open.unshift(part);",
        replace: "if (next === 'keep') course.taken += to - from;",
      },
    ],
    violates: LOST,
  },
  {
    name: 'counts a batch whose file could not be deleted',
    breaks: 'N12',
    edits: [{ file: 'lib/core/delivery.ts', find: 'if (removal === null) return;', replace: '' }],
    violates: /accepted/,
  },
  {
    name: 'stops before what it reads and deletes has ended',
    breaks: 'N13',
    edits: [
      {
        file: 'lib/core/delivery.ts',
        find: 'if (this.#active.size === 0 && this.#ahead.isEmpty && rests)',
        replace: 'if (this.#ahead.isEmpty)',
      },
    ],
    violates: /files are still open/,
  },
  {
    name: 'takes a short read for the whole file',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/file/file-system.ts',
        find: 'read === (bytes ?? size) ? file.subarray(0, read) : readAll(fs, path, bytes)',
        replace: 'file.subarray(0, read)',
      },
    ],
    violates: /was acknowledged and is lost|came under two keys|came out changed/,
  },
  {
    name: 'trusts a file after a failed flush',
    breaks: 'N3',
    edits: [
      {
        file: 'lib/logs/file/batch-file.ts',
        find: 'if (flushes) await this.flush();',
        replace: `if (flushes) await this.flush().catch(() => {
        this.failed = false;
        this.#unflushed = true;
        return this.flush();
      });`,
      },
    ],
    violates: LOST,
  },
  {
    name: 'trusts the names made before a failed flush of the directory',
    breaks: 'N3',
    edits: [
      {
        file: 'lib/logs/file/directory-sync.ts',
        find: 'this.#failures !== failuresBefore',
        replace: 'false',
      },
    ],
    violates: LOST,
  },
  {
    name: 'drops a line that is not the torn end',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/file/batch-lines.ts',
        find: 'if (hasMarks || !isBlank(line)) damaged.add({ from, to: end, kind, events });',
        replace: '',
      },
    ],
    violates: /was damaged, and its line is lost/,
  },
  {
    name: 'does not flush a file in the quarantine',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/file/new-file.ts',
        find: 'await writeAll(fs, fd, bytes, 0);\n    await callVoid((done) => {\n      fs.fsync(fd, done);',
        replace:
          'await writeAll(fs, fd, bytes, 0);\n    await callVoid((done) => {\n      if (path.includes("quarantine")) done(null);\n      else fs.fsync(fd, done);',
      },
    ],
    violates: /damaged, and its line is lost/,
  },
  {
    name: 'does not flush the name of a file in the quarantine',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/file/new-file.ts',
        find: 'await flushName();',
        replace: 'if (!path.includes("quarantine")) await flushName();',
      },
    ],
    violates: /was damaged, and its line is lost/,
  },
  {
    name: 'trusts a second flush of the name of a directory after a failed one',
    breaks: 'N3',
    edits: [
      {
        file: 'lib/logs/file/aside/subdirectory.ts',
        find: 'if (!this.#isDurable) {',
        replace: 'if (false) {',
      },
    ],
    violates: /is lost/,
    worlds: ['cut off'],
  },
  {
    name: 'does not look at the mark',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/file/checksum.ts',
        find: 'return foreign === 0 && crc32(bytes.subarray(start, textEnd)) === sum >>> 0;',
        replace: 'return true;',
      },
    ],
    violates: /came out changed|nobody sent/,
  },
  {
    name: 'leaves in the file what it refuses',
    breaks: 'N4',
    edits: [
      {
        file: 'lib/logs/file/group-writer.ts',
        find: 'await file.cut().catch(() => {',
        replace: 'await Promise.resolve().catch(() => {',
      },
    ],
    // what was taken and what was refused may be told of at once then
    violates: /was refused with LOG_FAILED|the disk is said to take no events/,
  },
  {
    name: 'refuses for certain what it could not cut off',
    breaks: 'N4',
    edits: [
      {
        file: 'lib/logs/file/group-writer.ts',
        find: "throw new ForebayError('IN_DOUBT', { cause, retryAfterMs: RETRY_AFTER_MS });",
        replace: "throw new ForebayError('LOG_FAILED', { cause, retryAfterMs: RETRY_AFTER_MS });",
      },
    ],
    violates: REFUSED_BUT_SENT,
  },
  {
    name: 'takes the name of a file, which comes again, for the key of a batch',
    breaks: 'N8',
    edits: [
      {
        file: 'lib/seams/batch-key.ts',
        find: 'return `${file}@${digestOf(bytes)}`;',
        replace: 'return batchName;',
      },
    ],
    violates: /was given twice/,
  },
  {
    name: 'gives what is left of a file the key of all that was in it',
    breaks: 'N8',
    edits: [
      {
        file: 'lib/seams/batch-key.ts',
        find: 'return `${file}@${digestOf(bytes)}`;',
        replace: 'return file;',
      },
    ],
    violates: /was given twice/,
  },
  {
    name: 'forgets the run of a file that it reads from disk',
    breaks: 'N8',
    edits: [
      {
        file: 'lib/logs/file/cached-file.ts',
        find: 'const { runId, events, bytes, contexts } = read;',
        replace: "const runId = '0'.repeat(15) + '1';\n  const { events, bytes, contexts } = read;",
      },
    ],
    violates: /came under two keys/,
  },
  {
    name: 'delivers in the order of the letters: 10 before 9',
    breaks: 'N6',
    edits: [
      {
        file: 'lib/logs/file/batch-name.ts',
        find: 'return numberOf(a) - numberOf(b);',
        replace: 'return a < b ? -1 : Number(a > b);',
      },
    ],
    violates: /came out of order|is lost|has no answer|is owed|not delivered/,
  },
  {
    name: 'lets others go before the rest of a file that the sink takes',
    breaks: 'N6',
    edits: [
      {
        file: 'lib/delivery/file-settlement.ts',
        find: 'deadLettered: deadLettered + settlement.refused.length,\n    };',
        replace:
          'deadLettered: deadLettered + settlement.refused.length,\n    };\n    if (course.isOpen) return null;',
      },
    ],
    violates: /came out of order/,
  },
  {
    name: 'takes what is no event',
    breaks: 'N1',
    edits: [{ file: 'lib/event/event.ts', find: "checkText('id', id);", replace: '' }],
    violates: /this is no event and was acknowledged|^VIOLATED: \{.* was refused with/,
  },
  {
    name: 'tells nobody that the disk did not take their events',
    breaks: 'N5',
    edits: [
      {
        file: 'lib/core/committer.ts',
        find: 'for (const { request, from, to } of part.ranges)',
        replace: 'if (error === null) for (const { request, from, to } of part.ranges)',
      },
    ],
    violates: /have no answer|hangs|events wait for the disk/,
  },
  {
    name: 'gives names that go back with the clock',
    breaks: 'N6',
    edits: [{ file: 'lib/logs/file/batch-name.ts', find: ', this.#last.second);', replace: ');' }],
    violates: /came out of order|is lost|was given twice/,
    worlds: ['clock'],
  },
  {
    name: 'begins, after the clock has stepped back, with names before those on disk',
    breaks: 'N6',
    edits: [
      {
        file: 'lib/logs/file/batch-name.ts',
        find: 'left !== null && left.second >= second ? left : { second, n: 0 }',
        replace: '{ second, n: 0 }',
      },
    ],
    violates: /came out of order|is lost|nobody has removed a file|^VIOLATED: hangs/,
    worlds: ['clock'],
  },
  {
    name: 'counts what someone has removed as pending',
    breaks: 'N12',
    edits: [
      {
        file: 'lib/logs/file/log-counts.ts',
        find: 'this.pendingEvents += batch.leftover && isNew ? events : -gone;',
        replace: 'this.pendingEvents += batch.leftover && isNew ? events : 0;',
      },
    ],
    violates: /counts do not add up|still counts as waiting/,
    worlds: ['removed files'],
  },
  {
    name: 'takes a connection that broke for a confirmation',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/delivery/sink-attempts.ts',
        find: 'this.#running.delete(attempt);\n          reject(error);',
        replace:
          'this.#running.delete(attempt);\n          if (error.message.includes("broke")) resolve();\n          else reject(error);',
      },
    ],
    violates: LOST,
    worlds: ['cut off'],
  },
  {
    name: 'takes dead letters that the disk has no room for for kept',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/logs/file/new-file.ts',
        find: 'throw error;',
        replace: 'if (!path.includes("dead-letters")) throw error;',
      },
    ],
    violates: LOST,
  },
  {
    name: 'counts a batch that is deleted as pending',
    breaks: 'N12',
    edits: [
      {
        file: 'lib/logs/file/append-log.ts',
        find: 'this.pendingEvents -= events;',
        replace: '',
      },
    ],
    violates: /accepted/,
  },
  {
    name: 'deletes an earlier copy before the new one is there',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/file/aside/new-copy.ts',
        find: 'const path = await freePath(fs, first, 1);',
        replace:
          'if (fullest !== undefined) await unlink(fs, fullest.path);\n  const path = await freePath(fs, first, 1);',
      },
    ],
    violates: /is lost/,
    worlds: ['removed lock'],
  },
  {
    name: 'gives an event the trace of the last line that has one, whosever it is',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/file/context-mark.ts',
        find: 'this.#sum === sumAt(lines, at) ? this.last : null',
        replace: 'this.last',
      },
    ],
    violates: CAME_WITH,
    worlds: ['contexts'],
  },
  {
    name: 'writes a trace only where a request starts, not in its further batches',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/file/file-part.ts',
        find: 'request === before ? furtherContextMark : firstContextMark',
        replace: 'from > 0 ? furtherContextMark : firstContextMark',
      },
    ],
    violates: CAME_WITH,
    worlds: ['contexts'],
  },
  {
    name: 'sends the parts of a batch without their contexts',
    breaks: 'N8',
    edits: [
      {
        file: 'lib/delivery/settlement.ts',
        find: '    contexts: contextsBetween(batch.contexts, from, to),\n',
        replace: '',
      },
    ],
    violates: CAME_WITH,
    worlds: ['contexts'],
  },
  {
    name: 'has a batch that cannot be read keep its place until it can',
    breaks: 'N11',
    edits: [
      {
        file: 'lib/delivery/patient-reads.ts',
        find: 'isOfFile && failures >= READS_IN_PLACE && this.#away.size < AWAY_MAX',
        replace: 'isOfFile && failures < 0',
      },
    ],
    violates: /hangs: what the sink would take is held up by what it does not/,
    worlds: ['unreadable files'],
  },
  {
    name: 'forgets after a crash that the only batch of a file was to be followed by others',
    breaks: 'N8',
    edits: [
      {
        file: 'lib/logs/file/batch-reader.ts',
        find: 'return { bytes, contexts, batches, pieces: [] };',
        replace: 'return { bytes, contexts, batches: batches.length === 1 ? [] : batches, pieces: [] };',
      },
    ],
    violates: /came under two keys/,
  },
  {
    name: 'marks only the first batch of a file',
    breaks: 'N8',
    edits: [
      {
        file: 'lib/logs/file/file-part.ts',
        find: '(isStart && events === 0) || (file.isShared && end !== null)',
        replace: 'isStart && events === 0 && end === null',
      },
      {
        file: 'lib/logs/file/file-part.ts',
        find: 'file.openEvents === 0 && (file.isShared || file.bytes === 0)',
        replace: 'file.bytes === 0',
      },
    ],
    violates: /the batch .* has \d+ events/,
  },
  {
    name: 'deletes a file once the first of its batches is settled',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/delivery/file-settlement.ts',
        find: 'deadLettered: deadLettered + settlement.refused.length,\n    };',
        replace: 'deadLettered: deadLettered + settlement.refused.length,\n    };\n    break;',
      },
    ],
    violates: LOST,
  },
  {
    name: 'acknowledges the batches of a file one by one before all are written',
    breaks: 'N3',
    edits: [
      {
        file: 'lib/logs/file/group-writer.ts',
        find: 'part.file ??= await this.create(part.isShared);',
        replace:
          'part.file ??= await this.create(part.isShared);\n        if (part.parts.length > 1 && part.parts[0] !== undefined) ended(part.parts.shift()!, null, part.file.name);',
      },
    ],
    violates: /was acknowledged and is lost|the counts do not add up|\bhas \d+ events/,
  },
  {
    name: 'remembers the id of an event that did not become durable',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/intake/id-intake.ts',
        find: "if (error === null && fresh.findingOf(index) !== 'conflict') table.keep(place, nowS);",
        replace: 'if (error !== undefined) table.keep(place, nowS);',
      },
    ],
    violates: NOT_STORED,
    worlds: ['ids'],
  },
  {
    name: 'answers a twin before the first is durable',
    breaks: 'N3',
    edits: [
      {
        file: 'lib/intake/id-intake.ts',
        find: 'if (other !== null && other !== this) (others ??= new Set()).add(other);',
        replace: '',
      },
    ],
    violates: NOT_STORED,
    worlds: ['ids'],
  },
  {
    name: 'forgets ids when their batch file is deleted',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/file/group-writer.ts',
        find: "if (file.ids !== null) ids?.add(name, file.ids, typeof fsync === 'number' ? finished : null);",
        replace: '',
      },
    ],
    violates: STORED_TWICE,
    worlds: ['ids'],
  },
  {
    name: 'deletes a batch file before its ids are kept elsewhere',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/file/append-log.ts',
        find: 'await this.ids?.confirm(name);',
        replace: '',
      },
    ],
    violates: STORED_TWICE,
    worlds: ['ids'],
  },
  {
    name: 'does not flush ids before their batch file is deleted',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/file/ids/segment-file.ts',
        find: '(flushes ? fs.dsync : 0)',
        replace: '(flushes ? 0 : fs.dsync)',
      },
      {
        file: 'lib/logs/file/ids/segment-file.ts',
        find: 'if (this.#flushes && fs.dsync === 0) {',
        replace: 'if (!this.#flushes) {',
      },
    ],
    violates: STORED_TWICE,
    worlds: ['ids'],
  },
  {
    name: 'does not flush the name of a file of ids',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/file/ids/segment-file.ts',
        find: 'if (isNew && this.#flushes) await flushDirectory(fs, dirname(this.#path));',
        replace: 'void dirname;\n    void flushDirectory;',
      },
    ],
    violates: STORED_TWICE,
    worlds: ['ids'],
  },
  {
    name: 'does not read the ids of earlier runs',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/file/ids/id-segments.ts',
        find: 'if (ids > 0) await giveRecords(this.#reading, name, give);',
        replace: 'void [name, ids, give];',
      },
    ],
    violates: STORED_TWICE,
    worlds: ['ids'],
  },
  {
    name: 'does not look for ids in batch files that were not sealed',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/file/ids/left-ids.ts',
        find: 'if (ids.length > 0) found.set(',
        replace: 'if (ids.length < 0) found.set(',
      },
    ],
    violates: STORED_TWICE,
    worlds: ['ids'],
  },
  {
    name: 'believes a line of ids whose checksum does not fit',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/file/ids/id-record.ts',
        find: 'const text = checkedText(line);',
        replace: 'const text = checkedText(line) ?? line.subarray(0, -32);',
      },
    ],
    violates: /is stored twice|has no other content|has the id of another event/,
    worlds: ['ids'],
    from: 150,
  },
  {
    name: 'lets the id of one holder of a key swallow that of another',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/event/id-scope.ts',
        find: 'return [hash.a, hash.b, hash.c];',
        replace: 'return [0, 0, 0];',
      },
    ],
    violates: NOT_STORED,
    worlds: ['ids'],
  },
  {
    name: 'lets the id of one source swallow that of another after a restart',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/intake/id-window.ts',
        find: 'const table = window.#sources.get(source)?.table;',
        replace: 'void source;\n      const table = [...window.#sources.values()][0]?.table;',
      },
    ],
    violates: /and was not stored before|is stored twice|has the id of another event/,
    worlds: ['ids'],
  },
  {
    name: 'knows ids of events that a killed run has not made durable',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/file/ids/left-ids.ts',
        find: 'await copies.replace({ path, fd, stats }, addTo(durable));',
        replace: 'void durable;\n    return ids;',
      },
      {
        file: 'lib/logs/file/ids/left-ids.ts',
        find: 'if (copies !== null && found.size > 0) await flushNames();',
        replace: 'void flushNames;',
      },
    ],
    violates: new RegExp(`${NOT_STORED.source}|is stored twice`),
    worlds: ['ids'],
    from: 390,
  },
  {
    name: 'forgets at a start that delivery is paused',
    breaks: 'N15',
    edits: [
      {
        file: 'lib/pausing.ts',
        find: 'if (!hasChanged) this.#hold(pause);',
        replace: 'void [hasChanged, pause];',
      },
    ],
    violates:
      /a pause was answered, and the next start does not know of it|delivery is paused, and an attempt starts/,
    worlds: ['pauses'],
  },
  {
    name: 'answers a pause before its name is durable',
    breaks: 'N15',
    edits: [
      {
        file: 'lib/logs/file/pause-file.ts',
        find: 'await flushName();',
        replace: 'void flushName().catch(() => undefined);',
      },
    ],
    violates:
      /a pause was answered, and the next start does not know of it|delivery is paused, and an attempt starts/,
    worlds: ['pauses'],
  },
  {
    name: 'goes on with retries while delivery is paused',
    breaks: 'N15',
    edits: [
      {
        file: 'lib/delivery/circuit-breaker.ts',
        find: "this.state === 'closed' && !this.#gate.isClosed ?",
        replace: "this.state === 'closed' ?",
      },
    ],
    violates: /delivery is paused, and an attempt starts/,
    worlds: ['pauses'],
  },
  {
    name: 'waits at a stop for batches that wait for the end of a pause',
    breaks: 'N13',
    edits: [
      {
        file: 'lib/core/delivery.ts',
        find: 'if (this.#gate.isClosed && !this.#stopping.signal.aborted) return false;',
        replace: 'if (this.#gate.isClosed) return false;',
      },
    ],
    violates: /hangs: stop\(\) does not end while delivery is paused/,
    worlds: ['pauses'],
  },
  {
    name: 'lets attempts wait for ever that a pause has held back',
    breaks: 'N15',
    edits: [
      {
        file: 'lib/core/delivery.ts',
        find: 'this.drain.hold(gate.isClosed);\n      this.#goOn();',
        replace: 'this.drain.hold(gate.isClosed);',
      },
    ],
    violates: /hangs: /,
    worlds: ['pauses'],
  },
];
