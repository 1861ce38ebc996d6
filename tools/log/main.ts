import { runAsProcess } from './program.js';
import { LOG_TOOL } from './tool.js';

await runAsProcess(LOG_TOOL);
