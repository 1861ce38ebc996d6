import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { basename, join, posix, relative } from 'node:path';
import { assignments, expand, isIgnored, readDockerfile } from './dockerfile.js';
import type { Stage, Step, Variables } from './dockerfile.js';

/** What an image is: files, and how a process is started in them. */
export interface Image {
  readonly root: string;
  env: Record<string, string>;
  user: string;
  workdir: string;
  entrypoint: readonly string[];
  cmd: readonly string[];
  health: readonly string[] | null;
  stopSignal: string;
  readonly volumes: string[];
  readonly ports: string[];
}

/** Where the search for programs goes in an image that says nothing else. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** An engine gives these to RUN, too; certificates are those of a network that looks into TLS. */
const OF_THE_NETWORK =
  /^(?:https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|npm_config_registry|NODE_EXTRA_CA_CERTS)$/;
/** Binds what a step of a build sees of the machine, runs it in the root, and unbinds it all with its namespace. */
const RUN_IN = `set -e
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$(dirname "$root$2")"; [ -e "$root$2" ] || : >"$root$2"; fi
  mount --bind "$1" "$root$2"; shift 2
done
shift
exec chroot "$root" "$@"`;

/** Does the steps of a Dockerfile in folders, as an engine does them in layers. It needs root, and debootstrap. */
export class ImageBuild {
  readonly #dir: string;
  readonly #base: string;
  readonly #report: (line: string) => void;
  /** Stages that were built, by what they do: a changed last stage leaves the first one as it is. */
  readonly #built = new Map<string, Image>();

  /**
   * @param dir for the files of all images
   * @param base where the roots of Debian are, or will be
   */
  constructor(dir: string, base: string, report: (line: string) => void) {
    this.#dir = dir;
    this.#base = base;
    this.#report = report;
  }

  /** @param context the folder that it is built of @returns the image of the last stage */
  build(dockerfile: string, context: string): Image {
    const stages = readDockerfile(dockerfile);
    const images = new Map<string, Image>();
    let last: Image | undefined;
    let before = '';
    for (const stage of stages) {
      before += JSON.stringify(stage, (key, value: unknown) => (key === 'line' ? undefined : value));
      const known = this.#built.get(before);
      last = known ?? this.#buildStage(stage, context, images);
      this.#built.set(before, last);
      if (stage.name !== null) images.set(stage.name, last);
    }
    if (last === undefined) throw new Error('there is no stage');
    return last;
  }

  #buildStage(stage: Stage, context: string, images: ReadonlyMap<string, Image>): Image {
    this.#report(`FROM ${stage.from}${stage.name === null ? '' : ` AS ${stage.name}`}`);
    const root = mkdtempSync(join(this.#dir, 'stage-'));
    const base = images.get(stage.from)?.root ?? this.#baseRoot(stage.from);
    run('cp', ['-a', `${base}/.`, root]);
    const image: Image = {
      root,
      env: { PATH },
      user: '0:0',
      workdir: '/',
      entrypoint: [],
      cmd: [],
      health: null,
      stopSignal: 'SIGTERM',
      volumes: [],
      ports: [],
    };
    const args: Record<string, string> = {};
    for (const step of stage.steps) {
      this.#report(`${step.name} ${step.words.join(' ').slice(0, 90)}`);
      this.#take(step, image, args, context, images);
    }
    return image;
  }

  #take(
    step: Step,
    image: Image,
    args: Record<string, string>,
    context: string,
    images: ReadonlyMap<string, Image>,
  ): void {
    const known: Variables = { ...args, ...image.env };
    const words = step.words.map((word) => (step.isJson ? word : word.trim()));
    const [first = ''] = words;
    const command = step.isJson ? words : ['/bin/sh', '-c', ...words];
    switch (step.name) {
      case 'ARG':
        Object.assign(args, assignments(step, known));
        break;
      case 'ENV':
        image.env = { ...image.env, ...assignments(step, known) };
        break;
      case 'WORKDIR':
        image.workdir = posix.resolve(image.workdir, expand(first, known, step.line));
        mkdirSync(join(image.root, image.workdir), { recursive: true });
        break;
      case 'USER':
        image.user = expand(first, known, step.line);
        break;
      case 'VOLUME':
        image.volumes.push(...words);
        break;
      case 'EXPOSE':
        image.ports.push(...words);
        break;
      case 'STOPSIGNAL':
        image.stopSignal = first;
        break;
      case 'CMD':
        image.cmd = command;
        break;
      case 'ENTRYPOINT':
        image.entrypoint = command;
        break;
      case 'HEALTHCHECK':
        image.health = command;
        break;
      case 'COPY':
        this.#copy(step, image, context, images);
        break;
      case 'RUN':
        this.#run(step, command, image, known);
        break;
      case 'FROM':
        throw new Error('a stage in a stage');
    }
  }

  #copy(step: Step, image: Image, context: string, images: ReadonlyMap<string, Image>): void {
    let from: string | null = null;
    let owner = '0:0';
    for (const [flag, value] of step.flags) {
      if (flag === 'from') from = images.get(value)?.root ?? missing(`stage ${value}`);
      else if (flag === 'chown') owner = value;
      else throw new Error(`COPY --${flag} is not understood`);
    }
    const source = from ?? this.#context(context);
    const target = step.words.at(-1) ?? '';
    const sources = step.words.slice(0, -1);
    const absolute = posix.resolve(image.workdir, target);
    const place = join(image.root, absolute);
    const isFolder = target.endsWith('/') || sources.length > 1 || target === '.';
    if (isFolder) mkdirSync(place, { recursive: true });
    for (const each of sources) {
      const path = join(source, each);
      if (!existsSync(path)) missing(`${each} (COPY, line ${step.line})`);
      const staged = mkdtempSync(join(this.#dir, 'copy-'));
      const isDir = statSync(path).isDirectory();
      const name = isDir ? staged : join(staged, isFolder ? basename(each) : basename(absolute));
      run('cp', ['-a', '--no-preserve=ownership', isDir ? `${path}/.` : path, name]);
      run('chown', ['-R', owner, staged]);
      chmodSync(staged, isDir ? statSync(path).mode & 0o7777 : 0o755);
      const into = isDir || isFolder ? place : join(place, '..');
      mkdirSync(into, { recursive: true });
      run('cp', ['-a', `${staged}/.`, into]);
      run('rm', ['-r', staged]);
    }
  }

  #run(step: Step, command: readonly string[], image: Image, known: Variables): void {
    const binds = ['/etc/resolv.conf', '/etc/hosts'].flatMap((path) => [path, path]);
    for (const [flag, value] of step.flags) {
      const [, target] = /^type=cache,target=(\S+)$/.exec(value) ?? [];
      if (flag !== 'mount' || target === undefined) throw new Error(`RUN --${flag} is not understood`);
      const cache = join(this.#dir, 'cache', target);
      mkdirSync(cache, { recursive: true });
      binds.push(cache, target);
    }
    const network = Object.entries(process.env).flatMap(([name, value]) =>
      OF_THE_NETWORK.test(name) ? [[name, value ?? ''] as const] : [],
    );
    const certificates = process.env['NODE_EXTRA_CA_CERTS'];
    if (certificates !== undefined) binds.push(certificates, certificates);
    const env = Object.entries({ ...Object.fromEntries(network), HOME: '/root', ...known });
    const words = env.map(([name, value]) => `${name}=${value}`);
    const inside = ['/usr/bin/setpriv', ...asUser(image), '/usr/bin/env', '-i', `--chdir=${image.workdir}`];
    const apart = ['--mount', '--propagation', 'private', 'sh', '-c', RUN_IN, 'sh', image.root];
    run('unshare', [...apart, ...binds, '--', ...inside, ...words, ...command]);
  }

  /** What an engine would be sent of a folder: without what `.dockerignore` names, and with narrow rights. */
  #context(folder: string): string {
    const copy = join(this.#dir, 'context');
    if (existsSync(copy)) return copy;
    const rules = readFileSync(join(folder, '.dockerignore'), 'utf8');
    mkdirSync(copy);
    for (const name of readdirSync(folder).filter((each) => !isIgnored(each, rules)))
      cpSync(join(folder, name), join(copy, name), {
        recursive: true,
        filter: (path) => !isIgnored(relative(folder, path), rules),
      });
    // as who works with umask 077 has them
    run('chmod', ['-R', 'go-rwx', copy]);
    return copy;
  }

  /** The files of an image that this project does not build, from packages of Debian and npm. */
  #baseRoot(name: string): string {
    const [, debian] = /^debian:([a-z]+)-slim(?:@|$)/.exec(name) ?? [];
    if (debian !== undefined) return this.#debian(debian);
    const [, node, suite] = /^node:(\d+)-([a-z]+)-slim(?:@|$)/.exec(name) ?? [];
    if (node === undefined || suite === undefined) missing(`image ${name}`);
    const root = join(this.#base, `node-${node}-${suite}`);
    if (existsSync(root)) return root;
    const made = mkdtempSync(join(this.#base, 'making-'));
    run('cp', ['-a', `${this.#debian(suite)}/.`, made]);
    const install = mkdtempSync(join(this.#dir, 'node-'));
    const packages = [`node@${node}`, `npm@${NPM_OF_NODE[node] ?? missing(`npm of Node.js ${node}`)}`];
    run('npm', ['install', '--no-audit', '--no-fund', '--prefix', install, ...packages]);
    const modules = join(install, 'node_modules');
    const program = ['node', `node-${process.platform}-${process.arch}`]
      .map((each) => join(modules, each, 'bin/node'))
      .find((each) => existsSync(each));
    const local = join(made, 'usr/local');
    mkdirSync(join(local, 'lib/node_modules'), { recursive: true });
    run('cp', [program ?? missing('the program node'), join(local, 'bin/node')]);
    run('cp', ['-a', join(modules, 'npm'), join(local, 'lib/node_modules/npm')]);
    run('ln', ['-s', '../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm')]);
    run('chown', ['-R', '0:0', local]);
    run('mv', [made, root]);
    return root;
  }

  #debian(suite: string): string {
    const root = join(this.#base, suite);
    if (existsSync(root)) return root;
    this.#report(`debootstrap ${suite}`);
    const made = mkdtempSync(join(this.#base, 'making-'));
    run('debootstrap', ['--variant=minbase', suite, made]);
    chmodSync(made, 0o755);
    run('mv', [made, root]);
    return root;
  }
}

/** The major version of npm that comes with one of Node.js. */
const NPM_OF_NODE: Readonly<Record<string, string>> = { 20: '10', 22: '10', 24: '11' };

/** The flags of `setpriv` for the user of an image: its own groups only. @throws Error if it goes by a name */
export function asUser({ user }: Pick<Image, 'user'>): string[] {
  const [, uid, gid] = /^(\d+):(\d+)$/.exec(user) ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`USER ${user}: two numbers, as in 10001:10001`);
  return [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
}

/** Runs a program. @throws Error with what it printed, if it fails */
export function run(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 2 ** 26,
    });
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string };
    throw new Error(`${command} failed: ${`${stdout}\n${stderr}`.trim().slice(-2000) || message}`, {
      cause: error,
    });
  }
}

function missing(what: string): never {
  throw new Error(`there is no ${what}`);
}
