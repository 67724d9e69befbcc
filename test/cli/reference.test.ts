import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { caches } from "../../src/cache/table.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { anchor, renderReference } from "../support/reference.ts";

const REFERENCE = new URL("../../docs/reference/", import.meta.url);
const COMMAND = "npm run reference";

const pages = renderReference({
  registries: Object.values(hostRegistries),
  notifiers: [...new Set(Object.values(notifiers))],
  caches: Object.values(caches),
});

// `npm run reference` runs this test with UPDATE=1: it then writes the pages instead of checking them.
test.each(Object.entries(pages))("docs/reference/%s is up to date", async (name, expected) => {
  const file = new URL(name, REFERENCE);
  if (process.env.UPDATE === "1") {
    await mkdir(REFERENCE, { recursive: true });
    await writeFile(file, expected);
    return;
  }
  const written = await readFile(file, "utf8").catch(() => "");
  expect(written === expected, `docs/reference/${name} is stale; run: ${COMMAND}`).toBe(true);
});

test("docs/reference/ has no other pages", async () => {
  const written = (await readdir(REFERENCE)).filter((name) => name.endsWith(".md"));
  expect(written.sort()).toEqual(Object.keys(pages).sort());
});

test("anchor makes the fragment that GitHub makes", () => {
  expect(anchor("AWS S3: `s3://<region>/<bucket>`")).toBe("aws-s3-s3regionbucket");
});
