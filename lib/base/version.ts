import { createRequire } from 'node:module';

const about = createRequire(import.meta.url)('forebay/package.json') as { readonly version: string };

/** The version of Forebay. */
export const VERSION = about.version;
