import { afterAll, describe, expect, test } from "vitest";
import type { Outcome } from "./case.ts";
import { matrixOf } from "./matrix.ts";
import { servePeers } from "./peers.ts";
import { runners } from "./runners.ts";

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
      const failures = outcomes.filter(({ status }) => status === "failed");
      expect(failures).toEqual([]);
      expect(outcomes.filter(({ status }) => status === "passed").length).toBeGreaterThan(30);
      expect(complaints()).toEqual([]);
    } finally {
      await close();
    }
  });
});
