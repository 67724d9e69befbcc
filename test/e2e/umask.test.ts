import { chmod, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { packTar } from "modern-tar";
import { describe, expect, it } from "vitest";
import { tempDirectory } from "../support/temp_directory.ts";
import { cliRuntimes, runDewy, startDewy } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";

const isRoot = process.getuid?.() === 0;
const why = isRoot ? "" : " [skipped: only root can start a program as another user]";
const APP = "#!/bin/sh\ncat current/etc/deep/settings && id -u && exec sleep 300\n";

/** Has no entries for directories, so that dewy creates them itself. */
async function artifact(): Promise<Uint8Array<ArrayBuffer>> {
  const file = (
    name: string,
    body: string,
    mode: number,
  ): Parameters<typeof packTar>[0][number] => ({
    header: { name, size: Buffer.byteLength(body), type: "file", mode },
    body,
  });
  return new Uint8Array(
    await packTar([file("bin/app", APP, 0o755), file("etc/deep/settings", "set\n", 0o644)]),
  );
}

describe.skipIf(!isRoot).each(cliRuntimes)(
  `dewy server --user on $name, started with umask 077${why}`,
  ({ command }) => {
    it("reports that the user cannot enter the working directory before anything is deployed", async () => {
      const cwd = await tempDirectory();
      const args = ["server", "--user", "nobody", "--registry", "file:///nowhere", "--", "true"];
      const { code, stderr } = await runDewy(command, args, { cwd });
      expect(code).toBe(1);
      expect(stderr).toContain(`as user nobody: that user may not enter ${cwd};`);
    });

    it("creates releases that the app's user can enter, and keeps downloads private", async () => {
      const publisher = await filePublisher();
      const cwd = await tempDirectory();
      await chmod(cwd, 0o755);
      const name = `app_${process.platform}_${process.arch}.tar`;
      await publisher.publish("v1.0.0", await artifact(), name);
      const shell = ["sh", "-c", 'umask 077; exec "$@"', "sh", ...command] as const;
      const args = ["server", "--user", "nobody", "--registry", publisher.url, "--bake", "0"];
      const log = ["--log-level", "info", "--log-format", "json"];
      const dewy = startDewy(shell, [...args, ...log, "--", join(cwd, "current/bin/app")], { cwd });
      await dewy.seen("the deploy", ({ msg }) => msg === "Deployed");
      await expect.poll(() => dewy.stdout()).toBe("set\n65534\n");
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended()).toBe(0);
      const state = JSON.parse(await readFile(join(cwd, ".dewy/state.json"), "utf8"));
      expect(state.bad).toEqual([]);
      expect((await stat(join(cwd, ".dewy/cache"))).mode & 0o777).toBe(0o700);
    });
  },
);
