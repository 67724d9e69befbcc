// Cold start: `dewy --version` on each runtime, against the runtime's own start in the same run.
// Run it with `npm run bench -- start`.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROUNDS = 25;
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = join(ROOT, "node_modules", ".bin");
const DENO_OPTIONS = ["--no-lock", "--node-modules-dir=manual"];

interface Contest {
  runtime: string;
  /** What the runtime needs to do nothing. */
  nothing: readonly string[];
  dewy: readonly string[];
}

const contests: readonly Contest[] = [
  { runtime: "node", nothing: ["node", "-e", "0"], dewy: ["node", "dist/cli.js", "--version"] },
  {
    runtime: "deno",
    nothing: [join(BIN, "deno"), "eval", ...DENO_OPTIONS, "1"],
    dewy: [join(BIN, "deno"), "run", "-A", ...DENO_OPTIONS, "cli.ts", "--version"],
  },
  {
    runtime: "bun",
    nothing: [join(BIN, "bun"), "-e", "0"],
    dewy: [join(BIN, "bun"), "cli.ts", "--version"],
  },
];

function milliseconds([program = "", ...args]: readonly string[]): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(program, args, { cwd: ROOT, encoding: "utf8" });
  if (status !== 0)
    throw new Error(`${[program, ...args].join(" ")} ended with ${status}: ${stderr}`);
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const rows = contests.map(({ runtime, nothing, dewy }) => {
  milliseconds(nothing);
  milliseconds(dewy);
  const times = { nothing: [] as number[], dewy: [] as number[] };
  // In turns, so that a busy moment of the machine hits both.
  for (let round = 0; round < ROUNDS; round++) {
    times.nothing.push(milliseconds(nothing));
    times.dewy.push(milliseconds(dewy));
  }
  const [base, ours] = [median(times.nothing), median(times.dewy)];
  return {
    runtime,
    "nothing (ms)": base.toFixed(1),
    "dewy --version (ms)": ours.toFixed(1),
    ratio: (ours / base).toFixed(2),
  };
});

console.log(`Median of ${ROUNDS} cold starts`);
console.table(rows);
