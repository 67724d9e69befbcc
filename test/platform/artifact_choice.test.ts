import { describe, expect, test } from "vitest";
import type { Platform } from "../../src/core/types.ts";
import type { ArtifactOptions } from "../../src/platform/artifact_choice.ts";
import { placedName } from "../../src/platform/artifact_program.ts";
import { chooseArtifact } from "../../src/platform/artifact_reasons.ts";

/** `linux/amd64/musl` as a platform. */
function platform(text: string): Platform {
  const [os = "", arch = "", libc] = text.split("/");
  return { os, arch, ...(libc === "musl" || libc === "glibc" ? { libc } : {}) };
}

function choose(host: string, names: readonly string[], options: ArtifactOptions = {}) {
  const choice = chooseArtifact(names, platform(host), options);
  const chosen = choice.explained.filter((one) => one.chosen).map((one) => one.name);
  expect(chosen).toEqual(choice.name === undefined ? [] : [choice.name]);
  return choice;
}

function chosen(host: string, names: readonly string[], options: ArtifactOptions = {}) {
  const { name } = choose(host, names, options);
  expect(choose(host, names.toReversed(), options).name).toBe(name);
  return name;
}

describe("a name without an architecture", () => {
  const names = ["app-linux.zip", "app-macos.zip", "app-win.zip", "app.exe", "app-freebsd.tgz"];

  test.each([
    ["linux/amd64", "app-linux.zip"],
    ["darwin/amd64", "app-macos.zip"],
    ["darwin/arm64", "app-macos.zip"],
    ["windows/amd64", "app-win.zip"],
    ["freebsd/amd64", "app-freebsd.tgz"],
    ["linux/arm64", undefined],
    ["windows/arm64", undefined],
    ["linux/386", undefined],
    ["linux/arm", undefined],
  ])("is taken for %s as %s", (host, expected) => {
    expect(chosen(host, names)).toBe(expected);
  });

  test("is worth a note", () => {
    expect(choose("linux/amd64", names).notes).toEqual([
      "its name has no architecture, so it is assumed to be for amd64",
    ]);
  });

  test.each([
    "app_linux_all.tar.gz",
    "app_linux_universal.tar.gz",
    "all-in-one-darwin_linux.tar.gz",
    "app_linux_v64.tar.gz",
    "app-linux-64.0.3.tar.gz",
  ])("may say other things: %s", (name) => {
    expect(chosen("linux/amd64", [name])).toBe(name);
    expect(chosen("linux/arm64", [name])).toBeUndefined();
  });

  test("counts only where no name has the architecture", () => {
    expect(chosen("linux/amd64", ["app-linux.zip", "z-linux-x64.zip"])).toBe("z-linux-x64.zip");
    expect(chosen("linux/amd64", ["app-linux.zip", "app-linux-x64"])).toBe("app-linux-x64");
  });

  test("must be the only one", () => {
    const several = ["app-linux.zip", "tool-linux.zip", "checksums.txt"];
    const { name, problem } = choose("linux/amd64", several);
    expect(name).toBeUndefined();
    expect(problem).toBe(
      "2 files fit equally well (app-linux.zip, tool-linux.zip); set artifact= to one of them",
    );
    expect(chosen("linux/amd64", several, { repository: "tool" })).toBe("tool-linux.zip");
    expect(choose("linux/amd64", ["app-linux.zip", "app-linux.tar.gz"]).name).toBe("app-linux.zip");
    expect(chosen("linux/amd64/glibc", ["app-linux.zip", "app-linux-musl.zip"])).toBe(
      "app-linux.zip",
    );
  });

  test.each([
    ...["386", "i686", "armv7", "riscv64", "riscv32", "s390x", "s390", "mips64r6", "ppc"],
    ...["powerpc", "loong64", "sparcv9", "ia64", "armeb", "aarch64_be", "wasm32", "sh4"],
  ])("does not stand for %s", (arch) => {
    const name = `app-linux-${arch}.tar.gz`;
    expect(chosen("linux/amd64", [name])).toBeUndefined();
    expect(chosen("linux/arm64", [name])).toBeUndefined();
  });

  test.each(["-debug", "-sbom", "-symbols", "-src", "-licenses"])(
    "is not a by-product: %s",
    (word) => {
      expect(chosen("linux/amd64", [`app-linux${word}.tar.gz`])).toBeUndefined();
    },
  );
});

describe("an archive that names no platform", () => {
  test.each([
    ["site-1.2.3.tar.gz"],
    ["site-1.2.3.tar.gz", "site-1.2.3.tar.gz.sha256", "site_1.2.3_checksums.txt", "README"],
    ["site-1.2.3.tar.gz", "site-1.2.3.zip", "site-1.2.3-src.tar.gz"],
    ["site-1.2.3.tar.gz", "site_1.2.3_amd64.deb", "site.jar", "site.exe"],
  ])("is taken if the release has no other: %s, %s", (...names) => {
    const { name, notes } = choose("linux/arm64", names);
    expect(name).toBe("site-1.2.3.tar.gz");
    expect(notes).toEqual(["its name has no platform, but it is the only archive of the release"]);
  });

  test.each([
    ["docs.zip", "site.zip"],
    ["docs.zip", "app-linux-amd64"],
    ["docs.zip", "app-darwin-amd64.gz"],
    ["docs.zip", "app-linux-amd64.tar.gz"],
    ["app.zip", "app.exe"],
    ["app-x86_64.tgz"],
    ["app-64bit.tgz"],
    ["app-musl.tgz"],
    ["source.tar.gz"],
    [".tar.gz"],
    ["app.gz"],
    ["app"],
  ])("is not guessed at: %s, %s", (...names) => {
    expect(chosen("darwin/arm64", names)).toBeUndefined();
  });

  test("is not for Windows if it is a tarball", () => {
    expect(chosen("windows/amd64", ["app.tar.gz"])).toBeUndefined();
    expect(chosen("windows/amd64", ["app.zip"])).toBe("app.zip");
  });
});

describe("the words of a name", () => {
  test.each([
    ["linux/amd64", "app_linux_intel_64.tar.gz"],
    ["windows/amd64", "app_windows_intel_64.zip"],
    ["linux/amd64", "app-linux-intel-64.tar.gz"],
    ["linux/amd64", "app_linux_intel.tar.gz"],
    ["linux/amd64", "app-linux_64.tar.gz"],
    ["linux/amd64", "app-linux-64.tar.gz"],
    ["windows/amd64", "app-win-64.zip"],
    ["darwin/amd64", "app-osx-64.zip"],
    ["linux/386", "app-linux-32.tar.gz"],
    ["linux/amd64", "app-lin64.tar.gz"],
    ["linux/386", "app-lin32.tar.gz"],
    ["linux/amd64", "app-linux-x86.64.tar.gz"],
    ["linux/amd64", "app-linux86_64.tar.gz"],
    ["linux/amd64", "app-linux-86_64.tar.gz"],
    ["linux/amd64", "app-linux-i86_64.tar.gz"],
    ["darwin/arm64", "app-macos-arm.zip"],
    ["darwin/arm64", "app-arm-apple-darwin.tar.gz"],
    ["darwin/amd64", "app_macos_amd_v1.2.1.zip"],
    ["darwin/arm64", "app-macos-m1.zip"],
    ["darwin/arm64", "app_mac64_m1.zip"],
  ])("for %s include those of %s", (host, name) => {
    expect(chosen(host, [name])).toBe(name);
    const [os = "", arch = ""] = host.split("/");
    for (const other of ["amd64", "arm64", "386", "arm"].filter((one) => one !== arch)) {
      expect(chosen(`${os}/${other}`, [name])).toBeUndefined();
    }
  });

  test.each(["app-linux-arm.tar.gz", "app-windows-arm.zip", "app-macos-armv7.zip"])(
    "for arm64 are not those of %s",
    (name) => {
      const [, os = ""] = /-(linux|windows|macos)-/.exec(name) ?? [];
      expect(chosen(`${os}/arm64`, [name])).toBeUndefined();
    },
  );

  test("include a distribution, below a real linux", () => {
    const names = ["app-ubuntu-22.04-x86_64.zip", "app-linux-x86_64.zip"];
    expect(chosen("linux/amd64", names)).toBe("app-linux-x86_64.zip");
    expect(chosen("linux/amd64", names.slice(0, 1))).toBe("app-ubuntu-22.04-x86_64.zip");
    expect(chosen("linux/amd64", ["app-ubuntu2204.zip", "app-macos.zip"])).toBe(
      "app-ubuntu2204.zip",
    );
    expect(chosen("linux/amd64/musl", [...names.slice(0, 1), "app-linux-x86_64.zip"])).toBe(
      "app-linux-x86_64.zip",
    );
    expect(chosen("linux/amd64/glibc", ["app-ubuntu-x64.zip", "app-linux-gnu-x64.zip"])).toBe(
      "app-linux-gnu-x64.zip",
    );
    expect(choose("linux/amd64/musl", names.slice(0, 1)).notes).toEqual([
      "it is built for glibc and may not run with musl",
    ]);
    expect(chosen("darwin/amd64", ["ubuntu-tool-darwin-amd64.zip"])).toBe(
      "ubuntu-tool-darwin-amd64.zip",
    );
  });

  test.each(["app-1.0.0-M1-macos.tar.gz", "app-client-1.0.0-M1-mac-64bit.tar.gz"])(
    "take M1 behind a number for a milestone: %s",
    (name) => {
      expect(chosen("darwin/amd64", [name])).toBe(name);
      expect(chosen("darwin/arm64", [name])).toBe(name.includes("64bit") ? undefined : name);
    },
  );
});

describe("of several programs", () => {
  test.each([
    ["kubectx", ["kubens_v0.9_linux_x86_64.tar.gz", "kubectx_v0.9_linux_x86_64.tar.gz"]],
    [
      "flux-operator",
      ["flux-operator-mcp_1.0_linux_amd64.tgz", "flux-operator_1.0_linux_amd64.tgz"],
    ],
    ["rakkess", ["access-matrix-amd64-linux.tar.gz", "rakkess-amd64-linux.tar.gz"]],
    ["kubevela", ["kubectl-vela-v1.11.0-linux-amd64.tar.gz", "vela-v1.11.0-linux-amd64.tar.gz"]],
    ["App.js", ["a-linux-x64.zip", "appjs-linux-x64.zip"]],
    ["app", ["helper-linux-x64.zip", "app-cli-linux-x64.zip"]],
  ])("the one named after the repository %s is chosen", (repository, names) => {
    const [other = "", own = ""] = names;
    expect(chosen("linux/amd64", names, { repository })).toBe(own);
    expect(choose("linux/amd64", names, { repository }).notes).toEqual([
      `2 files fit (${own}, ${other}); ${own} was chosen because it is named after the repository, set artifact= to choose another`,
    ]);
    expect(choose("linux/amd64", names, { repository }).explained).toContainEqual({
      name: other,
      chosen: false,
      reason: `fits as well, but ${own} is named after the repository`,
    });
  });

  test("the first one listed is chosen if none is named after the repository, with a note", () => {
    const names = ["b_linux_amd64.tar.gz", "a_linux_amd64.tar.gz", "a_linux_amd64.zip"];
    for (const repository of [undefined, "", "else"]) {
      const options = repository === undefined ? {} : { repository };
      expect(choose("linux/amd64", names, options)).toMatchObject({
        name: names[0],
        notes: [
          `2 files fit (${names[0]}, ${names[1]}); ${names[0]} was chosen because it is listed first, set artifact= to choose another`,
        ],
      });
    }
  });

  test("a few of many are shown", () => {
    const names = Array.from({ length: 30 }, (_, nth) => `app${nth}_linux_amd64.zip`);
    expect(choose("linux/amd64", names).notes).toEqual([
      expect.stringContaining("30 files fit (app0_linux_amd64.zip, "),
    ]);
    expect(choose("linux/amd64", names).notes[0]).toContain("app4_linux_amd64.zip and 25 more)");
  });

  test("one that is packed twice is one", () => {
    const names = ["app_linux_amd64.tar.gz", "app_linux_amd64.zip"];
    expect(choose("linux/amd64", names)).toMatchObject({ name: names[0], notes: [] });
  });

  test.each([
    ["app-x86_64-unknown-linux-gnu.full.tgz", "app-x86_64-unknown-linux-gnu.tgz"],
    ["app-1.2.3-linux-amd64-full.zip", "app-1.2.3-linux-amd64.zip"],
    ["app-linux-amd64-slim-full", "app-linux-amd64-slim"],
  ])("the plain one comes before %s", (flavour, plain) => {
    expect(chosen("linux/amd64", [flavour, plain])).toBe(plain);
    expect(choose("linux/amd64", [flavour, plain]).notes).toEqual([]);
    expect(chosen("linux/amd64", [flavour])).toBe(flavour);
  });

  test("a build for more machines is not a flavour", () => {
    const names = ["app-linux-x64-baseline.zip", "app-linux-x64.zip"];
    expect(choose("linux/amd64", names).name).toBe(names[0]);
  });
});

describe("a bare executable", () => {
  test.each([
    ["linux/amd64", "app-linux-amd64"],
    ["linux/amd64", "app.linux.amd64"],
    ["linux/amd64", "app_1.6.5_linux_amd64"],
    ["linux/amd64", "app-linux-amd64-1.2.3"],
    ["linux/amd64", "app-1.0.0-rc.1-linux-amd64-v1.0.0-rc.1"],
    ["linux/amd64", "app-1.2.3-x86_64-unknown-linux-musl"],
    ["linux/arm64", "app.aarch64-unknown-linux-musl"],
    ["linux/amd64", "app_linux"],
    ["darwin/arm64", "app-darwin"],
    ["windows/amd64", "app-windows-amd64.exe"],
    ["windows/amd64", "app-x64.EXE"],
    ["windows/amd64", "app.exe"],
    ["windows/arm64", "app-arm64.exe"],
  ])("for %s is taken by its name %s", (host, name) => {
    expect(chosen(host, ["checksums.txt", name, `${name}.sha256`, `${name}.sig`])).toBe(name);
    const [os = ""] = host.split("/");
    for (const other of ["linux", "darwin", "windows", "freebsd"].filter((one) => one !== os)) {
      expect(chosen(`${other}/amd64`, [name])).toBeUndefined();
    }
  });

  test("is taken only where no archive fits as well", () => {
    expect(chosen("linux/amd64", ["app-linux-amd64", "app-linux-amd64.zip"])).toBe(
      "app-linux-amd64.zip",
    );
    expect(chosen("linux/amd64", ["app-linux-amd64", "app-darwin-amd64.zip"])).toBe(
      "app-linux-amd64",
    );
  });

  test.each([
    ...["app-linux-amd64.sha256", "app-linux-amd64.sha256sum", "app-linux-amd64.md5sum"],
    ...["app-linux-amd64.sig", "app-linux-amd64.asc", "app-linux-amd64.pem"],
    ...["app-linux-amd64.sbom", "app-linux-amd64.spdx.json", "app-linux-amd64-sbom"],
    ...["app-linux-amd64.txt", "app-linux-amd64.md", "app-linux-amd64.json", "app-linux-amd64.gz"],
    ...["app-linux-amd64.deb", "app-linux-amd64.AppImage", "app-linux-amd64.7z"],
    ...[
      "SHA256SUMS-linux-amd64",
      "SHA256SUMS_1.2.3_linux_amd64",
      "checksums_linux_amd64",
      "LICENSE-linux-amd64",
    ],
    ...["README-linux-amd64", "CHANGELOG_linux_amd64", "app-linux-amd64-debug"],
    ...["app-linux-amd64.exe", "app-netbsd-amd64.exe", "LICENSE", "README", ".linux-amd64"],
  ])("is not seen in %s", (name) => {
    expect(chosen("linux/amd64", [name])).toBeUndefined();
  });

  test("of a system in the middle of its name is not for Windows", () => {
    expect(chosen("windows/amd64", ["app-netbsd-amd64.exe"])).toBeUndefined();
    expect(chosen("windows/amd64", ["linux-tool-amd64.exe"])).toBe("linux-tool-amd64.exe");
  });

  test("of another program does not stand in for the repository's own", () => {
    const names = ["mimir-linux-amd64", "mimirtool-linux-amd64", "mimirtool-windows-amd64.exe"];
    const options = { repository: "mimir" };
    expect(chosen("linux/amd64", names, options)).toBe("mimir-linux-amd64");
    expect(chosen("windows/amd64", names)).toBe("mimirtool-windows-amd64.exe");
    expect(choose("windows/amd64", names, options)).toMatchObject({
      name: undefined,
      problem:
        "mimirtool-windows-amd64.exe is a different program from mimir-linux-amd64; set artifact= to use it",
    });
  });
});

describe("emulation", () => {
  const names = ["app-linux-x64.zip", "app-macos-x64.zip", "app-win-x64.zip"];

  test.each([
    ["darwin/arm64", "app-macos-x64.zip"],
    ["windows/arm64", "app-win-x64.zip"],
    ["linux/arm64", undefined],
    ["darwin/386", undefined],
  ])("on %s allows %s, and only if it is asked for", (host, expected) => {
    expect(chosen(host, names)).toBeUndefined();
    expect(chosen(host, names, { emulation: true })).toBe(expected);
  });

  test("is not worth a note if nothing can be emulated", () => {
    expect(choose("darwin/arm64", ["app-linux-x64.zip"], { emulation: true }).notes).toEqual([]);
  });

  test("comes after everything that runs natively, and is worth a note", () => {
    const options = { emulation: true };
    expect(chosen("darwin/arm64", [...names, "app-macos-arm64"], options)).toBe("app-macos-arm64");
    expect(chosen("darwin/arm64", [...names, "app-macos.zip"], options)).toBe("app-macos.zip");
    expect(choose("darwin/arm64", names, options).notes).toEqual([
      "built for amd64, to run under emulation",
    ]);
  });
});

describe("artifact=", () => {
  const names = [
    "app-1.2.3-darwin-arm64.tar.gz",
    "app-1.2.3-linux-amd64.tar.gz",
    "app-1.2.3-linux-amd64.tar.gz.sha256",
    "app-1.2.3-linux-arm64.tar.gz",
    "gui-1.2.3-linux-amd64.tar.gz",
    "app-1.2.3.jar",
    "app-[1].jar",
    "a*b.zip",
  ];
  const named = (artifact: string, host = "linux/amd64", tag = "v1.2.3") =>
    choose(host, names, { artifact, tag });

  test.each([
    ["app-1.2.3.jar", "app-1.2.3.jar"],
    ["app-*.jar", undefined],
    ["app-?.?.?.jar", "app-1.2.3.jar"],
    ["app-[0-9]*.jar", "app-1.2.3.jar"],
    ["app-[!0-9]*.jar", "app-[1].jar"],
    ["app-[z-a].jar", undefined],
    ["app-{version}.jar", "app-1.2.3.jar"],
    ["app-{version}-linux-amd64.tar.gz", "app-1.2.3-linux-amd64.tar.gz"],
    ["app-{version}-darwin-arm64.tar.gz", "app-1.2.3-darwin-arm64.tar.gz"],
    ["app-*-darwin-arm64.tar.gz", "app-1.2.3-darwin-arm64.tar.gz"],
    ["app-*-linux-amd64*", "app-1.2.3-linux-amd64.tar.gz"],
    ["*.sha256", "app-1.2.3-linux-amd64.tar.gz.sha256"],
    ["app-*.tar.gz", "app-1.2.3-linux-amd64.tar.gz"],
    ["gui-*", "gui-1.2.3-linux-amd64.tar.gz"],
    ["app-[1].jar", "app-[1].jar"],
    ["a*b.zip", "a*b.zip"],
    ["APP-*.tar.gz", undefined],
    ["app.1.2.3.jar", undefined],
    ["nope-*", undefined],
  ])("%s names %s", (artifact, expected) => {
    expect(named(artifact).name).toBe(expected);
  });

  test("stands for the tag, and for the version with and without its build metadata", () => {
    const tag = "v1.2.3+blue";
    const pick = (artifact: string, ...files: string[]) =>
      choose("linux/amd64", files, { artifact, tag }).name;
    expect(pick("app-{tag}.zip", "app-v1.2.3+blue.zip", "app-1.2.3.zip")).toBe(
      "app-v1.2.3+blue.zip",
    );
    expect(pick("app-{version}.zip", "app-1.2.3.zip", "app-1.2.3+blue.zip")).toBe(
      "app-1.2.3+blue.zip",
    );
    expect(pick("app-{version}.zip", "app-1.2.3.zip")).toBe("app-1.2.3.zip");
    expect(pick("app-{name}.zip", "app-{name}.zip")).toBe("app-{name}.zip");
  });

  test("does not mean the checksum of a file beside it", () => {
    const files = ["tool-1.0.jar.sha256", "tool-1.0.jar.sig", "tool-1.0.jar"];
    expect(chosen("linux/amd64", files, { artifact: "tool-*" })).toBe("tool-1.0.jar");
  });

  test("leaves the platform to decide among several files", () => {
    expect(named("app-*", "linux/arm64").name).toBe("app-1.2.3-linux-arm64.tar.gz");
    expect(named("app-*", "windows/amd64")).toMatchObject({
      name: undefined,
      problem: expect.stringContaining("none of the files that it matches is for windows/amd64"),
    });
  });

  test("is refused if it leaves more than one file", () => {
    expect(named("*-linux-amd64.tar.gz")).toMatchObject({
      name: undefined,
      problem:
        "2 files fit equally well (app-1.2.3-linux-amd64.tar.gz, gui-1.2.3-linux-amd64.tar.gz); make it more specific",
    });
    const sites = ["site-1.0.zip", "site-docs-1.0.zip"];
    expect(choose("linux/amd64", sites, { artifact: "site-*" }).problem).toBe(
      "it matches 2 files (site-1.0.zip, site-docs-1.0.zip); make it more specific",
    );
    expect(named("app-*.jar").problem).toBe(
      "it matches 2 files (app-1.2.3.jar, app-[1].jar); make it more specific",
    );
  });

  test("does not give a file for another platform unless it says so", () => {
    const files = ["app-1.0-darwin-arm64.zip"];
    const pick = (artifact: string) => choose("linux/amd64", files, { artifact });
    expect(pick("app-*")).toMatchObject({
      name: undefined,
      problem: "it matches only app-1.0-darwin-arm64.zip, which is for darwin",
    });
    expect(pick("app-*-darwin-*").name).toBe(files[0]);
    expect(choose("darwin/amd64", files, { artifact: "app-*-darwin-*" }).problem).toBe(
      "it matches only app-1.0-darwin-arm64.zip, which is for arm64",
    );
    expect(choose("darwin/amd64", files, { artifact: "app-*-darwin-arm64.zip" }).name).toBe(
      files[0],
    );
    const emulated = { artifact: "app-*-darwin*", emulation: true };
    expect(choose("darwin/arm64", ["app-1.0-darwin-x64.zip"], emulated).name).toBeDefined();
  });
});

describe("placedName", () => {
  test.each([
    ["app_1.2.3_linux_amd64", "app"],
    ["app-linux-x64-v1.2.3", "app"],
    ["app-v1.2.3-x86_64-unknown-linux-musl", "app"],
    ["app.linux.amd64", "app"],
    ["App-1.2.3-windows-x64.exe", "App.exe"],
    ["app-win64.exe", "app.exe"],
    ["app.exe", "app.exe"],
    ["AppLinuxAmd64", "App"],
    ["myapplinuxamd64", "myapp"],
    ["my_app-cli_Darwin_all", "my_app-cli"],
    ["linux_my_cli_x86_64", "my_cli"],
    ["linux-q", "q"],
    ["aarch64-apple-darwin-cpz", "cpz"],
    ["windows_exporter-1.2.3-amd64.exe", "windows_exporter.exe"],
    ["windows-exporter_linux_amd64", "windows-exporter"],
    ["arm-tools_linux_amd64", "arm-tools"],
    ["app-linux-amd64-slim", "app-slim"],
    ["tool-macos-apple-silicon", "tool"],
    ["7zip2-linux-x64", "7zip2"],
    ["sha-3-tool_linux_amd64", "sha-3-tool"],
    ["k0s-v1.2.3-amd64", "k0s"],
    ["app1.2.3-linux-amd64", "app"],
    ["app-2.0.0-linux-amd64", "app"],
    ["bin/app-linux-amd64", "app"],
    ["linux_amd64", "linux_amd64"],
    ["linux_amd64_1.2.3", "linux_amd64"],
    ["app-1.2.3.jar", "app.jar"],
    ["config.json", "config.json"],
    ["v1.2.3", "v1.2.3"],
    ["アプリ-1.2.3-linux-amd64", "アプリ-linux-amd64"],
  ])("of %s is %s", (name, expected) => {
    expect(placedName(name, "v1.2.3")).toBe(expected);
    expect(placedName(name.replaceAll("1.2.3", "1.10.0-rc.1"), "v1.10.0-rc.1")).toBe(
      expected.replaceAll("1.2.3", "1.10.0-rc.1"),
    );
  });

  test("knows a tag's own way of writing a version", () => {
    expect(placedName("app-20260801-linux-amd64", "v20260801")).toBe("app");
    expect(placedName("app-v1.2.3+k0s.0-linux-amd64", "v1.2.3+k0s.0")).toBe("app");
    expect(placedName("app_1.2.3_linux_amd64", "v1.2.3+blue")).toBe("app");
    expect(placedName("app_1_2_3_linux_amd64", "v1.2.3")).toBe("app");
    expect(placedName("log4j-4-linux-amd64", "v4")).toBe("log4j");
    expect(placedName("geth-linux-amd64-1.2.3-87246f3c", "v1.2.3")).toBe("geth");
    expect(placedName("app-20260801-0c1d2e3f-linux-amd64", "v0.0.1")).toBe("app");
    expect(placedName("decade-linux-amd64", "v1.2.3")).toBe("decade");
  });
});

describe("a choice", () => {
  const tentative = (names: readonly string[], options: ArtifactOptions = {}) =>
    choose("linux/amd64", names, options).isTentative;

  test.each([
    ["app-linux-amd64.zip", false],
    ["app-linux-amd64", true],
    ["app-linux.zip", true],
    ["site.zip", true],
  ])("of %s may still be replaced by a better file: %s", (name, expected) => {
    expect(tentative([name])).toBe(expected);
  });

  test("by artifact= may still be replaced if that is a pattern", () => {
    const names = ["app-1.0.jar", "app-linux-amd64.zip"];
    expect(tentative(names, { artifact: "app-1.0.jar" })).toBe(false);
    expect(tentative(names, { artifact: "app-{version}.jar", tag: "v1.0" })).toBe(false);
    expect(tentative(names, { artifact: "*.jar" })).toBe(true);
  });

  test("is named only by the very name", () => {
    const named = (artifact: string) =>
      choose("linux/amd64", ["app-1.0.jar"], { artifact }).isNamed;
    expect(named("app-1.0.jar")).toBe(true);
    expect(named("app-*.jar")).toBe(false);
    expect(named("nope.jar")).toBe(false);
  });

  test.each(["app-1.0.jar", "*.jar"])("by artifact=%s has no notes", (artifact) => {
    expect(choose("linux/amd64", ["app-1.0.jar"], { artifact })).toMatchObject({
      notes: [],
      problem: undefined,
    });
  });

  test("by artifact= is explained for every file", () => {
    const explain = (artifact: string, ...names: string[]) =>
      choose("linux/amd64", names, { artifact }).explained.map(({ name, reason }) => [
        name,
        reason,
      ]);
    expect(explain("a.jar", "a.jar", "b.jar")).toEqual([
      ["a.jar", "named by artifact=a.jar"],
      ["b.jar", "not the one named by artifact=a.jar"],
    ]);
    expect(explain("app-*", "app-linux-amd64.zip", "app-darwin-amd64.zip", "tool.zip")).toEqual([
      ["app-linux-amd64.zip", "named by artifact=app-*"],
      ["app-darwin-amd64.zip", "for darwin"],
      ["tool.zip", "not the one named by artifact=app-*"],
    ]);
    expect(explain("nope", "a.jar")).toEqual([["a.jar", "not the one named by artifact=nope"]]);
  });

  test.each([
    ["artifact= has no wildcards", { artifact: "{version}.zip" }],
    ["the tag is unknown", { artifact: "app-{tag}.zip" }],
  ])("of nothing has no notes: %s", (_, options) => {
    expect(choose("linux/amd64", ["app.zip"], options)).toMatchObject({
      name: undefined,
      notes: [],
    });
  });

  test("is possible for names of up to 1,024 characters", () => {
    const suffix = "-linux-amd64.tar.gz";
    const longest = `${"a".repeat(1024 - suffix.length)}${suffix}`;
    expect(chosen("linux/amd64", [longest])).toBe(longest);
    expect(chosen("linux/amd64", [`a${longest}`])).toBeUndefined();
    expect(choose("linux/amd64", [`a${longest}`, longest]).explained).toMatchObject([
      { chosen: false, reason: "its name is longer than 1024 characters" },
      { name: longest, chosen: true },
    ]);
  });

  test("that is tied is explained by the tie", () => {
    const names = ["app-linux.zip", "tool-linux.zip"];
    const problem =
      "2 files fit equally well (app-linux.zip, tool-linux.zip); set artifact= to one of them";
    expect(choose("linux/amd64", names)).toMatchObject({ notes: [], problem });
    expect(choose("linux/amd64", names).explained.map(({ reason }) => reason)).toEqual([
      problem,
      problem,
    ]);
  });
});

describe("what is missing in the name of a file is the problem", () => {
  const problemOf = (host: string, ...names: string[]) => choose(host, names).problem;

  test("if nothing else fits", () => {
    expect(problemOf("linux/amd64", "app-x86_64.zip")).toBe(
      "app-x86_64.zip: its name has no operating system; set artifact= to use it",
    );
    expect(problemOf("linux/arm64", "app-linux.zip")).toBe(
      "app-linux.zip: its name has no architecture; set artifact= to use it",
    );
  });

  test("of an archive rather than of a bare executable", () => {
    expect(problemOf("linux/amd64", "tool-x86_64", "app-x86_64.zip")).toContain("app-x86_64.zip: ");
    expect(problemOf("linux/amd64", "tool-x86_64", "checksums.txt")).toContain("tool-x86_64: ");
  });

  test("but not if a file states all and is for another machine", () => {
    expect(problemOf("linux/amd64", "app-darwin-amd64.zip", "app.txt")).toBeUndefined();
  });
});

describe("another program in place of the repository's own", () => {
  const pick = (host: string, repository: string, ...names: string[]) =>
    choose(host, names, { repository }).name;

  test("is taken if it is a certain archive", () => {
    const names = ["mimir-linux-amd64.zip", "mimirtool-windows-amd64.zip"];
    expect(pick("windows/amd64", "mimir", ...names)).toBe(names[1]);
    expect(pick("windows/amd64", "mimir", "mimir-linux-amd64.zip", "tool-win.zip")).toBeUndefined();
  });

  test("is not taken if its own is only for another architecture", () => {
    const names = ["mimir-linux-amd64", "mimirtool-linux-arm64"];
    expect(pick("linux/arm64", "mimir", ...names)).toBeUndefined();
  });

  test("is taken if the release has no program of its own", () => {
    const names = ["other-linux-amd64", "tool-windows-amd64.exe"];
    expect(pick("windows/amd64", "mimir", ...names)).toBe(names[1]);
    expect(pick("windows/amd64", "mimir", "mimir.txt", names[1] ?? "")).toBe(names[1]);
    expect(pick("windows/amd64", "", ...names)).toBe(names[1]);
  });
});

describe("equal files", () => {
  test.each(["baseline", "compat", "portable"])("are a build and its %s build", (word) => {
    const names = [`app-linux-x64-${word}.zip`, "app-linux-x64.zip"];
    expect(choose("linux/amd64", names).name).toBe(names[0]);
  });

  test("are listed without a remainder if there are five", () => {
    const names = Array.from({ length: 5 }, (_, nth) => `app${nth}-linux-x64.zip`);
    expect(choose("linux/amd64", names).notes[0]).toContain(`(${names.join(", ")});`);
  });
});
