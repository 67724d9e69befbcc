import { describe, expect, test } from "vitest";
import { adminPorts } from "../../src/control/admin.ts";
import { runCase, runtimes } from "../runtime/runtimes.ts";

describe.each(runtimes)("the admin server on $name", (runtime) => {
  test("passes all checks", async () => {
    const { code, stdout, stderr } = await runCase(runtime, "test/runtime/admin_main.ts");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toHaveLength(11);
  });
});

test("adminPorts stops at 65535", () => {
  expect(adminPorts(17_539)).toHaveLength(10);
  expect(adminPorts(65_530)).toEqual([65_530, 65_531, 65_532, 65_533, 65_534, 65_535]);
});
