// What the benchmarks share: one run of a program with its costs, and the median.

/** The part of Bun that is used here: unlike Node, it reports what a child process used. */
declare const Bun: {
  spawn(
    argv: readonly string[],
    options: { cwd?: string; env?: Record<string, string | undefined>; stdio: unknown[] },
  ): {
    stdout: ReadableStream<Uint8Array>;
    stderr: ReadableStream<Uint8Array>;
    exited: Promise<number>;
    resourceUsage(): { maxRSS: number; cpuTime: { total: bigint | number } };
  };
};

/** What a program and the children that it waited for used. */
export interface Cost {
  wallMs: number;
  /** User and system time. */
  cpuMs: number;
  /** Of the largest single process. */
  peakMiB: number;
}

/** Runs a program to its end. */
export async function measure(
  argv: readonly string[],
  options: { cwd?: string; env?: Record<string, string | undefined> } = {},
): Promise<Cost> {
  const start = performance.now();
  const child = Bun.spawn(argv, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const output = Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const code = await child.exited;
  const wallMs = performance.now() - start;
  if (code !== 0) throw new Error(`${argv.join(" ")} exited with ${code}: ${await output}`);
  const { maxRSS, cpuTime } = child.resourceUsage();
  return { wallMs, cpuMs: Number(cpuTime.total) / 1000, peakMiB: maxRSS / 2 ** 20 };
}

/** The middle value; the mean of the middle two if their number is even. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  const middle = sorted.slice(Math.ceil(half) - 1, Math.floor(half) + 1);
  return middle.reduce((sum, value) => sum + value, 0) / middle.length;
}

/** The medians of each cost. */
export function medianCost(costs: readonly Cost[]): Cost {
  const of = (key: keyof Cost): number => median(costs.map((cost) => cost[key]));
  return { wallMs: of("wallMs"), cpuMs: of("cpuMs"), peakMiB: of("peakMiB") };
}

/** The same items, each round beginning with the next one, so that none is always first. */
export function rotated<T>(items: readonly T[], round: number): T[] {
  const at = round % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
