// What Node.js asks for each module of a test: see test-loader.js.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = /^(?:lib|tools|bench|test)\/.*\.[jt]s$/;

/** The TypeScript file that a URL means, relative to the root; `null`: it means something else. */
function sourceOf(url) {
  if (!url.startsWith('file:') || /[?#]/.test(url)) return null;
  const path = relative(ROOT, fileURLToPath(url));
  if (!SOURCES.test(path)) return null;
  const source = path.replace(/\.js$/, '.ts');
  return path === source || (existsSync(join(ROOT, source)) && !existsSync(join(ROOT, path))) ? source : null;
}

export async function resolve(specifier, context, nextResolve) {
  const isRelative = /^(?:\.\.?\/|file:)/.test(specifier);
  const url = isRelative ? new URL(specifier, context.parentURL).href : '';
  if (sourceOf(url) === null) return nextResolve(specifier, context);
  return { url: url.replace(/\.js$/, '.ts'), format: 'module', shortCircuit: true };
}

export async function load(url, context, nextLoad) {
  const path = sourceOf(url);
  if (path === null) return nextLoad(url, context);
  const text = await readFile(join(ROOT, path), 'utf8');
  const source = (await compiled(path, text)) ?? transpiled(path, text);
  return { format: 'module', source, shortCircuit: true };
}

/** What is in `dist/`, if it was compiled from this very text. */
async function compiled(path, text) {
  const built = join('dist', path.replace(/\.ts$/, '.js'));
  try {
    const map = await readFile(join(ROOT, `${built}.map`), 'utf8');
    if (JSON.parse(map).sourcesContent[0] !== text) return null;
    const source = await readFile(join(ROOT, built), 'utf8');
    const mapPath = join(relative(dirname(path), ''), `${built}.map`);
    return source.replace(/^\/\/# sourceMappingURL=.*$/m, `//# sourceMappingURL=${mapPath}`);
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}

let typescript = null;

/** For a file that was changed since. */
function transpiled(path, text) {
  typescript ??= createRequire(import.meta.url)('typescript');
  const { config } = typescript.readConfigFile(join(ROOT, 'tsconfig.json'), typescript.sys.readFile);
  const { options } = typescript.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  const module = typescript.ModuleKind.ESNext;
  const compilerOptions = { ...options, module, noEmit: false, inlineSourceMap: true, inlineSources: true };
  return typescript.transpileModule(text, { fileName: join(ROOT, path), compilerOptions }).outputText;
}
