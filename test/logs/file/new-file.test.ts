import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { nodeFileSystem } from '../../../lib/logs/file/file-system.js';
import { writeNewFile } from '../../../lib/logs/file/new-file.js';
import { tempDir } from '../../helpers/temp-dir.js';

const BYTES = Buffer.from('ours');

void t.test('a new file whose name cannot be flushed is not left', async (t) => {
  const path = join(tempDir(t), 'letters');
  const fails = async (): Promise<void> => Promise.reject(new Error('the name is not flushed'));
  await t.rejects(writeNewFile(nodeFileSystem, path, BYTES, fails), /not flushed/);
  t.notOk(existsSync(path));
});

void t.test('a new file that fails takes no other away that is at its path by now', async (t) => {
  const parent = tempDir(t);
  const [dir, moved] = [join(parent, 'log'), join(parent, 'moved')];
  const path = join(dir, 'letters');
  mkdirSync(dir);
  const isMoved = async (): Promise<void> => {
    renameSync(dir, moved);
    mkdirSync(dir);
    writeFileSync(path, 'of another server');
    throw new Error('it was moved away');
  };
  await t.rejects(writeNewFile(nodeFileSystem, path, BYTES, isMoved), /moved away/);
  t.equal(readFileSync(path, 'utf8'), 'of another server');
});
