import { describe, expect, test } from "vitest";
import { runCase, runtimes } from "../runtime/runtimes.ts";

describe.each(runtimes)("webhooks on $name", (runtime) => {
  test("pass all checks", async () => {
    const { code, stdout, stderr } = await runCase(runtime, "test/runtime/webhook_main.ts");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toHaveLength(6);
  });
});
