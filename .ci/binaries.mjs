// Builds single binaries with everything in them, also what is optional in the npm package:
//
//   npm run binaries [-- target…]        build/dewy_linux_amd64, …
//
// Without targets it builds all of them. The first build for a foreign target downloads Bun for it.
import { mkdirSync } from "node:fs";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { stamp } from "./stamp.mjs";

/** Bun's targets, by the names that `dewy` chooses a release's files by. */
export const TARGETS = {
  linux_amd64: "bun-linux-x64-baseline",
  linux_arm64: "bun-linux-arm64",
  linux_amd64_musl: "bun-linux-x64-musl-baseline",
  linux_arm64_musl: "bun-linux-arm64-musl",
  darwin_amd64: "bun-darwin-x64",
  darwin_arm64: "bun-darwin-arm64",
};

const ROOT = fileURLToPath(new URL("..", import.meta.url));

export async function buildBinary(name, directory = `${ROOT}build`) {
  const target = TARGETS[name];
  if (target === undefined) {
    throw new Error(`Unknown target "${name}"; use ${Object.keys(TARGETS).join(", ")}`);
  }
  mkdirSync(directory, { recursive: true });
  const outfile = `${directory}/dewy_${name}`;
  await Bun.build({
    entrypoints: [`${ROOT}cli.ts`],
    minify: true,
    // Without it, each start parses all modules: 0.3 s instead of 0.03.
    splitting: true,
    plugins: [stamp(name)],
    // A .env or bunfig.toml in the working directory belongs to the app.
    compile: { target, outfile, autoloadDotenv: false, autoloadBunfig: false },
  });
  return outfile;
}

if (import.meta.main) {
  const names = argv.length > 2 ? argv.slice(2) : Object.keys(TARGETS);
  for (const name of names) console.log(await buildBinary(name));
}
