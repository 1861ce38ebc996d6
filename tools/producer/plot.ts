import type { Column } from './timeline.js';
import { msText, secondsText, short } from './words.js';

/**
 * The rows of the plot of latency, and the most for that of answers: with at most 10, a step of 1, 2 or 5 fills it.
 */
const ROWS = 8;
const ROWS_MAX = 10;
/** The width of the labels on the left. */
const LABEL = 7;
const STEPS = [1, 2, 5, 10];

/** The number of columns in a width in characters. */
export function columnsIn(width: number): number {
  return Math.max(10, width - LABEL - 3);
}

/**
 * Plots latency and throughput over time, in characters that every terminal has. The scale of latency is logarithmic:
 * a row is a factor, so 2 ms and 2 s are both visible.
 */
export function plotText(columns: readonly Column[]): string {
  const lengthMs = columns.reduce((sum, column) => sum + column.lengthMs, 0);
  const axis = axisLines(columns.length, lengthMs);
  return [
    'Latency in ms (o p50, * p99)',
    ...latencyRows(columns),
    ...axis,
    'Events a second (# 202, : 429, ! errors)',
    ...throughputRows(columns),
    ...axis,
    '',
  ].join('\n');
}

function latencyRows(columns: readonly Column[]): string[] {
  const values = columns.flatMap(({ p50, p99 }) => [p50, p99]).filter((value) => value !== null);
  if (values.length === 0) return [row('', ' none was accepted')];
  const least = Math.min(...values);
  const factor = Math.max(1.2, (Math.max(...values) / least) ** (1 / (ROWS - 1)));
  const rowOf = (value: number | null): number | null =>
    value === null ? null : Math.round(Math.log(value / least) / Math.log(factor));
  return Array.from({ length: ROWS }, (_, index) => {
    const at = ROWS - 1 - index;
    const marks = columns.map(({ p50, p99 }) => (rowOf(p99) === at ? '*' : rowOf(p50) === at ? 'o' : ' '));
    return row(msText(least * factor ** at), marks.join(''));
  });
}

function throughputRows(columns: readonly Column[]): string[] {
  const most = Math.max(1, ...columns.map((each) => each.accepted + each.backpressure + each.errors));
  const decade = 10 ** Math.floor(Math.log10(most / ROWS_MAX));
  const step = (STEPS.find((each) => each * decade * ROWS_MAX >= most) ?? 10) * decade;
  const rows = Math.ceil(most / step);
  return Array.from({ length: rows }, (_, index) => {
    const middle = (rows - index - 0.5) * step;
    const marks = columns.map(({ accepted, backpressure, errors }) => {
      if (accepted >= middle) return '#';
      if (accepted + backpressure >= middle) return ':';
      return accepted + backpressure + errors >= middle ? '!' : ' ';
    });
    return row(short((rows - index) * step), marks.join(''));
  });
}

function axisLines(width: number, lengthMs: number): string[] {
  const [middle, end] = [secondsText(lengthMs / 2), secondsText(lengthMs)];
  let labels = '0 s';
  if (width > 30) labels = labels.padEnd(Math.round(width / 2 - middle.length / 2)) + middle;
  labels = labels.padEnd(Math.max(labels.length + 1, width - end.length));
  return [`${' '.repeat(LABEL)} +${'-'.repeat(width)}`, `${' '.repeat(LABEL + 2)}${labels}${end}`.trimEnd()];
}

function row(label: string, marks: string): string {
  return `${label.padStart(LABEL)} |${marks}`.trimEnd();
}
