import t from 'tap';
import { tempDir } from '../helpers/temp-dir.js';
import { crashDemo, floodDemo } from './demos.js';
import { Program } from './program.js';

for (const [title, demo] of [
  ['the demo of crash recovery says what its users know, line by line, and nothing is missing', crashDemo],
  ['the demo of backpressure ends without errors, on a server with its default settings', floodDemo],
] as const) {
  void t.test(title, async (t) => {
    t.teardown(async () => Program.endAll());
    const shown: string[] = [];
    await t.resolves(demo({ dir: tempDir(t), show: (line) => void shown.push(line) }));
    for (const line of shown) t.comment(line);
  });
}
