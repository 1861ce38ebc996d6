import type { DiskTree } from './disk-tree.js';
import type { KnownIds } from './known-ids.js';
import type { Surroundings } from './simulated-disk.js';

const LINE_FEED = 10;
const SECRET = 'secret';
const BITS = 8;

/** Someone, or a bad device, harms the files of the id window while nothing runs. */
export function harmWindow(
  { random, tally, trace }: Surroundings,
  ids: KnownIds,
  tree: DiskTree,
  logDir: string,
  harm: 'flips' | 'any',
): void {
  const dir = `${logDir}/id-window`;
  const files = [...tree.files(dir)].filter(([name]) => harm === 'any' || name !== SECRET);
  if (files.length === 0) return;
  const [name, file] = random.pick(files);
  const { size } = file;
  const what = harm === 'flips' ? 'flip' : random.pick(['flip', 'cut', 'remove'] as const);
  if (what === 'flip' && size > 0) {
    const most = harm === 'flips' ? file.content().lastIndexOf(LINE_FEED) - 1 : size - 1;
    if (most < 0) return;
    const position = random.whole(0, most);
    // a last line without its line feed is one that a crash has cut off, as far as anyone can tell
    const isTold = name !== SECRET && position < file.content().lastIndexOf(LINE_FEED);
    file.flipBit(position, random.whole(0, BITS - 1));
    if (!isTold) ids.mayBeForgotten(null, 'its files were harmed');
  } else {
    if (what === 'cut') file.truncate(random.whole(0, size));
    else tree.parent(`${dir}/${name}`, 'unlink').set(name, null);
    ids.mayBeForgotten(null, 'its files were harmed');
  }
  trace.add(`  ${dir}/${name} is harmed: ${what}`);
  tally.count('ids', `files of the window harmed: ${what}`);
}
