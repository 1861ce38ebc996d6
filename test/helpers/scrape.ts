import { request } from 'undici';

export interface ScrapedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ScrapedFamily {
  readonly help: string;
  readonly type: string;
  readonly samples: readonly ScrapedSample[];
}

const FAMILY = /^# (HELP|TYPE) ([a-z_]+) (.+)$/;
const SAMPLE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
/** Each time it is given some seconds. */
const SILENT_MAX = 10;
const LABEL = /([a-z_]+)="([^"\\]*)"(?:,|$)/y;

/** What `GET /metrics` says, read strictly. */
export class Scrape {
  readonly text: string;
  readonly contentType: string;
  readonly families = new Map<string, ScrapedFamily>();

  /** @throws Error at a line that is none of the format, or a sample outside of its family */
  constructor(text: string, contentType: string = '') {
    this.text = text;
    this.contentType = contentType;
    let help: { name: string; text: string } | null = null;
    let current: { name: string; samples: ScrapedSample[] } | null = null;
    for (const line of text.split('\n')) {
      if (line === '' || line === '# EOF') continue;
      const [, word, name = '', rest = ''] = FAMILY.exec(line) ?? [];
      if (word === 'HELP') {
        help = { name, text: rest };
      } else if (word === 'TYPE') {
        if (help?.name !== name) throw new Error(`no HELP before: ${line}`);
        if (this.families.has(name)) throw new Error(`twice: ${name}`);
        current = { name, samples: [] };
        this.families.set(name, { help: help.text, type: rest, samples: current.samples });
      } else {
        const sample = sampleOf(line);
        if (current === null || !sample.name.startsWith(current.name))
          throw new Error(`in no family: ${line}`);
        current.samples.push(sample);
      }
    }
  }

  /** The value of the one sample with this name and exactly these labels. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const found = this.samples(name).filter((sample) => sameLabels(sample.labels, labels));
    if (found.length !== 1) throw new Error(`${found.length} of ${name} ${JSON.stringify(labels)}`);
    return found[0]?.value ?? NaN;
  }

  samples(name: string): readonly ScrapedSample[] {
    return [...this.families.values()].flatMap(({ samples }) => samples.filter((each) => each.name === name));
  }

  /** By the value of one label; those that are 0 are left out. */
  by(label: string, name: string): Record<string, number> {
    const seen = this.samples(name).filter(({ value }) => value !== 0);
    return Object.fromEntries(seen.map(({ labels, value }) => [labels[label] ?? '', value]));
  }

  /** What a query can ask for: a histogram is three names. */
  get sampleNames(): ReadonlySet<string> {
    const names = [...this.families].flatMap(([name, { type }]) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    );
    return new Set(names);
  }
}

/** What a server says now; a worker that is not scheduled for a while, and so does not answer, is asked again. */
export async function scrape(port: number, headers: Readonly<Record<string, string>> = {}): Promise<Scrape> {
  for (let left = SILENT_MAX; ; left--) {
    const answer = await request(`http://127.0.0.1:${port}/metrics`, { headers });
    const text = await answer.body.text();
    if (answer.statusCode === 503 && /WORKER_SILENT/.test(text) && left > 0) continue;
    if (answer.statusCode !== 200) throw new Error(`${answer.statusCode}: ${text}`);
    return new Scrape(text, String(answer.headers['content-type']));
  }
}

function sampleOf(line: string): ScrapedSample {
  const [, name = '', labelText = '', number = ''] = SAMPLE.exec(line) ?? [];
  const value = number === '+Inf' ? Infinity : Number(number);
  if (name === '' || number === '' || (Number.isNaN(value) && number !== 'NaN'))
    throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  for (LABEL.lastIndex = 0; LABEL.lastIndex < labelText.length;) {
    const [, label, text] = LABEL.exec(labelText) ?? [];
    if (label === undefined || text === undefined) throw new Error(`no labels: ${line}`);
    labels[label] = text;
  }
  return { name, labels, value };
}

function sameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
