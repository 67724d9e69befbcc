// Writes the commit and its time into the built package, where it is built from a Git clone: dewy
// --version.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const file = new URL("../dist/src/cli/version.js", import.meta.url);
const commit = git("rev-parse", "HEAD");
const builtAt = git("show", "-s", "--format=%cI", "HEAD");
const stamped = readFileSync(file, "utf8")
  .replace('COMMIT = ""', `COMMIT = ${JSON.stringify(commit)}`)
  .replace('BUILT_AT = ""', `BUILT_AT = ${JSON.stringify(builtAt)}`);
writeFileSync(file, stamped);

function git(...args) {
  try {
    return execFileSync("git", args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return ""; // a source archive
  }
}
