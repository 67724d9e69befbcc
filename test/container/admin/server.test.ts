import { describe, expect, test } from "vitest";
import { adminPorts } from "../../../src/container/admin/server.ts";
import { runCase, runtimes } from "../../runtime/runtimes.ts";

describe.each(runtimes)("the admin API on $name", (runtime) => {
  test("answers on loopback, on the first free port", async () => {
    const output = await runCase(runtime, "test/runtime/admin_main.ts");
    expect(output).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(output.stdout)).toHaveLength(3);
  });
});

test("adminPorts stops at 65535", () => {
  expect(adminPorts(17_539)).toHaveLength(10);
  expect(adminPorts(65_530)).toEqual([65_530, 65_531, 65_532, 65_533, 65_534, 65_535]);
});
