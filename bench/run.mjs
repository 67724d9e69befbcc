// Runs one benchmark of this directory on the built library: npm run bench -- <name>
// Bun runs the TypeScript, because Node 20 cannot; what is measured on Node is started from there.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const directory = fileURLToPath(new URL(".", import.meta.url));
const files = readdirSync(directory)
  .filter((file) => /\.(mjs|ts)$/.test(file) && file !== "run.mjs")
  .sort();
const names = files.map((file) => file.replace(/\.\w+$/, ""));

const [name, ...args] = process.argv.slice(2);
if (name === undefined) {
  console.log(`Usage: npm run bench -- <name>\n\nBenchmarks: ${names.join(", ")}`);
} else if (!names.includes(name)) {
  console.error(`Cannot run benchmark "${name}": there are ${names.join(", ")}`);
  process.exitCode = 1;
} else {
  const file = files[names.indexOf(name)];
  const program = file.endsWith(".ts") ? `${directory}../node_modules/.bin/bun` : process.execPath;
  const { status } = spawnSync(program, [`${directory}${file}`, ...args], { stdio: "inherit" });
  process.exitCode = status ?? 1;
}
