import { expect, test } from "vitest";
import { runCase, runtimes } from "../../runtime/runtimes.ts";

for (const runtime of runtimes) {
  test(`${runtime.name} downloads and extracts every kind of archive`, async () => {
    const { stdout, stderr } = await runCase(runtime, "test/runtime/stage_case.ts", {});
    expect(stdout, stderr).toMatch(/^\{/);
    const { checksums, refusal, ...archives } = JSON.parse(stdout) as Record<string, string>;
    expect({ checksums, refusal }).toEqual({ checksums: "checked", refusal: "ArchiveError" });
    expect(Object.keys(archives)).toHaveLength(12);
    for (const [name, result] of Object.entries(archives)) {
      // Where a packer is not installed there is nothing to extract.
      if (result === "no packer") continue;
      const entries = name.startsWith("app.zip") ? 3 : 4;
      expect(`${name}: ${result}`).toBe(`${name}: ${entries} entries, 755, same, bin`);
    }
  });
}
