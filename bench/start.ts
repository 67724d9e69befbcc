// The cold start of the command line: `dewy --version` and `dewy check file://…` on each runtime,
// from the bundle of the package and from the sources, and by the single binary if it is built,
// against an empty program on the same runtime, in wall and CPU time; then the modules that `check`
// loads on Node. Run it with `npm run bench -- start [rounds]`.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Cost, measure, medianCost, rotated } from "./support/measure.ts";

const ROUNDS = Number(process.argv[2] ?? 15);
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = join(ROOT, "node_modules", ".bin");
/** Packages that a registry of files does not need. */
const HEAVY = ["jose", "aws4fetch", "undici"];

const BUNDLE = "dist/cli.js";
const SOURCE = "cli.ts";
const BINARY = `build/dewy_linux_${process.arch === "x64" ? "amd64" : process.arch}`;

/** The programs of each runtime: the bundle is what the package ships, and Node runs no sources. */
const runtimes: Readonly<Record<string, { run: readonly string[]; programs: readonly string[] }>> =
  {
    node: { run: ["node"], programs: [BUNDLE] },
    deno: {
      run: [join(BIN, "deno"), "run", "-A", "--no-lock", "--node-modules-dir=manual"],
      programs: [BUNDLE, SOURCE],
    },
    bun: { run: [join(BIN, "bun")], programs: [BUNDLE, SOURCE] },
    ...(existsSync(join(ROOT, BINARY)) ? { binary: { run: [], programs: [BINARY] } } : {}),
  };

interface Way {
  runtime: string;
  what: string;
  argv: readonly string[];
  costs: Cost[];
}

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

  const ways = Object.entries(runtimes).flatMap(([runtime, { run, programs }]) => {
    const way = (what: string, ...args: string[]): Way => {
      return { runtime, what, argv: [...run, ...args], costs: [] };
    };
    return [
      ...(run.length === 0 ? [] : [way("empty program", empty)]),
      ...programs.flatMap((program) => [
        way(`${program} --version`, program, "--version"),
        way(`${program} check file://…`, program, ...check),
      ]),
    ];
  });
  for (const { argv } of ways) await measure(argv, { cwd: ROOT }); // fills the caches
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of rotated(ways, round)) way.costs.push(await measure(way.argv, { cwd: ROOT }));
  }

  console.log(`Median of ${ROUNDS} cold starts; ratios of CPU time`);
  const medians = ways.map((way) => ({ ...way, cost: medianCost(way.costs) }));
  const cpuOf = (runtime: string, what: string): number =>
    medians.find((way) => way.runtime === runtime && way.what === what)?.cost.cpuMs ?? Number.NaN;
  const ratio = (cpuMs: number, to: number) => (Number.isNaN(to) ? "" : (cpuMs / to).toFixed(2));
  console.table(
    medians.map(({ runtime, what, cost }) => {
      const [program] = what.split(" ");
      return {
        runtime,
        what,
        "wall (ms)": cost.wallMs.toFixed(0),
        "CPU (ms)": cost.cpuMs.toFixed(0),
        "/ empty": ratio(cost.cpuMs, cpuOf(runtime, "empty program")),
        "/ --version": ratio(cost.cpuMs, cpuOf(runtime, `${program} --version`)),
      };
    }),
  );
  await printModules(["node", BUNDLE, ...check]);
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
