import { ConfigError, latest, openArtifact, parseRegistryUrl, systemClock } from "dewy";
import { selectArtifact } from "dewy/platform";
import { compareVersions, latestTag, parseVersion } from "dewy/version";
import { equal } from "../../runtime/check.ts";
import type { Cases } from "../case.ts";
import { LINUX, rejects, textOf } from "../check.ts";

/** Versions, artifacts, URLs and the clock. */
export const library: Cases = {
  "versions are parsed and compared"() {
    equal(parseVersion("v1.2.3-rc.1+blue")?.segments, [1, 2, 3], "parseVersion");
    equal(parseVersion(" v1.2.3 "), undefined, "parseVersion with spaces");
    equal(compareVersions("1.10.0", "v1.9.0"), 1, "compareVersions");
    equal(latestTag(["v1.0.0", "v1.10.0", "v1.9.0", "v2.0.0-rc.1"]), "v1.10.0", "latestTag");
    equal(latestTag(["v1.0.0+blue", "v2.0.0+green"], { slot: "blue" }), "v1.0.0+blue", "slot");
    const calver = "YYYY.0M.MICRO";
    equal(latestTag(["2024.06.1", "2024.10.0"], { calver }), "2024.10.0", "calver");
  },

  "an artifact is chosen for a platform"() {
    const names = ["app_darwin_arm64.zip", "app_linux_x86_64.tar.gz", "app_linux_arm64.tar.gz"];
    equal(selectArtifact(names, LINUX), "app_linux_x86_64.tar.gz", "selectArtifact");
  },

  "registry URLs are parsed"() {
    equal(parseRegistryUrl("ghr://linyows/myapp").type, "ghr", "ghr");
    equal(parseRegistryUrl("file:///srv/releases").type, "file", "file");
    let thrown: unknown;
    try {
      parseRegistryUrl("ftp://example.test/app");
    } catch (error) {
      thrown = error;
    }
    equal(thrown instanceof ConfigError, true, "ConfigError");
  },

  async "a directory is refused without a host"() {
    await rejects(latest("file:///srv/releases"), "config", /pass the registries of dewy\/host$/);
  },

  async "a given fetch replaces that of the runtime"() {
    const stream = await openArtifact("https://example.test/app", {
      fetch: async () => new Response("bytes"),
    });
    equal(await textOf(stream), "bytes", "openArtifact");
  },

  async "the clock sleeps, and wakes at an abort"() {
    const start = systemClock.monotonic();
    await systemClock.sleep(5);
    equal(systemClock.monotonic() > start, true, "time passes");
    const controller = new AbortController();
    const sleep = systemClock.sleep(60_000, controller.signal).then(
      () => "slept",
      (reason) => reason,
    );
    controller.abort("enough");
    equal(await sleep, "enough", "reason");
  },
};
