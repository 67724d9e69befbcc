import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Platform } from "../../src/core/types.ts";
import { selectArtifact } from "../../src/platform/artifact_choice.ts";
import { archiveKind, isArchive } from "../../src/platform/artifact_kind.ts";
import { chooseArtifact } from "../../src/platform/artifact_reasons.ts";
import { latestTag } from "../../src/version/latest_tag.ts";
import { REFUSED, testVectors } from "../support/vectors.ts";
import { corpus } from "./asset_corpus.ts";

/** `linux/arm/v7/musl` as a platform. */
function platform(text: string): Platform {
  const [os = "", arch = "", ...rest] = text.split("/");
  const libc = rest.find((part) => part === "glibc" || part === "musl");
  const variant = rest.find((part) => part.startsWith("v"));
  return {
    os,
    arch,
    ...(variant === undefined ? {} : { variant }),
    ...(libc === "glibc" || libc === "musl" ? { libc } : {}),
  };
}

describe("vectors", () => {
  testVectors(
    "artifact-platform",
    ({ in: input }) =>
      selectArtifact(input.names as string[], { os: String(input.os), arch: String(input.arch) }) ??
      null,
    ["match"],
  );
  testVectors(
    "artifact-platform",
    ({ in: input }) =>
      (input.archMatches as string[]).some((arch) =>
        (input.osMatches as string[]).some(
          (os) => selectArtifact([String(input.name)], { os, arch }) !== undefined,
        ),
      ),
    ["contains"],
  );
  testVectors("artifact-platform", ({ in: input }) => isArchive(String(input.filename)), [
    "isArchive",
  ]);
  testVectors("archive-supported", ({ in: input }) => isArchive(String(input.name)));
  testVectors(
    "artifact-platform",
    (vector) => {
      const { owner, repo, os, arch, artifact, preRelease, calver } = vector.in as Record<
        string,
        string
      >;
      const releases = vector.in.releases as { tag: string; draft: boolean; assets: string[] }[];
      const published = releases.filter((release) => !release.draft);
      const tag = latestTag(
        published.map((release) => release.tag),
        {
          preRelease: Boolean(preRelease),
          calver: calver ?? "",
        },
      );
      const assets = published.find((release) => release.tag === tag)?.assets ?? [];
      const name = selectArtifact(
        assets,
        { os: os ?? "", arch: arch ?? "" },
        { artifact: artifact ?? "" },
      );
      if (tag === undefined || name === undefined) return REFUSED;
      const slot = tag.split("+")[1] ?? "";
      return {
        artifactURL: `ghr://${owner}/${repo}/tag/${tag}/${name}`,
        hasCreatedAt: true,
        slot,
        tag,
      };
    },
    ["ghrCurrent"],
  );
});

describe.each(corpus)("release files of $tool", ({ names, chosen }) => {
  test.each(Object.entries(chosen))("for %s", (host, expected) => {
    expect(selectArtifact(names, platform(host)) ?? null).toBe(expected);
  });
});

describe("selectArtifact", () => {
  const linux: Platform = { os: "linux", arch: "amd64" };

  test.each([
    ["linux/arm", "app_linux_arm64.tar.gz"],
    ["linux/arm", "charm_linux_amd64.tar.gz"],
    ["linux/arm", "swarm_alarm_linux.tar.gz"],
    ["linux/arm", "app_linux_aarch64.tar.gz"],
    ["linux/arm64", "app_linux_arm.tar.gz"],
    ["linux/arm64", "app_linux_armv7.tar.gz"],
    ["windows/amd64", "app_darwin_amd64.zip"],
    ["windows/amd64", "app_cygwin64_amd64.zip"],
    ["windows/amd64", "winter_linux_amd64.zip"],
    ["darwin/amd64", "machine_linux_amd64.zip"],
    ["darwin/amd64", "machine_amd64.zip"],
    ["darwin/arm64", "macro_arm64.zip"],
    ["linux/386", "app1386_linux_amd64.tar.gz"],
    ["linux/386", "app_linux_x86_64.tar.gz"],
    ["linux/386", "app_linux_x86-64.tar.gz"],
    ["linux/386", "memtest386_linux_amd64.tar.gz"],
    ["linux/amd64", "app_linux_x86.tar.gz"],
    ["linux/arm64", "app-aarch64-linux-android.tar.gz"],
    ["linux/amd64", "linuxkit-darwin-amd64.tar.gz"],
    ["linux/ppc64", "app_linux_ppc64le.tar.gz"],
    ["linux/mips", "app_linux_mipsle.tar.gz"],
    ["windows/amd64", "windows-exporter_linux_amd64.tar.gz"],
    ["linux/arm", "arm-tools_linux_amd64.tar.gz"],
    ["constructor/amd64", "constructor_amd64.tar.gz"],
    ["linux/constructor", "app_linux_constructor.tar.gz"],
    ["linux/amd64", ""],
    ["linux/amd64", ".tar.gz"],
  ])("for %s does not take %s", (host, name) => {
    expect(selectArtifact([name], platform(host))).toBeUndefined();
  });

  test.each([
    [
      "linux/amd64",
      ["x86_64", "x86-64", "x64", "amd64", "AMD64", "X86_64", "64bit", "64-bit", "intel64"],
    ],
    [
      "linux/386",
      ["386", "i386", "i486", "i586", "i686", "x86", "ia32", "32bit", "32-bit", "x86_32"],
    ],
    [
      "linux/arm64",
      ["arm64", "aarch64", "ARM64", "arm64v8", "arm64-v8a", "armv8", "aarch_64", "arm_64"],
    ],
    [
      "linux/arm",
      [
        "arm",
        "armv7",
        "armv7l",
        "armv6",
        "armv6l",
        "armv5",
        "armhf",
        "armel",
        "arm32v7",
        "arm-7",
        "arm_v6",
        "armv7hf",
      ],
    ],
    ["linux/ppc64le", ["ppc64le", "ppc64el", "powerpc64le", "ppcle_64"]],
    ["linux/s390x", ["s390x", "s390_64"]],
    ["linux/riscv64", ["riscv64", "riscv64gc"]],
    ["linux/loong64", ["loong64", "loongarch64"]],
  ])("knows the names of %s", (host, words) => {
    const wrong = words.filter((word) =>
      [
        `app_Linux_${word}.tar.gz`,
        `app-${word}-unknown-linux-gnu.tar.gz`,
        `app-1.2.3-linux-${word}.zip`,
      ].some((name) => selectArtifact([name], platform(host)) !== name),
    );
    expect(wrong).toEqual([]);
  });

  test.each([
    [
      "darwin",
      [
        "darwin",
        "Darwin",
        "macos",
        "macOS",
        "MacOSX",
        "osx",
        "mac",
        "apple-darwin",
        "macos11",
        "osx10.15",
      ],
    ],
    ["windows", ["windows", "Windows", "win", "pc-windows-msvc", "win32", "win64"]],
    ["win32", ["windows", "win", "win64"]],
    ["linux", ["linux", "Linux", "linux64", "unknown-linux-musl"]],
    ["freebsd", ["freebsd", "FreeBSD"]],
  ])("knows the names of %s", (os, words) => {
    const wrong = words.filter((word) => {
      const name = `app_${word}_x86_64.zip`;
      return selectArtifact([name], { os, arch: "x64" }) !== name;
    });
    expect(wrong).toEqual([]);
  });

  test.each([
    ["linux/amd64", "app-linux64.tar.gz"],
    ["linux/386", "app-linux32.tar.gz"],
    ["windows/amd64", "app-win64.zip"],
    ["windows/386", "app-win32.zip"],
    ["windows/amd64", "app-win32-x64.zip"],
    ["windows/arm64", "app-win32-arm64.zip"],
    ["darwin/amd64", "app-mac64.zip"],
    ["darwin/amd64", "app-osx64.zip"],
    ["linux/amd64", "app_linuxamd64.tgz"],
    ["linux/amd64", "app-linuxx86_64.tgz"],
    ["darwin/arm64", "app-darwinarm64.tgz"],
    ["darwin/arm64", "AppDarwinArm64.zip"],
    ["linux/amd64", "AppLinuxAmd64.tar.xz"],
    ["linux/arm/v7", "app-linuxarmv7.tgz"],
    ["linux/amd64", "myapplinuxamd64.tar.gz"],
    ["linux/amd64", "myapplinuxx86_64.tar.gz"],
    ["linux/arm64", "myapplinuxarm64.tar.gz"],
    ["linux/amd64", "myapplinux64.tar.gz"],
    ["linux/amd64", "myapplinux_amd64.zip"],
    ["linux/amd64", "myappamd64_linux.zip"],
    ["linux/amd64", "x86_64linux.zip"],
    ["linux/amd64", "linuxapp_amd64.zip"],
    ["linux/amd64", "linux_amd64app.zip"],
    ["darwin/arm64", "myappdarwin-arm64.zip"],
    ["windows/amd64", "myappwindows_amd64.zip"],
    ["linux/amd64", "app-linux-arm-64.tar.gz".replace("arm-64", "64bit")],
  ])("for %s reads the glued name %s", (host, name) => {
    expect(selectArtifact([name], platform(host))).toBe(name);
  });

  test("takes a name that contains the OS and the architecture, wherever and with or without separators", () => {
    const missed: string[] = [];
    for (const os of ["linux", "darwin", "windows", "freebsd"]) {
      for (const word of ["amd64", "x86_64", "aarch64"]) {
        const arch = word === "aarch64" ? "arm64" : "amd64";
        for (const separator of ["", "-", "_", "."]) {
          for (const parts of [
            ["my", os, word],
            ["my", word, os],
            [os, "my", word],
            [word, "my", os],
          ]) {
            const name = `${parts.join(separator)}.tar.gz`;
            const other = { os, arch: arch === "arm64" ? "amd64" : "arm64" };
            const isRight =
              selectArtifact([name], { os, arch }) === name &&
              selectArtifact([name], other) === undefined;
            if (!isRight) missed.push(name);
          }
        }
      }
    }
    expect(missed).toEqual([]);
  });

  test.each([
    ["linux/amd64", "kalilinux_windows_amd64.zip"],
    ["linux/amd64", "archlinux_linux_arm64.zip"],
    ["linux/arm64", "charm64_linux.zip"],
    ["linux/arm", "charm_linux.zip"],
    ["windows/amd64", "mydarwin_amd64.zip"],
    ["windows/amd64", "twin_amd64.zip"],
    ["linux/amd64", "linuxkit_darwin_amd64.zip"],
    ["linux/arm64", "linux_amd64app.zip"],
  ])("for %s is not fooled by %s", (host, name) => {
    expect(selectArtifact([name], platform(host))).toBeUndefined();
  });

  test("reads Node's spelling of a platform as Go's", () => {
    const names = ["a_windows_386.zip", "a_windows_amd64.zip", "a_linux_amd64.tar.gz"];
    expect(selectArtifact(names, { os: "win32", arch: "x64" })).toBe("a_windows_amd64.zip");
    expect(selectArtifact(names, { os: "win32", arch: "ia32" })).toBe("a_windows_386.zip");
  });

  test("takes the first match in the listing's order", () => {
    const names = ["b_linux_amd64.tar.gz", "a_linux_amd64.tar.gz", "a_linux_amd64.zip"];
    expect(selectArtifact(names, linux)).toBe("b_linux_amd64.tar.gz");
    expect(selectArtifact(names.toReversed(), linux)).toBe("a_linux_amd64.zip");
    expect(selectArtifact(new Set(names), linux)).toBe("b_linux_amd64.tar.gz");
  });

  test.each([
    ["linux/arm/v7", "armv7"],
    ["linux/arm/v6", "armv6"],
    ["linux/arm/v5", "armv5"],
    ["linux/arm", "arm"],
    ["linux/armv7l", "armv7"],
    ["linux/arm/7", "arm"],
  ])("for %s prefers %s", (host, word) => {
    const names = ["armv5", "arm", "armv6", "armhf", "armv7"].map(
      (arch) => `app_linux_${arch}.tar.gz`,
    );
    for (const list of [names, names.toReversed()]) {
      expect(selectArtifact(list, platform(host))).toBe(`app_linux_${word}.tar.gz`);
    }
  });

  test("never gives an older ARM core what was built for a newer one", () => {
    expect(selectArtifact(["app_linux_armv7.tar.gz"], platform("linux/arm/v6"))).toBeUndefined();
    expect(selectArtifact(["app_linux_armv6.tar.gz"], platform("linux/arm/v5"))).toBeUndefined();
    expect(
      selectArtifact(["app_linux_armhf.tar.gz", "app_linux_arm.tar.gz"], platform("linux/arm/v6")),
    ).toBe("app_linux_arm.tar.gz");
  });

  test("prefers the file of a Mac's own architecture to the universal one", () => {
    const names = ["app_darwin_all.tar.gz", "app_darwin_arm64.tar.gz"];
    expect(selectArtifact(names, { os: "darwin", arch: "arm64" })).toBe("app_darwin_arm64.tar.gz");
    expect(selectArtifact(names, { os: "darwin", arch: "amd64" })).toBe("app_darwin_all.tar.gz");
    expect(selectArtifact(["app-darwin-x64-arm64.zip"], { os: "darwin", arch: "x64" })).toBe(
      "app-darwin-x64-arm64.zip",
    );
  });

  test.each([
    ["glibc", ["musl", "static", "", "gnu"], "gnu"],
    ["glibc", ["musl", ""], ""],
    ["glibc", ["musl"], "musl"],
    ["musl", ["gnu", "", "static", "musl"], "musl"],
    ["musl", ["gnu", "", "static"], "static"],
    ["musl", ["gnu", ""], ""],
    ["musl", ["gnu"], "gnu"],
    [undefined, ["musl", "gnu"], "musl"],
    [undefined, ["gnu", "musl"], "gnu"],
  ] as const)("with %s chooses among %j", (libc, words, expected) => {
    const name = (word: string): string =>
      `app-x86_64-linux${word === "" ? "" : `-${word}`}.tar.gz`;
    const chosen = selectArtifact(words.map(name), {
      ...linux,
      ...(libc === undefined ? {} : { libc }),
    });
    expect(chosen).toBe(name(expected));
  });

  test("would rather take an older ARM build than one for a C library that is not there", () => {
    const names = ["app-armv7-linux-gnueabihf.tar.gz", "app-armv6-linux-musleabihf.tar.gz"];
    expect(selectArtifact(names, platform("linux/arm/v7/musl"))).toBe(names[1]);
  });

  test("takes a higher x86-64 level only when there is nothing else, or the platform names it", () => {
    const names = ["app_linux_amd64_v3.tar.gz", "app_linux_amd64_v1.tar.gz"];
    expect(selectArtifact(names, linux)).toBe(names[1]);
    expect(selectArtifact(names, { ...linux, variant: "v3" })).toBe(names[0]);
    expect(selectArtifact(names.slice(0, 1), linux)).toBe(names[0]);
    expect(selectArtifact(["app_linux_amd64-v3.1.tar.gz", ...names], linux)).toBe(
      "app_linux_amd64-v3.1.tar.gz",
    );
  });

  test.each([
    "app_linux_amd64.tar.gz.sha256",
    "app_linux_amd64.tar.gz.sig",
    "app_linux_amd64.tar.gz.asc",
    "app_linux_amd64.tar.gz.minisig",
    "app_linux_amd64.tar.gz.pem",
    "app_linux_amd64.tar.gz.sbom",
    "app_linux_amd64.tar.gz.sbom.json",
    "app_linux_amd64.tar.gz.spdx.json",
    "app_linux_amd64.tar.gz.cyclonedx.json",
    "app_linux_amd64.tar.gz.att",
    "app_linux_amd64.tar.gz.intoto.jsonl",
    "app_linux_amd64.tar.gz.sigstore.json",
    "app_linux_amd64.deb",
    "app_linux_amd64.rpm",
    "app_linux_amd64.apk",
    "app_linux_amd64.msi",
    "app_linux_amd64.dmg",
    "app_linux_amd64.pkg",
    "app_linux_amd64.AppImage",
    "app_linux_amd64.pkg.tar.zst",
    "app_linux_amd64.pdb",
    "app_linux_amd64.exe",
    "app_linux_amd64.gz",
    "app_linux_amd64.7z",
    "app_linux_amd64.txt",
    "checksums_linux_amd64.txt",
    "app_linux_amd64_checksums.zip",
    "app_linux_amd64_sbom.tar.gz",
    "app-linux-amd64-symbols.zip",
    "app-linux-amd64-debug.tar.gz",
    "app-linux-amd64-dbgsym.tar.xz",
    "app-linux-amd64-src.tar.gz",
    "app-linux-amd64-source.zip",
    "app-linux-amd64-deb.zip",
  ])("never chooses %s", (name) => {
    expect(selectArtifact([name], linux)).toBeUndefined();
    expect(selectArtifact([name, "z_linux_amd64.zip"], linux)).toBe("z_linux_amd64.zip");
  });

  test("takes a debug build only when there is no other", () => {
    const names = ["app-debug-linux-amd64.tar.gz", "app-linux-amd64.tar.gz"];
    expect(selectArtifact(names, linux)).toBe(names[1]);
    expect(selectArtifact(["debug-tool-linux-amd64.tar.gz"], linux)).toBe(
      "debug-tool-linux-amd64.tar.gz",
    );
  });

  test("takes exactly the file that artifact names, of any kind, and no other", () => {
    const names = ["App", "app", "app_linux_amd64.tar.gz", "checksums.txt"];
    expect(selectArtifact(names, linux, { artifact: "app" })).toBe("app");
    expect(selectArtifact(names, linux, { artifact: "checksums.txt" })).toBe("checksums.txt");
    expect(selectArtifact(names, linux, { artifact: "nope" })).toBeUndefined();
    expect(selectArtifact(names, linux, { artifact: "" })).toBe("app_linux_amd64.tar.gz");
  });

  test("chooses a name that was listed, or none, whatever the names", () => {
    const word = fc.constantFrom(
      "app",
      "linux",
      "darwin",
      "win",
      "arm",
      "arm64",
      "x86_64",
      "x86",
      "musl",
      "gnu",
      "all",
      "v7",
      "7",
      "64",
      "1.2.3",
      "-",
      "_",
      ".",
    );
    const name = fc
      .tuple(fc.array(word, { maxLength: 8 }), fc.constantFrom(".tar.gz", ".zip", ".deb", ""))
      .map(([words, extension]) => words.join("-") + extension);
    fc.assert(
      fc.property(fc.array(fc.oneof(name, fc.string())), (names) => {
        const chosen = selectArtifact(names, {
          os: "linux",
          arch: "arm",
          variant: "v7",
          libc: "musl",
        });
        expect(chosen === undefined || names.includes(chosen)).toBe(true);
      }),
    );
  });
});

describe("the explanation of a choice", () => {
  test("gives every file a reason and agrees with selectArtifact", () => {
    const names = [
      "checksums.txt",
      "app_linux_amd64.tar.gz.sig",
      "app.sbom.json",
      "app_linux_amd64.deb",
      "app_linux_amd64",
      "app_darwin_amd64.tar.gz",
      "app_linux_arm64.tar.gz",
      "app_amd64.zip",
      "app_linux.zip",
      "app-linux-amd64-symbols.zip",
      "app-linux-amd64-musl.tar.gz",
      "app_linux_amd64.tar.gz",
      "other_linux_amd64.tar.gz",
    ];
    const host: Platform = { os: "linux", arch: "x64", libc: "glibc" };
    const explained = chooseArtifact(names, host).explained;
    expect(
      explained.map(({ name, chosen, reason }) => `${chosen ? "+" : "-"} ${name}: ${reason}`),
    ).toEqual([
      "- checksums.txt: a checksum file",
      "- app_linux_amd64.tar.gz.sig: a signature",
      "- app.sbom.json: an SBOM",
      "- app_linux_amd64.deb: a system package",
      "- app_linux_amd64: fits as well, but app_linux_amd64.tar.gz fits better",
      "- app_darwin_amd64.tar.gz: for darwin",
      "- app_linux_arm64.tar.gz: for arm64",
      "- app_amd64.zip: its name has no operating system",
      "- app_linux.zip: its name has no architecture",
      '- app-linux-amd64-symbols.zip: "symbols" says that it is a by-product',
      "- app-linux-amd64-musl.tar.gz: fits as well, but app_linux_amd64.tar.gz fits better",
      "+ app_linux_amd64.tar.gz: for linux/amd64 (glibc)",
      "- other_linux_amd64.tar.gz: fits as well, but app_linux_amd64.tar.gz is listed first",
    ]);
    expect(selectArtifact(names, host)).toBe("app_linux_amd64.tar.gz");
  });

  test("says what is doubtful about the choice", () => {
    const [only] = chooseArtifact(["app-x86_64-linux-gnu.tar.gz"], {
      os: "linux",
      arch: "amd64",
      libc: "musl",
    }).explained;
    expect(only).toMatchObject({ chosen: true });
    expect(only?.reason).toContain("built for glibc and may not run with musl");
  });

  test("takes no C library from the application's own name", () => {
    const [only] = chooseArtifact(["gnu-app_linux_amd64.zip"], {
      os: "linux",
      arch: "amd64",
      libc: "musl",
    }).explained;
    expect(only).toMatchObject({ chosen: true, reason: "for linux/amd64 (musl)" });
  });

  test("of a named artifact says which is named", () => {
    expect(
      chooseArtifact(
        ["a", "b", "b"],
        { os: "linux", arch: "amd64" },
        { artifact: "b" },
      ).explained.map((one) => one.chosen),
    ).toEqual([false, true, false]);
  });
});

describe("archiveKind", () => {
  test.each([
    ["a.tar", "tar"],
    ["a.tar.gz", "tar.gz"],
    ["a.tgz", "tar.gz"],
    ["A.TAR.GZ", "tar.gz"],
    ["a.tar.bz2", "tar.bz2"],
    ["a.tbz2", "tar.bz2"],
    ["a.tar.xz", "tar.xz"],
    ["a.txz", "tar.xz"],
    ["a.tar.zst", "tar.zst"],
    ["a.Zip", "zip"],
    ["tar.gz", undefined],
    ["tgz", undefined],
    ["zip", undefined],
    ["a.gz", undefined],
    ["a.tar.gz.sha256", undefined],
    ["a.rar", undefined],
    ["", undefined],
  ])("of %s is %s", (name, kind) => {
    expect(archiveKind(name)).toBe(kind);
    expect(isArchive(name)).toBe(kind !== undefined);
  });
});

test("a name longer than any store allows is not chosen, and is cut where it is explained", () => {
  const long = `${"x".repeat(1100)}_linux_amd64.tar.gz`;
  const platform = { os: "linux", arch: "amd64" };
  expect(selectArtifact([long], platform)).toBeUndefined();
  expect(chooseArtifact([long], platform).explained).toEqual([
    {
      name: `${"x".repeat(1024)}…`,
      chosen: false,
      reason: "its name is longer than 1024 characters",
    },
  ]);
});
