import { describe, expect, test } from "vitest";
import type { Platform } from "../../src/core/types.ts";
import { selectArtifact } from "../../src/platform/artifact_choice.ts";
import { chooseArtifact } from "../../src/platform/artifact_reasons.ts";

/** `linux/arm/v7/musl` as a platform. */
function platform(text: string): Platform {
  const [os = "", arch = "", ...rest] = text.split("/");
  const variant = rest.find((part) => part.startsWith("v"));
  const libc = rest.find((part) => part === "glibc" || part === "musl");
  return {
    os,
    arch,
    ...(variant === undefined ? {} : { variant }),
    ...(libc === "glibc" || libc === "musl" ? { libc } : {}),
  };
}

const takes = (host: string, name: string): boolean =>
  selectArtifact([name], platform(host)) === name;
const chosen = (host: string, ...names: string[]): string | undefined =>
  selectArtifact(names, platform(host));
const reasonOf = (host: string, name: string): string | undefined =>
  chooseArtifact([name], platform(host)).explained[0]?.reason;
const notesOn = (host: string, name: string): readonly string[] =>
  chooseArtifact([name], platform(host)).notes;

describe("the operating system in a name", () => {
  test.each([
    ...["openbsd", "netbsd", "dragonfly", "solaris", "illumos", "aix", "plan9", "android", "ios"],
    ...["ohos", "wasi", "emscripten", "cygwin", "haiku", "redox", "fuchsia"],
    ...["tvos", "watchos", "visionos"],
  ])("can be %s", (os) => {
    expect(takes(`${os}/amd64`, `app-${os}-amd64.tar.gz`)).toBe(true);
    expect(takes("linux/amd64", `app-${os}-amd64.tar.gz`)).toBe(false);
  });

  test.each([
    ["sunos", "solaris"],
    ["wasip1", "wasi"],
    ["wasip2", "wasi"],
  ])("%s means %s", (word, os) => {
    expect(takes(`${os}/amd64`, `app-${word}-amd64.tar.gz`)).toBe(true);
  });

  test.each([
    ["windows/amd64", "AppWinX64.zip"],
    ["windows/amd64", "MyAppWin-x64.zip"],
    ["darwin/arm64", "AppMacArm64.zip"],
    ["darwin/arm64", "AppOSX-arm64.zip"],
  ])("for %s is read in the CamelCase name %s", (host, name) => {
    expect(takes(host, name)).toBe(true);
    expect(takes("linux/amd64", name)).toBe(false);
  });

  test("is not read inside a word if another word states it", () => {
    expect(takes("windows/amd64", "windows-mylinuxapp-amd64.zip")).toBe(true);
    expect(takes("linux/amd64", "windows-mylinuxapp-amd64.zip")).toBe(false);
  });

  test("is Linux for a distribution at the beginning of a name", () => {
    expect(takes("linux/amd64", "ubuntu2204-app-x64.zip")).toBe(true);
    expect(takes("linux/amd64", "ubuntuish-app-x64.zip")).toBe(false);
    expect(takes("linux/amd64", "myubuntu-app-x64.zip")).toBe(false);
    expect(notesOn("linux/amd64/glibc", "app-ubuntu-x64.zip")).toEqual([]);
  });
});

describe("the architecture in a name", () => {
  const SPELLINGS: Readonly<Record<string, readonly string[]>> = {
    "linux/amd64": [
      ...["x86_64", "x86-64", "x86.64", "i86_64", "i86-64", "intel_64", "intel-64", "amd_64"],
      ...["amd-64", "64bit", "64-bit", "64_bit", "64bits", "64-bits", "em64t", "x8664"],
    ],
    "linux/386": ["x86_32", "x86-32", "32bit", "32-bit", "32_bit", "32bits", "x32"],
    "linux/arm64": [
      ...["arm64-v8", "arm64_v8", "arm64-v8a", "arm64_v8a", "aarch-64", "arm-64", "arm64e"],
    ],
    "linux/mips": ["mips"],
    "linux/mipsle": ["mipsle", "mipsel"],
    "linux/mips64": ["mips64"],
    "linux/mips64le": ["mips64le", "mips64el"],
    "linux/ppc64": ["ppc64", "powerpc64"],
    "linux/sparc64": ["sparc64"],
    "linux/wasm": ["wasm", "wasm32", "wasm64"],
  };

  test.each(Object.entries(SPELLINGS))("%s has these spellings: %j", (host, words) => {
    const others = Object.keys(SPELLINGS).filter((other) => other !== host);
    for (const word of words) {
      for (const name of [
        `app-linux-${word}.tar.gz`,
        `app_linux_${word}_full.tar.gz`,
        `${word}-linux-app.tar.gz`,
      ]) {
        expect([name, takes(host, name)]).toEqual([name, true]);
        expect([name, others.filter((other) => takes(other, name))]).toEqual([name, []]);
      }
    }
  });

  test.each(["linux", "darwin", "macos", "macosx", "osx", "mac", "windows", "win"])(
    "is amd64 or 386 by a number beside %s",
    (word) => {
      const system = /^(?:mac|osx)/.test(word) ? "darwin" : word.replace(/^win$/, "windows");
      for (const suffix of ["", "-full"]) {
        for (const [name, arch] of [
          [`app-${word}-86_64${suffix}.zip`, "amd64"],
          [`app-${word}86_64${suffix}.zip`, "amd64"],
          [`app-${word}_64${suffix}.zip`, "amd64"],
          [`app-${word}64${suffix}.zip`, "amd64"],
          [`app-${word}-32${suffix}.zip`, "386"],
        ]) {
          const taken = ["amd64", "386", "arm"].filter((one) =>
            takes(`${system}/${one}`, `${name}`),
          );
          expect([name, taken]).toEqual([name, [arch]]);
        }
      }
    },
  );

  test.each([
    ...["armv7", "arm-v7", "arm_v7", "arm32v7", "arm32-v7", "arm7", "arm-7", "arm_7", "armv7l"],
    ...["armv7a", "armv7hf", "armv7-eabihf", "linuxarm7", "linuxarmv7"],
  ])("%s is for ARM cores from v7 on", (word) => {
    for (const name of [`app-linux-${word}.tar.gz`, `app-linux-${word}-full.tar.gz`]) {
      expect([name, takes("linux/arm/v7", name)]).toEqual([name, true]);
      expect([name, takes("linux/arm/v6", name)]).toEqual([name, false]);
      expect([name, reasonOf("linux/arm/v6", name)]).toEqual([name, "for arm/v7"]);
    }
  });

  test("thumbv7neon is an ARM core of v7", () => {
    const name = "app-thumbv7neon-unknown-linux-gnueabihf.tar.gz";
    expect(takes("linux/arm/v7", name)).toBe(true);
    expect(takes("linux/arm/v6", name)).toBe(false);
  });

  test("is not continued by a number that belongs to the version", () => {
    expect(takes("linux/arm/v6", "app-linux-arm-7.1.tar.gz")).toBe(true);
    expect(chosen("linux/amd64", "a-linux-amd64-v3.1.tar.gz", "b-linux-amd64.tar.gz")).toBe(
      "a-linux-amd64-v3.1.tar.gz",
    );
  });

  test.each(["amd64-v3", "amd64_v3", "amd64v3", "x86_64_v3", "x86-64-v3"])(
    "%s is the third level of amd64",
    (word) => {
      for (const name of [`app-linux-${word}.tar.gz`, `app-linux-${word}-full.tar.gz`]) {
        expect([name, notesOn("linux/amd64", name)]).toEqual([name, ["it needs x86-64-v3"]]);
        expect([name, notesOn("linux/amd64/v3", name)]).toEqual([name, []]);
      }
    },
  );

  test.each(["supermips", "armbeta", "recipe386", "comppc"])(
    "is not read in the word %s, which only contains one",
    (word) => {
      expect(notesOn("linux/amd64", `app-linux-${word}.tar.gz`)).toEqual([
        "its name has no architecture, so it is assumed to be for amd64",
      ]);
    },
  );

  test("is the last one, except that a file for macOS may have two", () => {
    const name = (os: string): string => `app-${os}-arm64-amd64.tar.gz`;
    expect(["amd64", "arm64"].filter((arch) => takes(`linux/${arch}`, name("linux")))).toEqual([
      "amd64",
    ]);
    expect(["amd64", "arm64"].filter((arch) => takes(`darwin/${arch}`, name("darwin")))).toEqual([
      "amd64",
      "arm64",
    ]);
    expect(reasonOf("darwin/386", name("darwin"))).toBe("for amd64 and arm64");
  });

  test("of a Mac is preferred to universal also in a name that has both", () => {
    const names = ["tool_darwin_arm64_universal.zip", "app_darwin_arm64.zip"];
    expect(chosen("darwin/arm64", ...names)).toBe(names[0]);
  });
});

describe("a file for every Mac", () => {
  test.each([
    ...["app-darwin-universal.zip", "app-darwin-universal2.zip", "universal-app-darwin.zip"],
    ...["app_darwin_all.zip", "app_all_darwin.zip", "app_darwin_fat.zip", "app-fat-macos.zip"],
    ...["app-macosuniversal.zip", "app-darwinuniversal2.zip"],
  ])("is %s", (name) => {
    for (const arch of ["amd64", "arm64"]) {
      expect(reasonOf(`darwin/${arch}`, name)).toBe(`for darwin/${arch}`);
    }
  });

  test.each(["all-app-macos.zip", "app-macos-for-all.zip"])(
    "is not %s, in which the word means something else",
    (name) => {
      expect(reasonOf("darwin/arm64", name)).toContain("its name has no architecture");
    },
  );

  test("exists only for macOS", () => {
    expect(takes("linux/amd64", "app-linuxuniversal.tar.gz")).toBe(true);
  });

  test.each(["m1", "m2", "m3", "m4", "silicon", "apple-silicon"])(
    "is not one for %s: that is for arm64",
    (word) => {
      expect(reasonOf("darwin/arm64", `app-macos-${word}.zip`)).toBe("for darwin/arm64");
      expect(takes("darwin/amd64", `app-macos-${word}.zip`)).toBe(false);
    },
  );

  test("without an architecture is not for a Mac of 32 bits", () => {
    expect(takes("darwin/386", "app-macos.zip")).toBe(false);
  });
});

describe("the C library in a name", () => {
  test.each(["musl", "musleabi", "musleabihf", "muslabi64", "alpine"])("is musl for %s", (word) => {
    const name = `app-linux-x64-${word}.tar.gz`;
    expect(chosen("linux/amd64/musl", "tool-linux-x64-static.tar.gz", name)).toBe(name);
  });

  test.each(["glibc", "glibc2", "glibc217", "gnu", "gnueabi", "gnueabihf", "gnuabi64"])(
    "is glibc for %s",
    (word) => {
      const name = `app-linux-x64-${word}.tar.gz`;
      expect(chosen("linux/amd64/glibc", "tool-linux-x64-static.tar.gz", name)).toBe(name);
      expect(notesOn("linux/amd64/musl", name)).toEqual([
        "it is built for glibc and may not run with musl",
      ]);
    },
  );

  test.each(["muslin", "notmusl", "alpinist"])("is not musl for %s", (word) => {
    const names = [`app-linux-x64-${word}.tar.gz`, "tool-linux-x64-static.tar.gz"];
    expect(chosen("linux/amd64/musl", ...names)).toBe(names[1]);
  });

  test.each(["gnuplot", "mygnu", "glibcs"])("is not glibc for %s", (word) => {
    expect(notesOn("linux/amd64/musl", `app-linux-x64-${word}.tar.gz`)).toEqual([]);
  });

  test("is read where it is glued to the operating system", () => {
    const plain = "tool-linux-x64.tar.gz";
    for (const [libc, name] of [
      ["musl", "app-linuxmusl-x64.tar.gz"],
      ["glibc", "app-linuxgnu-x64.tar.gz"],
    ] as const) {
      expect(chosen(`linux/amd64/${libc}`, plain, name)).toBe(name);
    }
  });

  test("is better not in the name if that of the machine is unknown", () => {
    for (const word of ["gnu", "musl", "static"]) {
      const names = [`app-linux-${word}-x64.zip`, "tool-linux-x64.zip"];
      expect(chosen("linux/amd64", ...names)).toBe(names[1]);
    }
  });

  test("musl runs on a glibc machine without doubt", () => {
    expect(notesOn("linux/amd64/glibc", "app-linux-musl-x64.zip")).toEqual([]);
  });

  test("does not count on other systems, except that musl comes last", () => {
    const names = ["app-freebsd-musl-x64.zip", "tool-freebsd-x64.zip"];
    expect(chosen("freebsd/amd64", ...names)).toBe(names[1]);
    expect(chosen("freebsd/amd64", ...names.toReversed())).toBe(names[1]);
  });
});

describe("a doubt about the processor", () => {
  test("is noted for armhf on an older core", () => {
    expect(notesOn("linux/arm/v6", "app_linux_armhf.tar.gz")).toEqual([
      "armhf may need v7, this is v6",
    ]);
    expect(reasonOf("linux/arm/v6", "app_linux_armhf.tar.gz")).toBe(
      "for linux/arm/v6; armhf may need v7, this is v6",
    );
  });
});

describe("a by-product", () => {
  const TEXTS = [
    ...["checksum", "checksums", "sha1", "sha256", "sha512", "sha256sum", "sha256sums"],
    ...["sha512sum", "sha512sums", "md5", "signature", "signatures", "sig", "asc"],
    ...["readme", "changelog", "license", "licenses", "licence", "notice", "notices"],
  ];
  const OTHERS = [
    ...["debug", "dbg", "dbgsym", "dbgsyms", "debuginfo", "debugsymbols", "symbols", "symbol"],
    ...["pdb", "dsym", "dsyms", "sbom", "spdx", "cyclonedx", "provenance", "attestation"],
    ...["attestations", "src", "source", "sources"],
    ...["deb", "rpm", "apk", "msi", "dmg", "pkg", "appimage"],
  ];

  test.each([...TEXTS, ...OTHERS])("has %s after the platform", (word) => {
    const name = `app-linux-amd64-${word}.tar.gz`;
    expect(reasonOf("linux/amd64", name)).toBe(`"${word}" says that it is a by-product`);
  });

  test.each(TEXTS)("is a text file that is named after %s alone", (word) => {
    expect(takes("linux/amd64", `${word}_1.2.10_linux_amd64`)).toBe(false);
    expect(takes("linux/amd64", `${word}-v2-x86_64-unknown-linux-gnu`)).toBe(false);
  });

  test.each([
    ...["license-checker-linux-amd64", "notice-app2-linux-amd64", "readme-2app-linux-amd64"],
    ...["debug-tool-linux-amd64", "symbols-linux-amd64"],
  ])("is not the program %s", (name) => {
    expect(takes("linux/amd64", name)).toBe(true);
  });

  test("is not an archive with such a word before the platform, if there is no other", () => {
    const names = ["app-linux-debug-amd64.tar.gz", "tool-linux-amd64.tar.gz"];
    expect(chosen("linux/amd64", ...names.slice(0, 1))).toBe(names[0]);
    expect(chosen("linux/amd64", ...names)).toBe(names[1]);
    expect(takes("linux/amd64", "checksums-linux-amd64.tar.gz")).toBe(true);
  });

  test("is not a build with a profile, which is only a last resort", () => {
    const names = ["app-linux-amd64-profile.tar.gz", "tool-linux-amd64.tar.gz"];
    expect(chosen("linux/amd64", ...names.slice(0, 1))).toBe(names[0]);
    expect(chosen("linux/amd64", ...names)).toBe(names[1]);
  });
});
