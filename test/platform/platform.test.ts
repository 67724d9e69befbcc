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

  test.each([
    ["windows", ["win32", "win", "Windows"]],
    ["darwin", ["macos", "macosx", "mac", "osx", "Darwin"]],
    ["solaris", ["sunos"]],
  ])("knows %s by the names %j", (os, names) => {
    const spelled = names.map((name) => normalizePlatform({ os: name, arch: "amd64" }).os);
    expect(new Set(spelled)).toEqual(new Set([os]));
  });

  test.each([
    ["amd64", ["x64", "x86_64", "x86-64", "AMD64"]],
    ["386", ["ia32", "x86", "i386", "i486", "i586", "i686"]],
    ["arm64", ["aarch64", "armv8", "armv8l"]],
    ["mipsle", ["mipsel"]],
    ["mips64le", ["mips64el"]],
    ["ppc64le", ["ppc64el", "powerpc64le"]],
    ["ppc64", ["powerpc64"]],
    ["riscv64", ["riscv64gc"]],
    ["loong64", ["loongarch64"]],
  ])("knows %s by the names %j", (arch, names) => {
    for (const name of names) {
      expect(normalizePlatform({ os: "linux", arch: name })).toEqual({ os: "linux", arch });
    }
  });

  test.each([
    ["armv5tel", "v5"],
    ["armv6", "v6"],
    ["armv7", "v7"],
    ["armv7hl", "v7"],
    ["arm32v7", "v7"],
    ["armhf", "v7"],
    ["armel", "v5"],
  ])("reads the variant in %s as %s", (arch, variant) => {
    expect(normalizePlatform({ os: "linux", arch })).toEqual({ os: "linux", arch: "arm", variant });
  });

  test.each(["armv9", "charmv7", "armv7-2"])(
    "leaves the unknown architecture %s as it is",
    (arch) => {
      expect(normalizePlatform({ os: "linux", arch })).toEqual({ os: "linux", arch });
    },
  );

  test("has no variant if that is empty", () => {
    const { variant } = normalizePlatform({ os: "linux", arch: "amd64", variant: "" });
    expect(variant).toBeUndefined();
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
    for (const config of [undefined, {}, { variables: {} }]) {
      vi.stubGlobal("process", { platform: "linux", arch: "arm", config });
      expect(runtimePlatform()).toEqual({ os: "linux", arch: "arm" });
    }
  });

  test("reads the ARM version of Node's build only on ARM", () => {
    const config = { variables: { arm_version: "6" } };
    vi.stubGlobal("process", { platform: "linux", arch: "x64", config });
    expect(runtimePlatform()).toEqual({ os: "linux", arch: "amd64" });
  });

  test.each([{}, { build: {} }, { build: { os: "linux" } }, { build: { os: "", arch: "" } }])(
    "asks Node if Deno is incomplete: %j",
    (deno) => {
      vi.stubGlobal("Deno", deno);
      vi.stubGlobal("process", { platform: "win32", arch: "arm64" });
      expect(runtimePlatform()).toEqual({ os: "windows", arch: "arm64" });
    },
  );

  test("asks Deno before the process it imitates", () => {
    vi.stubGlobal("Deno", { build: { os: "darwin", arch: "aarch64" } });
    expect(runtimePlatform()).toEqual({ os: "darwin", arch: "arm64" });
  });

  test.each([
    ["Linux aarch64", { os: "linux", arch: "arm64" }],
    ["Linux", { os: "linux", arch: "amd64" }],
    ["Linux armv7l", { os: "linux", arch: "arm", variant: "v7" }],
    ["MacARM", { os: "darwin", arch: "arm64" }],
    ["Android", { os: "linux", arch: "amd64" }],
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
