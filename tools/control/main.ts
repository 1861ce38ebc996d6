import { runAsProcess } from '../log/program.js';
import { CONTROL_TOOL } from './tool.js';

await runAsProcess(CONTROL_TOOL);
