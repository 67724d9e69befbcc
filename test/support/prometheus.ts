/** One line of Prometheus' text format. */
export interface Sample {
  name: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

/** Metrics in Prometheus' text format, parsed. */
export interface Metrics {
  help: ReadonlyMap<string, string>;
  types: ReadonlyMap<string, string>;
  samples: readonly Sample[];
  /** The value of the only sample with this name and these labels, whatever other labels it has. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)",?/gi;

export function parseMetrics(text: string): Metrics {
  const lines = text.split("\n").filter((line) => line !== "");
  const comments = (kind: string): Map<string, string> =>
    new Map(
      lines.flatMap((line) => {
        const [, of, name = "", rest = ""] = /^# (\w+) (\w+) (.*)$/.exec(line) ?? [];
        return of === kind ? [[name, rest] as const] : [];
      }),
    );
  const samples = lines.filter((line) => !line.startsWith("#")).map(parseSample);
  return {
    help: comments("HELP"),
    types: comments("TYPE"),
    samples,
    value(name, labels = {}) {
      const found = samples.filter(
        (one) =>
          one.name === name &&
          Object.entries(labels).every(([label, value]) => one.labels[label] === value),
      );
      if (found.length > 1) throw new Error(`${found.length} samples of ${name}`);
      return found[0]?.value;
    },
  };
}

export function parseSample(line: string): Sample {
  const [, name = "", labels = "", value = ""] =
    /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? fail(line);
  return {
    name,
    labels: Object.fromEntries(
      [...labels.matchAll(LABEL)].map(([, key = "", text = ""]) => [key, unquoted(text)]),
    ),
    value: value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value),
  };
}

function unquoted(text: string): string {
  return text.replaceAll(/\\(.)/g, (_, character) => (character === "n" ? "\n" : character));
}

function fail(line: string): never {
  throw new Error(`not a sample: ${line}`);
}
