// Runs one benchmark of this directory on the built library: npm run bench -- <name>
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const directory = fileURLToPath(new URL(".", import.meta.url));
const names = readdirSync(directory)
  .filter((file) => file.endsWith(".mjs") && file !== "run.mjs")
  .map((file) => file.slice(0, -".mjs".length))
  .sort();

const [name, ...args] = process.argv.slice(2);
if (name === undefined) {
  console.log(`Usage: npm run bench -- <name>\n\nBenchmarks: ${names.join(", ")}`);
} else if (!names.includes(name)) {
  console.error(`Cannot run benchmark "${name}": there are ${names.join(", ")}`);
  process.exitCode = 1;
} else {
  const { status } = spawnSync(process.execPath, [`${directory}${name}.mjs`, ...args], {
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
}
