// Loaded before each test file (.taprc). A TypeScript module runs as `npm run build` and `npm run check` compiled it:
// to load the compiler in each of the processes of `tap test` costs several times what the tests themselves do.
import { register } from 'node:module';

register('./test-loader-hooks.js', import.meta.url);

// without coverage the runner has nothing to look at in the processes that a test starts: its hooks triple their start
globalThis[Symbol.for('process-on-spawn@*:singletonId')]?.listeners.push((child) => {
  const { NODE_OPTIONS: options = '' } = child.env;
  const NODE_OPTIONS = options.replace(/"?--import=[^\s"]*\/@tapjs\/[^\s"]*"?/, '').trim();
  child.env = { ...child.env, NODE_OPTIONS };
});
