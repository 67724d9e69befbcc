import { join } from "node:path";
import { build } from "esbuild";
import { expect, it } from "vitest";
import { ROOT } from "../runtime/runtimes.ts";

it("the launcher of dewy server, which stays in memory on Node 20, loads no package and no driver", async () => {
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
    loaded.filter((file) => /^(node_modules|src\/(registries|http|notifiers))\//.test(file)),
  ).toEqual([]);
});
