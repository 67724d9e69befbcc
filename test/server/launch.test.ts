import { join } from "node:path";
import { build } from "esbuild";
import { expect, it } from "vitest";
import { ROOT } from "../runtime/runtimes.ts";

it("what opens the sockets of dewy server, and stays beside it on Node 20, loads no package and no registry", async () => {
  const { metafile } = await build({
    entryPoints: [join(ROOT, "src/server/launch.ts")],
    absWorkingDir: ROOT,
    bundle: true,
    metafile: true,
    write: false,
    platform: "node",
    format: "esm",
  });
  const loaded = Object.keys(metafile.inputs);
  expect(loaded).toContain("src/host/sockets/hold_sockets.ts");
  expect(
    loaded.filter((file) => /^(node_modules|src\/(registry|client|notifier))\//.test(file)),
  ).toEqual([]);
});
