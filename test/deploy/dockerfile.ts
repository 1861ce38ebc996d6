/** What the steps of a Dockerfile can be: those that are proved. Another one is an error, as nobody would have tried it. */
const KNOWN = [
  'ARG',
  'CMD',
  'COPY',
  'ENTRYPOINT',
  'ENV',
  'EXPOSE',
  'FROM',
  'HEALTHCHECK',
  'RUN',
  'STOPSIGNAL',
  'USER',
  'VOLUME',
  'WORKDIR',
] as const;

type Name = (typeof KNOWN)[number];

export interface Step {
  readonly name: Name;
  /** `--from=build` is `['from', 'build']`. */
  readonly flags: readonly (readonly [string, string])[];
  /** In the JSON form its members; of RUN and CMD the text of the shell; otherwise the words. */
  readonly words: readonly string[];
  readonly isJson: boolean;
  readonly line: number;
}

/** What happens from one FROM to the next. */
export interface Stage {
  readonly name: string | null;
  /** An image, or the name of an earlier stage. */
  readonly from: string;
  readonly steps: readonly Step[];
}

export type Variables = Readonly<Record<string, string>>;

/** Reads a Dockerfile as far as this project needs it. @throws Error at anything else, with the line */
export function readDockerfile(text: string): Stage[] {
  const stages: { name: string | null; from: string; steps: Step[] }[] = [];
  const globals: Record<string, string> = {};
  for (const step of stepsOf(text)) {
    const last = stages.at(-1);
    if (step.name === 'FROM') {
      const [from = '', as, name = null] = step.words;
      if (as !== undefined && as.toUpperCase() !== 'AS') throw at(step.line, 'FROM image AS name');
      stages.push({ name, from: expand(from, globals, step.line), steps: [] });
    } else if (last !== undefined) last.steps.push(step);
    else if (step.name === 'ARG') Object.assign(globals, assignments(step, globals));
    else throw at(step.line, `${step.name} before FROM`);
  }
  if (stages.length === 0) throw new Error('there is no FROM');
  return stages;
}

/** The variables that an ENV or an ARG sets. */
export function assignments({ words, line }: Step, known: Variables): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const [, name, value] = /^(\w+)=(.*)$/s.exec(word) ?? [];
      if (name === undefined || value === undefined) throw at(line, `${word} has no value`);
      return [name, expand(value, known, line)];
    }),
  );
}

/** Puts in what `${NAME}` stands for. @throws Error if there is no such variable */
export function expand(text: string, known: Variables, line: number): string {
  return text.replaceAll(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced?: string, bare?: string) => {
    const value = known[braced ?? bare ?? ''];
    if (value === undefined) throw at(line, `${braced ?? bare} is not set`);
    return value;
  });
}

/** Whether a path of the context is left out, by the rules of a `.dockerignore`: the last line that fits decides. */
export function isIgnored(path: string, rules: string): boolean {
  let ignored = false;
  for (const line of rules.split('\n').map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const isKept = line.startsWith('!');
    const pattern = (isKept ? line.slice(1) : line).replace(/^\/|\/$/g, '');
    if (!/^[\w.*-]+$/.test(pattern)) throw new Error(`.dockerignore: ${line} is not understood`);
    const fits = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}(?:/|$)`);
    if (fits.test(path)) ignored = !isKept;
  }
  return ignored;
}

function stepsOf(text: string): Step[] {
  const steps: Step[] = [];
  let [start, whole] = [0, ''];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue;
    if (whole === '') start = index + 1;
    const goesOn = /\\\s*$/.test(line);
    whole += goesOn ? line.replace(/\\\s*$/, '') : line;
    if (goesOn) continue;
    steps.push(stepOf(whole.trim(), start));
    whole = '';
  }
  if (whole !== '') throw at(start, 'the last line goes on');
  return steps;
}

function stepOf(text: string, line: number): Step {
  const [, word = '', rest = ''] = /^(\S+)\s+(.*)$/s.exec(text) ?? [];
  const name = KNOWN.find((each) => each === word.toUpperCase());
  if (name === undefined) throw at(line, `"${text.slice(0, 40)}" is not understood`);
  const flags: [string, string][] = [];
  let value = rest;
  for (let flag = FLAG.exec(value); flag !== null; flag = FLAG.exec(value)) {
    flags.push([flag[1] ?? '', flag[2] ?? '']);
    value = value.slice(flag[0].length);
  }
  if (name === 'HEALTHCHECK') {
    if (!value.startsWith('CMD ')) throw at(line, 'HEALTHCHECK needs CMD');
    value = value.slice(4).trim();
  }
  if (value.startsWith('[')) return { name, flags, words: jsonWords(value, line), isJson: true, line };
  const isShell = ['CMD', 'ENTRYPOINT', 'HEALTHCHECK', 'RUN'].includes(name);
  return { name, flags, words: isShell ? [value] : value.split(/\s+/), isJson: false, line };
}

const FLAG = /^--([a-z-]+)=(\S+)\s+/;

function jsonWords(text: string, line: number): string[] {
  const words: unknown = JSON.parse(text);
  if (!Array.isArray(words)) throw at(line, 'no list');
  return words.map((word) => {
    if (typeof word !== 'string') throw at(line, `${String(word)} is no text`);
    return word;
  });
}

function at(line: number, what: string): Error {
  return new Error(`Dockerfile:${line}: ${what}`);
}
