import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/**
 * A plugin for esbuild and Bun. It writes the commit, its time and the platform of a single binary into
 * the modules that have empty constants for them.
 */
export function stamp(binary = "") {
  const values = {
    COMMIT: git("rev-parse", "HEAD"),
    BUILT_AT: git("show", "-s", "--format=%cI", "HEAD"),
    BINARY: binary,
  };
  return {
    name: "stamp",
    setup: (build) =>
      build.onLoad({ filter: /\/src\/(cli\/version|host\/process\/own_program)\.ts$/ }, load),
  };
  function load({ path }) {
    let contents = readFileSync(path, "utf8");
    for (const [constant, value] of Object.entries(values)) {
      const unset = `export const ${constant}: string = "";`;
      contents = contents.replace(unset, unset.replace('""', JSON.stringify(value)));
    }
    return { contents, loader: "ts" };
  }
}

function git(...args) {
  try {
    const settings = { cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
    return execFileSync("git", args, settings).trim();
  } catch {
    return ""; // a source archive
  }
}
