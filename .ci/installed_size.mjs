// Prints the size of an installation of dewy, by package and by parts of dewy, as du --apparent-size
// does:
//
//   node .ci/installed_size.mjs DIRECTORY
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";

/** Parts of dewy itself that are reported apart. */
const PARTS = ["dist/src", "dist/chunks", "dist/vendor", "docs", "examples"];

const modules = join(argv[2] ?? ".", "node_modules");
const packages = readdirSync(modules)
  .filter((name) => !name.startsWith("."))
  .flatMap((name) => (name.startsWith("@") ? within(name) : [name]));
const parts = PARTS.map((part) => `dewy/${part}`).filter((part) => existsSync(join(modules, part)));
const rows = [...packages, ...parts]
  .map((name) => ({ name, bytes: apparentSize(join(modules, name)) }))
  .sort((one, other) => other.bytes - one.bytes);
for (const { name, bytes } of [...rows, { name: "total", bytes: apparentSize(modules) }]) {
  console.log(`${String(Math.ceil(bytes / 1000)).padStart(7)} kB  ${name}`);
}

function within(scope) {
  return readdirSync(join(modules, scope)).map((name) => `${scope}/${name}`);
}

function apparentSize(path) {
  const args = ["-s", "-B1", "--apparent-size", path];
  return Number.parseInt(execFileSync("du", args, { encoding: "utf8" }), 10);
}
