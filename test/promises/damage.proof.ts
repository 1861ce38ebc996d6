import { damageSweeps } from './damage-sweeps.js';

damageSweeps(1);
