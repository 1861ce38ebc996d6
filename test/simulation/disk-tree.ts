import { basename, dirname } from 'node:path';
import { systemError } from './disk-calls.js';
import type { Method } from './disk-faults.js';
import type { Random } from './random.js';
import { SimulatedDirectory } from './simulated-directory.js';
import type { Node } from './simulated-directory.js';
import { SimulatedFile } from './simulated-file.js';
import type { Odds } from './simulated-file.js';
import type { Tally } from './tally.js';

/** The directories and files of a simulated disk, from `/` down. Its own calls are immediate and never fail. */
export class DiskTree {
  readonly #root: SimulatedDirectory;

  constructor(root: SimulatedDirectory = new SimulatedDirectory()) {
    this.#root = root;
  }

  find(path: string): Node | null {
    let node: Node = this.#root;
    for (const name of parts(path)) {
      const next: Node | undefined = node instanceof SimulatedDirectory ? node.names.get(name) : undefined;
      if (next === undefined) return null;
      node = next;
    }
    return node;
  }

  nameOf(path: string): string {
    return basename(path);
  }

  parent(path: string, method: Method): SimulatedDirectory {
    const parent = this.find(dirname(path));
    if (parent instanceof SimulatedDirectory) return parent;
    throw systemError('ENOENT', method, path);
  }

  /** Makes a directory and all that are missing above it; gives the first that it made. */
  makeDirectories(path: string): string | undefined {
    let first: string | undefined;
    let made = '';
    for (const name of parts(path)) {
      made += `/${name}`;
      if (this.find(made) !== null) continue;
      this.parent(made, 'mkdir').set(name, new SimulatedDirectory());
      first ??= made;
    }
    return first;
  }

  /** The files of a directory, by name; none where it does not exist. */
  files(path: string): Map<string, SimulatedFile> {
    const files = new Map<string, SimulatedFile>();
    const directory = this.find(path);
    if (!(directory instanceof SimulatedDirectory)) return files;
    for (const [name, node] of directory.names) if (node instanceof SimulatedFile) files.set(name, node);
    return files;
  }

  /** The bytes of all files. */
  get bytes(): number {
    const bytesOf = (node: Node): number => {
      if (node instanceof SimulatedFile) return node.size;
      let bytes = 0;
      for (const child of node.names.values()) bytes += bytesOf(child);
      return bytes;
    };
    return bytesOf(this.#root);
  }

  afterPowerCut(random: Random, odds: Odds, tally: Tally): DiskTree {
    const survive = (node: Node): Node => {
      if (node instanceof SimulatedFile) return node.afterPowerCut(random, odds, tally);
      const names = [...node.survivors(random, odds, tally)];
      return SimulatedDirectory.of(new Map(names.map(([name, child]) => [name, survive(child)])));
    };
    return new DiskTree(survive(this.#root) as SimulatedDirectory);
  }
}

function parts(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
