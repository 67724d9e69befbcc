import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { renderReference, updateReadme } from "../../src/cli/reference.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { notifiers } from "../../src/notifiers/table.ts";

const README = new URL("../../README.md", import.meta.url);
const COMMAND = "npm run readme";

// `npm run readme` runs this test with UPDATE=1: then it writes what it would otherwise ask for.
test("the README's reference is that of the tables", async () => {
  const readme = await readFile(README, "utf8");
  const parts = renderReference({
    registries: Object.values(hostRegistries),
    notifiers: Object.values(notifiers),
  });
  const updated = updateReadme(readme, parts);
  if (process.env.UPDATE === "1") await writeFile(README, updated);
  else expect(readme === updated, `README.md is stale; run: ${COMMAND}`).toBe(true);
});

test("a README without a marker is an error", () => {
  expect(() => updateReadme("# dewy", { flags: "" })).toThrow("<!-- generated:flags -->");
});
