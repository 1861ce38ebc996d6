import type { Column, HistoryMessage, Point } from '../messages.js';
import { thinned, withGaps } from './chart-points.js';
import { byId, create, setText, within } from './dom.js';
import { bytes, clock, count, duration, milliseconds, plain, rate } from './format.js';

const WINDOW_SECONDS = 900;
/** A page that was opened just now shows as much. */
const WINDOW_SECONDS_MIN = 60;
const PIXELS_PER_POINT = 2;
const HEIGHT = 168;

interface Line {
  readonly column: Column;
  readonly name: string;
  /** A custom property of the style sheet. */
  readonly color: string;
  readonly isFilled?: true;
  /** Not drawn, only said. */
  readonly isHidden?: true;
  readonly text: (value: number | null) => string;
}

interface ChartOptions {
  readonly id: string;
  readonly title: string;
  readonly lines: readonly Line[];
  readonly tick: (value: number) => string;
  /** Steps of the axis, where those of ten look odd. */
  readonly steps?: number[];
  /** The least that the axis goes up to. */
  readonly least: number;
  /** Each step of the axis is ten times the one below: what is usual and what is rare are both to be seen. */
  readonly isLog?: true;
}

const perSecond = (value: number | null): string => `${rate(value ?? 0)} /s`;
const latency = (value: number | null): string => plain(milliseconds(value));

const CHARTS: readonly ChartOptions[] = [
  {
    id: 'rates',
    title: 'Events per second',
    lines: [
      { column: 'in', name: 'in', color: '--accent', isFilled: true, text: perSecond },
      { column: 'out', name: 'out', color: '--ink-soft', text: perSecond },
      { column: 'refused', name: '429', color: '--attention', text: perSecond },
    ],
    tick: count,
    least: 10,
  },
  {
    id: 'latency',
    title: 'Latency to 202',
    lines: [
      { column: 'p50Ms', name: 'p50', color: '--accent', isFilled: true, text: latency },
      { column: 'p99Ms', name: 'p99', color: '--ink-soft', text: latency },
    ],
    tick: (value) => plain(milliseconds(value)),
    least: 10,
    isLog: true,
  },
  {
    id: 'backlog',
    title: 'Backlog on disk',
    lines: [
      {
        column: 'backlogBytes',
        name: 'waits',
        color: '--accent',
        isFilled: true,
        text: (value) => plain(bytes(value ?? 0)),
      },
      {
        column: 'drainSeconds',
        name: 'time to drain',
        color: '--ink-soft',
        isHidden: true,
        text: (value) => (value === null ? 'nothing goes out' : duration(value)),
      },
    ],
    tick: (value) => plain(bytes(value)),
    steps: Array.from({ length: 50 }, (_each, power) => 2 ** power),
    least: 65_536,
  },
];

/** A second without a value: no line is drawn across it. */
const GAP_SECONDS = 3;

/** The last 15 minutes as charts. */
export class Charts {
  #points: Point[] = [];
  #plots: { readonly plot: uPlot; readonly options: ChartOptions; readonly figure: HTMLElement }[] = [];

  constructor() {
    this.#draw();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#draw();
    });
    new ResizeObserver(() => {
      for (const { plot, figure } of this.#plots) {
        const width = within(figure, '.plot').clientWidth;
        if (width !== plot.width) plot.setSize({ width, height: HEIGHT });
      }
    }).observe(byId('charts'));
  }

  /** What the server knows; what it no longer knows, after a restart, stays. */
  begin(history: HistoryMessage): void {
    const columns = Object.keys(history) as Column[];
    const points = history.atSeconds.map(
      (_at, index) =>
        Object.fromEntries(columns.map((column) => [column, history[column][index] ?? null])) as Point,
    );
    const first = points[0]?.atSeconds ?? Infinity;
    this.#points = [...this.#points.filter(({ atSeconds }) => (atSeconds ?? 0) < first), ...points];
    this.#show();
  }

  add(point: Point): void {
    const at = point.atSeconds ?? 0;
    // the first one after the history is its last
    if (at === this.#points.at(-1)?.atSeconds) return;
    // the server's clock can go back
    this.#points = [...this.#points.filter(({ atSeconds }) => (atSeconds ?? 0) < at), point];
    this.#show();
  }

  #draw(): void {
    for (const { plot } of this.#plots) plot.destroy();
    byId('charts').replaceChildren();
    this.#plots = CHARTS.map((options) => {
      const figure = makeFigure(options);
      byId('charts').append(figure);
      const plot = makePlot(options, within(figure, '.plot'), () => {
        this.#say();
      });
      return { plot, options, figure };
    });
    this.#show();
  }

  #show(): void {
    const last = this.#points.at(-1)?.atSeconds ?? Date.now() / 1000;
    this.#points = this.#points.filter(({ atSeconds }) => (atSeconds ?? 0) > last - WINDOW_SECONDS - 1);
    const first = this.#points[0]?.atSeconds ?? last;
    const from = Math.max(last - WINDOW_SECONDS, Math.min(first, last - WINDOW_SECONDS_MIN));
    for (const { plot, options } of this.#plots) {
      const columns: Column[] = ['atSeconds', ...options.lines.map(({ column }) => column)];
      // with more points than pixels a line that rises and falls becomes a block
      const seconds = Math.max(1, Math.ceil(((last - from) * PIXELS_PER_POINT) / plot.width));
      const drawn = withGaps(thinned(this.#points, seconds), GAP_SECONDS + seconds - 1);
      const data = columns.map((column) => drawn.map((point) => point[column]));
      plot.batch(() => {
        plot.setData(data as unknown as uPlot.AlignedData, false);
        plot.setScale('x', { min: from, max: last });
      });
    }
    this.#say();
  }

  /** The values under the cursor, or the newest. */
  #say(): void {
    const newest = this.#points.at(-1);
    for (const { plot, options, figure } of this.#plots) {
      const index = plot.cursor.idx ?? null;
      const time = index === null ? undefined : plot.data[0]?.[index];
      setText(within(figure, '.at'), time === undefined ? '' : clock(time));
      for (const [line, { column, text }] of options.lines.entries()) {
        const value = index === null ? newest?.[column] : plot.data[line + 1]?.[index];
        setText(within(figure, `.value${line}`), value === undefined ? '–' : text(value));
      }
    }
  }
}

function makeFigure({ id, title, lines }: ChartOptions): HTMLElement {
  const figure = create('figure');
  figure.id = id;
  const caption = create('figcaption');
  const heading = create('h2', '', title);
  heading.append(create('span', 'at'));
  const legend = create('ul', 'legend');
  for (const [line, { name, color, isHidden }] of lines.entries()) {
    const item = create('li', isHidden === true ? '' : `key key${color}`, `${name} `);
    item.append(create('b', `value${line}`));
    legend.append(item);
  }
  caption.append(heading, legend);
  figure.append(caption, create('div', 'plot'));
  return figure;
}

function makePlot(
  { lines, tick, steps, least, isLog }: ChartOptions,
  into: HTMLElement,
  onCursor: () => void,
): uPlot {
  const style = getComputedStyle(document.documentElement);
  const color = (property: string): string => style.getPropertyValue(property).trim();
  const axis: uPlot.Axis = {
    stroke: color('--ink-quiet'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: color('--line'), width: 1 },
    ticks: { show: false },
  };
  const series = lines.map(({ color: property, isFilled, isHidden }): uPlot.Series => {
    return {
      show: isHidden !== true,
      stroke: color(property),
      width: isFilled === true ? 1.75 : 1.25,
      points: { show: false },
      ...(isFilled === true && { fill: color('--accent-faint') }),
    };
  });
  return new uPlot(
    {
      width: Math.max(200, into.clientWidth),
      height: HEIGHT,
      padding: [10, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: 'forebay' } },
      scales: {
        x: { time: true },
        y:
          isLog === true
            ? { distr: 3, range: (_plot, min, max) => decades(min, Math.max(least, max ?? 0)) }
            : { range: (_plot, _min, max) => [0, Math.max(least, (max ?? 0) * 1.1)] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          space: 60,
          values: (_plot, times) => times.map(isShort(times) ? clock : hourMinute),
          size: 28,
        },
        {
          ...axis,
          size: 56,
          space: 34,
          values: (_plot, values) => values.map((value) => tick(value)),
          ...(steps !== undefined && { incrs: steps }),
          ...(isLog === true && { splits: powersOfTen, filter: (_plot: uPlot, splits: number[]) => splits }),
        },
      ],
      series: [{}, ...series],
      hooks: { setCursor: [onCursor] },
    },
    [[], ...lines.map(() => [])] as unknown as uPlot.AlignedData,
    into,
  );
}

function powersOfTen(_plot: uPlot, _axis: number, min: number, max: number): number[] {
  const [low, high] = [Math.round(Math.log10(min)), Math.round(Math.log10(max))];
  return Array.from({ length: high - low + 1 }, (_each, power) => 10 ** (low + power));
}

/** Whole ones around two values. */
function decades(min: number | null, max: number): [number, number] {
  const low = Math.min(1, Math.max(0.01, min ?? 1));
  return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(max))];
}

/** Whether marks are so near that they need seconds. */
function isShort([first = 0, second = Infinity]: readonly number[]): boolean {
  return second - first < 60;
}

function hourMinute(seconds: number): string {
  return clock(seconds).slice(0, 5);
}
