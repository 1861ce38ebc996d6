import { runAsProcess } from '../log/program.js';
import { DEAD_LETTERS_TOOL } from './tool.js';

await runAsProcess(DEAD_LETTERS_TOOL);
