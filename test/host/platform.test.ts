import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { armVariant, interpreterLibc } from "../../src/host/platform.ts";
import { runCase, runtimes } from "../runtime/runtimes.ts";

const GO_ARCH: Record<string, string> = { x86_64: "amd64", aarch64: "arm64", armv7l: "arm" };

describe.runIf(process.platform === "linux")("hostPlatform", () => {
  test.each(runtimes)("on $name matches uname and ldd", async (runtime) => {
    const uname = execFileSync("uname", ["-m"], { encoding: "utf8" }).trim();
    const { stdout, stderr } = await runCase(runtime, "test/runtime/platform_case.ts");
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toMatchObject({
      os: "linux",
      arch: GO_ARCH[uname],
      libc: lddVersion().includes("musl") ? "musl" : "glibc",
    });
  });
});

function lddVersion(): string {
  try {
    return execFileSync("/bin/sh", ["-c", "ldd --version 2>&1"], { encoding: "utf8" });
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout); // musl's ldd exits 1.
  }
}

describe("interpreterLibc", () => {
  const program = (interpreter: string): Uint8Array =>
    new TextEncoder().encode(`\x7fELF\0\0header\0${interpreter}\0rest`);

  test.each([
    ["/lib/ld-musl-x86_64.so.1", "musl"],
    ["/lib/ld-musl-armhf.so.1", "musl"],
    ["/lib64/ld-linux-x86-64.so.2", "glibc"],
    ["/lib/ld-linux-aarch64.so.1", "glibc"],
    ["/lib/ld-linux.so.2", "glibc"],
    ["/lib64/ld64.so.2", "glibc"],
    ["/nix/store/abc-glibc-2.40/lib/ld-linux-x86-64.so.2", "glibc"],
    ["/system/bin/linker64", undefined],
    ["", undefined],
  ])("of a program that asks for %s is %s", (interpreter, libc) => {
    expect(interpreterLibc(program(interpreter))).toBe(libc);
  });

  test("of a script is unknown", () => {
    const script = new TextEncoder().encode("#!/bin/sh\n/lib/ld-musl-x86_64.so.1\0");
    expect(interpreterLibc(script)).toBeUndefined();
  });
});

test.each([
  ["armv6l", "v6"],
  ["armv7l", "v7"],
  ["armv5tel", "v5"],
  ["aarch64", "v7"],
  ["armv8l", "v7"],
  ["x86_64", undefined],
])("armVariant of %s is %s", (machine, variant) => {
  expect(armVariant(machine)).toBe(variant);
});
