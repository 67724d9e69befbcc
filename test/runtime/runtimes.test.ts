import { describe, expect, test } from "vitest";
import { runCase, runtimes } from "./runtimes.ts";

describe.each(runtimes)("$name", (runtime) => {
  test("passes the checks of the library", async () => {
    const { code, stdout, stderr } = await runCase(runtime, "test/runtime/library_main.ts");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toContain("newest version of a bucket, signed");
  });
});
