import { readFile, writeFile } from "node:fs/promises";
import { afterAll, describe, expect, test } from "vitest";
import type { Outcome } from "./case.ts";
import { matrixOf } from "./matrix.ts";
import { servePeers } from "./peers.ts";
import { runners } from "./runners.ts";

const PAGE = new URL("../../docs/runtimes.md", import.meta.url);
const START = "<!-- The table of test/conformance -->\n\n";

const columns = new Map<string, readonly Outcome[] | string>();
afterAll(() => console.log(matrixOf(columns)));

describe.each(runners)("$name", ({ name, kind, missing, run }) => {
  test("passes every case that it can run", async ({ skip }) => {
    if (missing !== undefined) {
      columns.set(name, missing);
      skip(missing);
    }
    const { peers, complaints, close } = await servePeers(kind);
    try {
      const outcomes = await run(peers);
      columns.set(name, outcomes);
      expect(outcomes.filter(({ status }) => status === "failed")).toEqual([]);
      expect(outcomes.filter(({ status }) => status === "passed").length).toBeGreaterThan(30);
      expect(complaints()).toEqual([]);
    } finally {
      await close();
    }
  });
});

// With UPDATE=1 it writes the table instead of checking it.
test("docs/runtimes.md has the table", async ({ skip }) => {
  const ran = [...columns.values()].filter((column) => typeof column !== "string");
  if (ran.length < runners.length) skip("not every runtime ran");
  const page = await readFile(PAGE, "utf8");
  const expected = `${page.split(START)[0]}${START}${matrixOf(columns)}\n`;
  if (process.env.UPDATE === "1") return writeFile(PAGE, expected);
  const command = "UPDATE=1 npx vitest run test/conformance";
  expect(page === expected, `docs/runtimes.md is stale; run: ${command}`).toBe(true);
});
