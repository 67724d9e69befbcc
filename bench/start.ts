// The cold start of the command line: `dewy --version` and `dewy check file://…` on each runtime,
// against an empty program on the same runtime, in wall and CPU time; then the modules that `check`
// loads on Node. Run it with `npm run bench -- start [rounds]`.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Cost, measure, medianCost, rotated } from "./support/measure.ts";

const ROUNDS = Number(process.argv[2] ?? 15);
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = join(ROOT, "node_modules", ".bin");
/** Packages that a registry of files does not need. */
const HEAVY = ["jose", "aws4fetch", "undici"];

const runtimes = {
  node: { run: ["node"], cli: "dist/cli.js" },
  deno: {
    run: [join(BIN, "deno"), "run", "-A", "--no-lock", "--node-modules-dir=manual"],
    cli: "cli.ts",
  },
  bun: { run: [join(BIN, "bun")], cli: "cli.ts" },
};

const directory = mkdtempSync(join(tmpdir(), "dewy-bench-start-"));
try {
  await main();
} finally {
  rmSync(directory, { recursive: true });
}

async function main(): Promise<void> {
  const empty = join(directory, "empty.mjs");
  writeFileSync(empty, "");
  const release = join(directory, "registry", "v1.0.0");
  mkdirSync(release, { recursive: true });
  writeFileSync(join(release, `app_${process.platform}_${process.arch}.tar.gz`), "");
  const check = ["check", `file://${join(directory, "registry")}`];

  const ways = Object.entries(runtimes).flatMap(([runtime, { run, cli }]) => [
    { runtime, what: "empty program", argv: [...run, empty], costs: [] as Cost[] },
    { runtime, what: "--version", argv: [...run, cli, "--version"], costs: [] as Cost[] },
    { runtime, what: "check file://…", argv: [...run, cli, ...check], costs: [] as Cost[] },
  ]);
  for (const { argv } of ways) await measure(argv, { cwd: ROOT }); // fills the caches
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of rotated(ways, round)) way.costs.push(await measure(way.argv, { cwd: ROOT }));
  }

  console.log(`Median of ${ROUNDS} cold starts; ratios of CPU time`);
  const medians = ways.map((way) => ({ ...way, cost: medianCost(way.costs) }));
  const cpuOf = (runtime: string, what: string): number =>
    medians.find((way) => way.runtime === runtime && way.what === what)?.cost.cpuMs ?? Number.NaN;
  console.table(
    medians.map(({ runtime, what, cost }) => ({
      runtime,
      what,
      "wall (ms)": cost.wallMs.toFixed(0),
      "CPU (ms)": cost.cpuMs.toFixed(0),
      "/ empty": (cost.cpuMs / cpuOf(runtime, "empty program")).toFixed(2),
      "/ --version": (cost.cpuMs / cpuOf(runtime, "--version")).toFixed(2),
    })),
  );
  await printModules(["node", runtimes.node.cli, ...check]);
}

/**
 * Node writes the scripts that it ran to a directory:
 * https://nodejs.org/api/cli.html#node_v8_coveragedir
 */
async function printModules(argv: readonly string[]): Promise<void> {
  const coverage = join(directory, "coverage");
  await measure(argv, { cwd: ROOT, env: { ...process.env, NODE_V8_COVERAGE: coverage } });
  const contents = JSON.parse(readFileSync(join(ROOT, "dist", "contents.json"), "utf8"));
  const counts = new Map<string, number>();
  for (const file of readdirSync(coverage)) {
    const { result } = JSON.parse(readFileSync(join(coverage, file), "utf8"));
    for (const { url } of result as { url: string }[]) {
      if (!url.startsWith("file:")) continue;
      for (const module of contents[url.replace(/.*\/(?=dist\/)/, "")] ?? []) {
        const [, name = module] =
          /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(module) ?? /(.*)\/[^/]*$/.exec(module) ?? [];
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
    }
  }
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  console.log(`\nModules that \`check file://…\` loads on Node: ${total}`);
  console.log(sorted.map(([name, count]) => `${count} ${name}`).join(", "));
  const found = HEAVY.filter((name) => counts.has(name));
  console.log(`Of ${HEAVY.join(", ")}: ${found.join(", ") || "none"}`);
}
