import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runFlags } from '../helpers/run-flags.js';
import { ImageBuild, run } from './image-build.js';
import { proveImage } from './image-proof.js';

/** Faults, each of which the proof must find: what is replaced in the Dockerfile, by what. */
const MUTANTS: Readonly<Record<string, readonly [string | RegExp, string]>> = {
  'it runs as root': ['USER 10001:10001', 'USER 0:0'],
  'it listens to itself alone': ['FOREBAY_HOST=0.0.0.0', 'FOREBAY_HOST=127.0.0.1'],
  'operators cannot reach it': ['FOREBAY_ADMIN_HOST=0.0.0.0', 'FOREBAY_ADMIN_HOST=127.0.0.1'],
  'operators have no port': [/ +FOREBAY_ADMIN_HOST.*\n.*FOREBAY_ADMIN_PORT.*\n/, ''],
  'a variable is no setting': ['FOREBAY_LOG_DIR', 'FOREBAY_LOGDIR'],
  'the log is not on the volume': ['FOREBAY_LOG_DIR=/var/lib/forebay/log', 'FOREBAY_LOG_DIR=/srv/log'],
  'there is no volume': [/^VOLUME.*$/m, ''],
  'the volume belongs to root': ['--owner=10001 --group=10001 ', ''],
  'the user has no name': [
    /^RUN groupadd[^]*?\n(?=COPY)/m,
    'RUN install -d -o 10001 -g 10001 /var/lib/forebay\n',
  ],
  'the signal of a stop kills': ['STOPSIGNAL SIGTERM', 'STOPSIGNAL SIGKILL'],
  'a shell gets the signal': [
    /^ENTRYPOINT.*$/m,
    'ENTRYPOINT ["sh", "-c", "node bin/server.js \\"$@\\"; exit $?", "sh"]',
  ],
  'the health check asks for another path': ["path: '/health'", "path: '/helth'"],
  'the health check asks whether it is ready': ["path: '/health'", "path: '/ready'"],
  'the health check is content with anything': [/process\.exit\(res\.status.*?\)\)/, 'process.exit(0))'],
  'the health check is content with nobody': [
    "on('error', () => process.exit(1))",
    "on('error', () => process.exit(0))",
  ],
  'the health check needs a program that is not there': [
    /CMD \["node", "-e".*$/m,
    'CMD ["curl", "-f", "http://127.0.0.1:8082/health"]',
  ],
  'the tools are left out': [/^COPY .*dist\/tools\n/m, ''],
  'the dependencies are left out': [/^COPY .*node_modules\n/m, ''],
  'what is copied is not there': ['/build/LICENSE', '/build/LICENCE'],
  'npm is left in': [
    'COPY --from=build /usr/local/bin/node /usr/local/bin/',
    'COPY --from=build /usr/local /usr/local',
  ],
  'the development dependencies are left in': [/ && npm prune .*$/m, ''],
  'the rights are those of the context': [/^RUN chmod.*$/m, ''],
  'the lock file is left out': [' package-lock.json', ''],
};

const USAGE =
  'npm run image -- [--base DIR] [--mutants | --mutant NAME]   (NAME: one of the table in run.ts)';

const { flags, refuse } = runFlags(USAGE, { string: ['base', 'mutant'], boolean: ['mutants'] });
const {
  base: givenBase,
  mutant,
  mutants: all,
} = flags as { base?: string; mutant?: string; mutants?: boolean };
if (mutant !== undefined && !(mutant in MUTANTS)) refuse();
if (process.getuid?.() !== 0) {
  console.error('npm run image needs root (namespaces, chroot), debootstrap and iproute2');
  process.exit(2);
}

const dir = mkdtempSync(join(tmpdir(), 'forebay-image-'));
const base = givenBase === undefined ? join(dir, 'base') : resolve(givenBase);
mkdirSync(base, { recursive: true });
const text = readFileSync('Dockerfile', 'utf8');
let failed = false;
try {
  const build = new ImageBuild(dir, base, console.log);
  const names = mutant !== undefined ? [mutant] : all === true ? Object.keys(MUTANTS) : [];
  const image = build.build(text, process.cwd());
  await proveImage(image, join(dir, 'volumes'), console.log);
  const size = (path: string): string => run('du', ['-sm', path]).split('\t')[0] ?? '';
  console.log(
    `the image adds to Debian: Node.js ${size(join(image.root, 'usr/local/bin/node'))} MB, Forebay ${size(join(image.root, 'opt/forebay'))} MB`,
  );
  for (const name of names) {
    const found = await faultFound(build, name);
    console.log(found === null ? `NOT FOUND: ${name}` : `found: ${name} (${found.slice(0, 160)})`);
    failed ||= found === null;
  }
  console.log(failed ? 'a fault was not found' : 'the image does what docs/deploying.md says');
} catch (error) {
  failed = true;
  console.error(error instanceof Error ? error.message : error);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

/** What the proof says of an image with a fault; `null`: it found nothing. */
async function faultFound(build: ImageBuild, name: string): Promise<string | null> {
  const [from, to] = MUTANTS[name] ?? ['', ''];
  const changed = text.replace(from, () => to);
  if (changed === text) throw new Error(`the Dockerfile has nothing to replace for: ${name}`);
  let root: string | null = null;
  try {
    const image = build.build(changed, process.cwd());
    root = image.root;
    await proveImage(image, join(dir, 'volumes'), () => undefined);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message.replaceAll(/\s+/g, ' ') : String(error);
  } finally {
    // hundreds of megabytes each, and nothing is built on it
    if (root !== null) rmSync(root, { recursive: true, force: true });
  }
}
