// Mutation testing of one folder: changes src/FOLDER in many small ways, and shows which changes no
// test notices.
//
//   npm run mutate -- FOLDER[/FILE.ts]… [--tests PATH]…
//
// It runs the tests of test/FOLDER, or those of --tests. The report is printed, and written to
// reports/mutation/.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv, env, execPath, exit } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..", "..");
const STRYKER = join(HERE, "node_modules", "@stryker-mutator", "core", "bin", "stryker.js");
const CONFIG = "stryker.generated.json";

const { values, positionals } = options();
if (positionals.length === 0) fail("Cannot mutate: no folder given");
const targets = positionals.map(targetOf);
const tests = values.tests ?? [...new Set(targets.map(({ tests }) => tests))];
for (const path of tests)
  if (!existsSync(join(ROOT, path))) fail(`Cannot run "${path}": not found`);

if (!existsSync(STRYKER)) {
  console.log("Installing Stryker into .ci/mutate/node_modules");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], {
    cwd: HERE,
    stdio: "inherit",
  });
  if (status !== 0) exit(1);
}
writeFileSync(join(HERE, CONFIG), JSON.stringify(config(), undefined, 2));
const { status } = spawnSync(execPath, [STRYKER, "run", join(".ci", "mutate", CONFIG)], {
  cwd: ROOT,
  stdio: "inherit",
  // Each worker loads the configuration of vitest, which reads this.
  env: { ...env, DEWY_MUTATE_TESTS: JSON.stringify(tests.map(testPattern)) },
});
exit(status ?? 1);

function options() {
  try {
    return parseArgs({
      args: argv.slice(2),
      allowPositionals: true,
      options: { tests: { type: "string", multiple: true } },
    });
  } catch (error) {
    return fail(error.message);
  }
}

/** Returns the files to mutate for an argument, and the tests that should notice. */
function targetOf(name) {
  const path = `src/${name.replace(/^src\//, "").replace(/\/$/, "")}`;
  if (!existsSync(join(ROOT, path))) {
    fail(`Cannot mutate "${name}": there is no ${path}; folders: ${foldersOf("src").join(", ")}`);
  }
  const isFolder = statSync(join(ROOT, path)).isDirectory();
  const tests = (isFolder ? path : dirname(path)).replace(/^src/, "test");
  if (values.tests === undefined && !existsSync(join(ROOT, tests))) {
    fail(`Cannot mutate "${name}": there is no ${tests}; name its tests with --tests test/…`);
  }
  return { mutate: isFolder ? `${path}/**/*.ts` : path, tests };
}

function testPattern(path) {
  return statSync(join(ROOT, path)).isDirectory() ? `${path}/**/*.test.ts` : path;
}

function foldersOf(path) {
  return readdirSync(join(ROOT, path), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(ROOT.length + 5))
    .sort();
}

function config() {
  const plugin = join(
    HERE,
    "node_modules",
    "@stryker-mutator",
    "vitest-runner",
    "dist/src/index.js",
  );
  return {
    mutate: [...targets.map(({ mutate }) => mutate), "!src/gen/**", "!src/**/*.d.ts"],
    testRunner: "vitest",
    plugins: [plugin],
    vitest: { configFile: ".ci/mutate/vitest.config.mjs", related: false },
    coverageAnalysis: "perTest",
    concurrency: 2,
    // Stryker would read it with the API that TypeScript 7 no longer has.
    tsconfigFile: "none.json",
    ignorePatterns: ["dist", "coverage", "reports", ".ci/mutate/node_modules"],
    tempDirName: ".stryker-tmp",
    cleanTempDir: "always",
    reporters: ["clear-text", "html"],
    clearTextReporter: {
      allowColor: false,
      allowEmojis: false,
      logTests: false,
      reportTests: false,
    },
    thresholds: { high: 80, low: 60, break: null },
  };
}

function fail(message) {
  console.error(`Error: ${message}`);
  console.error("Usage: npm run mutate -- FOLDER[/FILE.ts]… [--tests PATH]…");
  exit(1);
}
