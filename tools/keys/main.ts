import { runAsProcess } from '../log/program.js';
import { KEYS_TOOL } from './tool.js';

await runAsProcess(KEYS_TOOL);
