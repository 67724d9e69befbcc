import { afterEach, describe, expect, test, vi } from "vitest";
import { formatPlatform, normalizePlatform, runtimePlatform } from "../../src/platform/platform.ts";

describe("normalizePlatform", () => {
  test.each([
    ["win32", "x64", { os: "windows", arch: "amd64" }],
    ["Linux", "x86_64", { os: "linux", arch: "amd64" }],
    ["linux", "ia32", { os: "linux", arch: "386" }],
    ["macos", "aarch64", { os: "darwin", arch: "arm64" }],
    ["darwin", "arm64", { os: "darwin", arch: "arm64" }],
    ["linux", "armv7l", { os: "linux", arch: "arm", variant: "v7" }],
    ["linux", "armv6l", { os: "linux", arch: "arm", variant: "v6" }],
    ["linux", "armhf", { os: "linux", arch: "arm", variant: "v7" }],
    ["linux", "mipsel", { os: "linux", arch: "mipsle" }],
    ["sunos", "x64", { os: "solaris", arch: "amd64" }],
    ["plan9", "riscv128", { os: "plan9", arch: "riscv128" }],
    ["constructor", "toString", { os: "constructor", arch: "tostring" }],
  ])("spells %s %s as Go does", (os, arch, expected) => {
    expect(normalizePlatform({ os, arch })).toEqual(expected);
    expect(normalizePlatform(expected)).toEqual(expected);
  });

  test("keeps variant and C library", () => {
    expect(normalizePlatform({ os: "linux", arch: "arm", variant: "6", libc: "musl" })).toEqual({
      os: "linux",
      arch: "arm",
      variant: "v6",
      libc: "musl",
    });
    expect(normalizePlatform({ os: "linux", arch: "armv7l", variant: "v6" })).toEqual({
      os: "linux",
      arch: "arm",
      variant: "v6",
    });
  });
});

describe("runtimePlatform", () => {
  afterEach(() => vi.unstubAllGlobals());

  test("asks Node, through globalThis and only when it is called", () => {
    vi.stubGlobal("process", { platform: "win32", arch: "arm64" });
    expect(runtimePlatform()).toEqual({ os: "windows", arch: "arm64" });
    vi.stubGlobal("process", {
      platform: "linux",
      arch: "arm",
      config: { variables: { arm_version: "6" } },
    });
    expect(runtimePlatform()).toEqual({ os: "linux", arch: "arm", variant: "v6" });
  });

  test("asks Deno before the process it imitates", () => {
    vi.stubGlobal("Deno", { build: { os: "darwin", arch: "aarch64" } });
    expect(runtimePlatform()).toEqual({ os: "darwin", arch: "arm64" });
  });

  test.each([
    ["Linux aarch64", { os: "linux", arch: "arm64" }],
    ["MacIntel", { os: "darwin", arch: "amd64" }],
    ["Win32", { os: "windows", arch: "amd64" }],
    ["", { os: "linux", arch: "amd64" }],
  ])("reads navigator.platform %j where there is nothing else", (text, expected) => {
    vi.stubGlobal("process", undefined);
    vi.stubGlobal("navigator", { platform: text });
    expect(runtimePlatform()).toEqual(expected);
  });

  test("is linux/amd64 where nothing is known", () => {
    vi.stubGlobal("process", undefined);
    vi.stubGlobal("navigator", undefined);
    expect(runtimePlatform()).toEqual({ os: "linux", arch: "amd64" });
  });
});

test("formatPlatform says all that is known", () => {
  expect(formatPlatform({ os: "linux", arch: "arm", variant: "v7", libc: "musl" })).toBe(
    "linux/arm/v7 (musl)",
  );
  expect(formatPlatform({ os: "linux", arch: "amd64" })).toBe("linux/amd64");
});
