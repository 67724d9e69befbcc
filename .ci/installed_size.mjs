// Prints how large an installation of dewy is, by package: node .ci/installed_size.mjs DIRECTORY
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { pathToFileURL } from "node:url";

/** Parts of dewy itself that are reported apart. */
const PARTS = ["dist/src", "dist/chunks", "dist/vendor", "docs", "examples"];

/** The size of `node_modules` and of each part, in bytes, by `du --apparent-size`. */
export function installedSizes(modules) {
  const packages = readdirSync(modules)
    .filter((name) => !name.startsWith("."))
    .flatMap((name) =>
      name.startsWith("@")
        ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`)
        : [name],
    );
  const parts = PARTS.map((part) => `dewy/${part}`).filter((part) =>
    existsSync(join(modules, part)),
  );
  const sizes = [...packages, ...parts].map((name) => [name, apparentSize(join(modules, name))]);
  return { total: apparentSize(modules), sizes: Object.fromEntries(sizes) };
}

function apparentSize(path) {
  return Number.parseInt(
    execFileSync("du", ["-s", "-B1", "--apparent-size", path], { encoding: "utf8" }),
    10,
  );
}

export function sizeTable({ total, sizes }) {
  const rows = Object.entries(sizes).sort(([, one], [, other]) => other - one);
  return [...rows, ["total", total]]
    .map(([name, bytes]) => `${String(Math.ceil(bytes / 1000)).padStart(7)} kB  ${name}`)
    .join("\n");
}

if (import.meta.url === pathToFileURL(argv[1]).href) {
  console.log(sizeTable(installedSizes(join(argv[2] ?? ".", "node_modules"))));
}
