// Shared by the benchmarks: one run of a program with its costs, and the median. Needs python3.
import { spawn } from "node:child_process";

/**
 * Python runs the program, because it is small: on Linux the peak memory of a child is never below
 * that of the process that started it, and neither Node nor Bun reports the children of a child.
 */
const RUN = `
import json, resource, subprocess, sys, time
children = lambda: resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = lambda used: (used.ru_utime + used.ru_stime) * 1e3
before, start = children(), time.perf_counter() # a wrapper of python3 may have had children already
run = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True)
wall = time.perf_counter() - start
used = children()
cost = {"wallMs": wall * 1e3, "cpuMs": cpu(used) - cpu(before), "peakMiB": used.ru_maxrss / 1024}
print(json.dumps({"code": run.returncode, "stderr": run.stderr.decode(errors="replace"), "cost": cost}))
`;

/** Resources used by a program and by the children that it waited for. */
export interface Cost {
  wallMs: number;
  /** User and system time. */
  cpuMs: number;
  /** Of the largest single process. */
  peakMiB: number;
}

/** Runs a program until it exits. */
export async function measure(
  argv: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Cost> {
  const child = spawn("python3", ["-c", RUN, ...argv], {
    ...options,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  for await (const chunk of child.stdout) output += chunk;
  const { code, stderr, cost } = JSON.parse(output);
  if (code !== 0) throw new Error(`${argv.join(" ")} exited with ${code}: ${stderr}`);
  return cost;
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
