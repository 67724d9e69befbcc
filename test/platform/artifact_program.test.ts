import { describe, expect, test } from "vitest";
import { selectArtifact } from "../../src/platform/artifact_choice.ts";
import { placedName } from "../../src/platform/artifact_program.ts";

describe("the name under which a bare file is placed", () => {
  test.each([
    ...["app-10.20-linux-amd64", "app-v12-linux-amd64", "app-20260801-linux-amd64"],
    ...["app-1.2.3rc1-linux-amd64", "app-1.2.3-rc.10-linux-amd64", "app-1.2.3_beta-linux-amd64"],
    ...["app-1.2.3-alpha-linux-amd64", "app-1.2.3-rc10-linux-amd64", "app-1.0.0-M12-linux-amd64"],
    ...["app-1.2.3-SNAPSHOT-linux-amd64"],
  ])("has no version, even if that is not the release's: %s", (name) => {
    expect(placedName(name, "v9.9.9")).toBe("app");
  });

  test.each([
    ["app-1.2.3-RC.1-linux-amd64", "v1.2.3-rc.1"],
    ["app-11.2.3-linux-amd64", "v1.2.3"],
    ["app-1.2.34-linux-amd64", "v1.2.3"],
    ["app-1.2.3-dev-linux-amd64", "1.2.3-dev"],
    ["app_1.2.3-blue.7_linux_amd64", "v1.2.3-blue.7+ci.12"],
  ])("of %s has no part of the version %s left", (name, tag) => {
    expect(placedName(name, tag)).toBe("app");
  });

  test.each([
    ["log4-4-linux-amd64", "v4", "log4"],
    ["4log-4-linux-amd64", "v4", "4log"],
    ["app(cli)-linux-amd64", "v1.0.0", "app-cli"],
    ["__linux_amd64__1.2.3", "v1.2.3", "linux_amd64"],
    ["tool-linux-7zip-amd64", "v1.2.3", "tool-7zip"],
    ["tool-linux-app7", "v1.2.3", "tool-app7"],
  ])("of %s in %s is %s", (name, tag, expected) => {
    expect(placedName(name, tag)).toBe(expected);
  });

  test.each([
    ...["unknown", "pc", "apple", "msvc", "gnullvm", "mingw", "mingw32", "mingw64", "eabi"],
    ...["eabihf", "gnu", "musl", "static", "universal", "universal2", "all", "fat", "intel", "amd"],
    ...["silicon", "2", "11", "2204"],
  ])("leaves out %s beside the platform", (word) => {
    expect(placedName(`tool-linux-amd64-${word}`, "v1.2.3")).toBe("tool");
    expect(placedName(`tool-linux-${word}-amd64`, "v1.2.3")).toBe("tool");
  });

  test.each(["unknown", "pc", "apple", "eabi", "static"])(
    "leaves out %s before the operating system",
    (word) => {
      expect(placedName(`tool-${word}-linux-amd64`, "v1.2.3")).toBe("tool");
      expect(placedName(`tool-${word}-windows-x64.exe`, "v1.2.3")).toBe("tool.exe");
    },
  );
});

describe("the program of a file", () => {
  const choose = (repository: string, ...names: string[]): string | undefined =>
    selectArtifact(names, { os: "linux", arch: "amd64" }, { repository });

  test("stands after the platform if nothing stands before it", () => {
    const names = ["linux-amd64-helper.tar.gz", "linux-amd64-q.tar.gz"];
    expect(choose("q", ...names)).toBe(names[1]);
  });

  test("does not include the words after the platform if others stand before it", () => {
    const names = ["apphelper-linux-amd64.tar.gz", "app-linux-amd64-full.tar.gz"];
    expect(choose("app", ...names)).toBe(names[1]);
  });

  test("may have the beginning or the end of the repository's name, not only two letters of it", () => {
    const helper = "helper_linux_amd64.zip";
    expect(choose("vela-core", helper, "vela_linux_amd64.zip")).toBe("vela_linux_amd64.zip");
    expect(choose("kubevela", helper, "vela_linux_amd64.zip")).toBe("vela_linux_amd64.zip");
    expect(choose("golang", helper, "go_linux_amd64.zip")).toBe(helper);
  });

  test("is glued to the platform", () => {
    const names = ["helperlinuxamd64.zip", "applinuxamd64.zip"];
    expect(choose("app", ...names)).toBe(names[1]);
  });
});
