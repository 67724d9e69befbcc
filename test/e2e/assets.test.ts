import { mkdir, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hostPlatform } from "../../src/host/platform.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { ARTIFACT, makeArtifact } from "./archive.ts";
import {
  cliRuntimes,
  type Dewy,
  expectTidy,
  liveVersion,
  runDewy,
  startDewy,
  until,
} from "./dewy.ts";
import { filePublisher } from "./publishers.ts";

const LOG = ["--log-level", "debug", "--log-format", "json"];

describe.each(cliRuntimes)("dewy assets on $name", ({ command }) => {
  it("deploys the newest version, switches to the next one, and stops on SIGTERM", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const dewy = startDewy(command, ["assets", "--registry", publisher.url, "-i", "1s", ...LOG], {
      cwd,
    });
    await until(
      async () => (await liveVersion(cwd)) === "v1.0.0",
      () => `v1.0.0\n${dewy.stderr()}`,
    );
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    await until(
      async () => (await liveVersion(cwd)) === "v1.1.0",
      () => `v1.1.0\n${dewy.stderr()}`,
    );
    expect((await stat(join(cwd, "current", "bin", "app"))).mode & 0o777).toBe(0o755);
    // The symlink moves before the deploy ends: stop only after the commit was logged.
    await dewy.seen(
      "the end of the second deploy",
      (line) => line.msg === "Deployed" && line.tag === "v1.1.0",
    );
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
    await expectTidy(cwd);
  });

  it("runs the hooks around the switch, with the DEWY_* variables", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const report =
      "echo $DEWY_COMMAND $DEWY_TAG [$DEWY_PREVIOUS_TAG] $(cat current/version.txt) $(cat $DEWY_RELEASE_DIR/version.txt)";
    const args = [
      "assets",
      "--registry",
      publisher.url,
      "--once",
      "--before-deploy-hook",
      `${report} 2>/dev/null >> hooks.log`,
      "--after-deploy-hook",
      `${report} >> hooks.log`,
    ];
    await runDewy(command, args, { cwd });
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    await runDewy(command, args, { cwd });
    expect(await readFile(join(cwd, "hooks.log"), "utf8")).toBe(
      [
        "assets v1.0.0 [] v1.0.0",
        "assets v1.0.0 [] v1.0.0 v1.0.0",
        "assets v1.1.0 [v1.0.0] v1.0.0 v1.1.0",
        "assets v1.1.0 [v1.0.0] v1.1.0 v1.1.0",
        "",
      ].join("\n"),
    );
  });

  it("keeps the running version if the before hook fails, and exits with 4", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const args = ["assets", "--registry", publisher.url, "--once"];
    expect((await runDewy(command, args, { cwd })).code).toBe(0);
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    const { code, stderr } = await runDewy(command, [...args, "--before-deploy-hook", "exit 7"], {
      cwd,
    });
    expect(code).toBe(4);
    expect(stderr).toContain("exit code 7");
    expect(await liveVersion(cwd)).toBe("v1.0.0");
  });

  it("keeps the running version if the new archive is broken, and exits with 3", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const args = ["assets", "--registry", publisher.url, "--once"];
    await runDewy(command, args, { cwd });
    const whole = await makeArtifact("v1.1.0", 100_000);
    await publisher.publish("v1.1.0", whole.slice(0, whole.length / 2));
    const { code, stderr } = await runDewy(command, args, { cwd });
    expect(code).toBe(3);
    expect(stderr).toContain("v1.1.0");
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    expect(await readdir(join(cwd, "releases"))).toHaveLength(1);
  });

  it("allows one dewy process per directory, and names the holder of the lock", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const first = startDewy(command, ["assets", "--registry", publisher.url, ...LOG], { cwd });
    await first.seen("the first deploy", (line) => line.msg === "Deployed");
    const second = await runDewy(command, ["assets", "--registry", publisher.url], { cwd });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(`pid ${first.child.pid}`);
  });

  it("polls at once on SIGHUP and on SIGUSR1", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const dewy = startDewy(command, ["assets", "--registry", publisher.url, "-i", "1h", ...LOG], {
      cwd,
    });
    const deployed = (tag: string): Promise<unknown> =>
      dewy.seen(`the deploy of ${tag}`, (line) => line.msg === "Deployed" && line.tag === tag);
    await deployed("v1.0.0");
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    dewy.child.kill("SIGHUP");
    await deployed("v1.1.0");
    await publisher.publish("v1.2.0", await makeArtifact("v1.2.0"));
    dewy.child.kill("SIGUSR1");
    await deployed("v1.2.0");
  });

  it("stops during a hook, keeps the running version, and continues at the next start", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const args = ["assets", "--registry", publisher.url];
    const dewy = startDewy(
      command,
      [...args, "--before-deploy-hook", "touch started; sleep 300", ...LOG],
      { cwd },
    );
    await appears(join(cwd, "started"), dewy);
    dewy.child.kill("SIGINT");
    expect(await dewy.ended()).toBe(0);
    expect(await liveVersion(cwd)).toBeUndefined();
    expect((await runDewy(command, [...args, "--once"], { cwd })).code).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
  });

  it("exits with 143 if --once is stopped before anything is live, and with 0 otherwise", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    const once = ["assets", "--registry", publisher.url, "--once"];
    const stopInHook = async (tag: string): Promise<number | string> => {
      await publisher.publish(tag, await makeArtifact(tag));
      const hook = ["--before-deploy-hook", `touch ${tag}; sleep 300`];
      const dewy = startDewy(command, [...once, ...hook, ...LOG], { cwd });
      await appears(join(cwd, tag), dewy);
      dewy.child.kill("SIGTERM");
      return dewy.ended();
    };
    expect(await stopInHook("v1.0.0")).toBe(143);
    expect((await runDewy(command, once, { cwd })).code).toBe(0);
    expect(await stopInHook("v1.1.0")).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
  });

  it("runs an interrupted after hook again at the next start", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const args = ["assets", "--registry", publisher.url, "--after-deploy-hook"];
    const dewy = startDewy(command, [...args, "touch begun; sleep 300; touch ended", ...LOG], {
      cwd,
    });
    await appears(join(cwd, "begun"), dewy);
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
    const after = "echo $DEWY_TAG >> hooked";
    for (let start = 0; start < 2; start += 1) {
      expect((await runDewy(command, [...args, after, "--once"], { cwd })).code).toBe(0);
    }
    expect(await readFile(join(cwd, "hooked"), "utf8")).toBe("v1.0.0\n");
    expect(await readdir(cwd)).not.toContain("ended");
  });

  it("exits with 2 if there is nothing to deploy, and reports what the registry contains", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0-rc.1", await makeArtifact("v1.0.0-rc.1"));
    const { code, stderr } = await runDewy(
      command,
      ["assets", "--registry", publisher.url, "--once"],
      { cwd },
    );
    expect(code).toBe(2);
    expect(stderr).toContain("pre-release=true");
  });

  it("deploys a single executable named by artifact=", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish(
      "v1.0.0",
      new TextEncoder().encode("#!/bin/sh\necho bare\n"),
      "app-linux",
    );
    const { code } = await runDewy(
      command,
      ["assets", "--registry", `${publisher.url}?artifact=app-linux`, "--once"],
      { cwd },
    );
    expect(code).toBe(0);
    expect((await stat(join(cwd, "current", "app-linux"))).mode & 0o777).toBe(0o755);
  });

  it("deploys a single executable under a stable name, chosen by platform", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    const { os, arch } = hostPlatform();
    for (const version of ["1.0.0", "1.1.0"]) {
      const script = new TextEncoder().encode(`#!/bin/sh\necho ${version}\n`);
      await publisher.publish(`v${version}`, script, `app_${version}_${os}_${arch}`);
      const { code } = await runDewy(command, ["assets", "--registry", publisher.url, "--once"], {
        cwd,
      });
      expect(code).toBe(0);
      expect(await readdir(join(cwd, "current"))).toEqual(["app"]);
      expect(await readFile(join(cwd, "current", "app"), "utf8")).toContain(version);
      expect((await stat(join(cwd, "current", "app"))).mode & 0o777).toBe(0o755);
    }
  });
});

describe("dewy assets", () => {
  const [node] = cliRuntimes;
  const command = node?.command ?? ["node"];

  it("changes nothing on disk after a usage error", async () => {
    const cwd = await tempDirectory();
    const { code } = await runDewy(command, ["assets", "--registry", "ftp://example.com/x"], {
      cwd,
    });
    expect(code).toBe(1);
    await expectTidy(cwd);
  });

  it("rejects a directory whose current it did not create", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await mkdir(join(cwd, "current"));
    await writeFile(join(cwd, "current", "precious"), "");
    const { code, stderr } = await runDewy(
      command,
      ["assets", "--registry", publisher.url, "--once"],
      { cwd },
    );
    expect(code).toBe(1);
    expect(stderr).toContain("not a symlink");
  });

  it("uses the directory given with --directory", async () => {
    const publisher = await filePublisher();
    const [cwd, directory] = [await tempDirectory(), await tempDirectory()];
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    await runDewy(
      command,
      ["assets", "--registry", publisher.url, "--once", "--directory", directory],
      { cwd },
    );
    expect(await liveVersion(directory)).toBe("v1.0.0");
    expect(await liveVersion(cwd)).toBeUndefined();
  });

  it("rejects other bytes of a tag that came back after another version, until they are accepted", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    const args = ["assets", "--registry", publisher.url, "--once"];
    const live = async (...more: string[]): Promise<string | undefined> => {
      const { code, stderr } = await runDewy(command, [...args, ...more], { cwd });
      expect(code, stderr).toBe(0);
      return liveVersion(cwd);
    };
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    expect(await live()).toBe("v1.1.0");
    await publisher.withdraw("v1.1.0");
    expect(await live()).toBe("v1.0.0");
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0 of somebody else"));
    expect(await live()).toBe("v1.0.0");
    expect(await live("--accept-changed", "v1.1.0")).toBe("v1.1.0 of somebody else");
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0, the third"));
    expect(await live("--accept-changed", "v1.1.0")).toBe("v1.1.0 of somebody else");
  });

  it("treats a file that was only touched as unchanged", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const args = ["assets", "--registry", publisher.url, "--once", ...LOG];
    await runDewy(command, args, { cwd });
    await utimes(join(publisher.directory, "v1.0.0", ARTIFACT), 1_000_000, 1_000_000);
    const { code, lines } = await runDewy(command, args, { cwd });
    expect(code).toBe(0);
    expect(lines.map(({ msg }) => msg)).toContain("Deploy skipped");
    expect(lines.filter(({ level }) => level === "ERROR")).toEqual([]);
    expect(await readdir(join(cwd, "releases"))).toHaveLength(1);
  });

  it("keeps seven releases", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    for (let patch = 0; patch < 9; patch++) {
      await publisher.publish(`v1.0.${patch}`, await makeArtifact(`v1.0.${patch}`));
      await runDewy(command, ["assets", "--registry", publisher.url, "--once"], { cwd });
    }
    expect(await readdir(join(cwd, "releases"))).toHaveLength(7);
    expect(await liveVersion(cwd)).toBe("v1.0.8");
  });
});

async function appears(path: string, dewy: Dewy): Promise<void> {
  const isThere = (): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    );
  await until(isThere, () => `${path}\n${dewy.stderr()}`);
}
