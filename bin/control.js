#!/usr/bin/env node
import { existsSync } from 'node:fs';

const built = new URL('../dist/tools/control/main.js', import.meta.url);
if (!existsSync(built)) {
  console.error('forebay is not built yet: run "npm ci" (or "npm run build") first');
  process.exit(2);
}
await import(built.href);
