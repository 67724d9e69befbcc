// Runs one benchmark of this directory on the built library: npm run bench -- <name>
// Bun runs the TypeScript, because Node 20 cannot; what is measured on Node is started from there.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const directory = fileURLToPath(new URL(".", import.meta.url));
const files = readdirSync(directory)
  .filter((file) => /\.(mjs|ts)$/.test(file) && file !== "run.mjs")
  .sort();
const names = files.map((file) => file.replace(/\.\w+$/, ""));

const [name, ...args] = process.argv.slice(2);
if (name === undefined) {
  const rows = files.map((file, index) => `  ${names[index].padEnd(10)}${subjectOf(file)}`);
  console.log(`Usage: npm run bench -- <name> [arguments]\n\nBenchmarks:\n${rows.join("\n")}`);
} else if (!names.includes(name)) {
  console.error(`Cannot run benchmark "${name}": there are ${names.join(", ")}`);
  process.exitCode = 1;
} else {
  const file = files[names.indexOf(name)];
  const program = file.endsWith(".ts") ? `${directory}../node_modules/.bin/bun` : process.execPath;
  const { status } = spawnSync(program, [`${directory}${file}`, ...args], { stdio: "inherit" });
  process.exitCode = status ?? 1;
}

/** The beginning of the comment at the top of a benchmark. */
function subjectOf(file) {
  const source = readFileSync(`${directory}${file}`, "utf8");
  const [comment] = source.match(/^(?:\/\/ .*\n)+/) ?? [""];
  const text = comment.replaceAll(/\n?\/\/ /g, " ").trim();
  return text.split(/: |\. |, against/, 1)[0];
}
