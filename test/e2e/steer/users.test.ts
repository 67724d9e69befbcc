import { execFile } from "node:child_process";
import { chmod, chown, mkdir, readdir, readFile, stat } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { tempDirectory } from "../../support/temp_directory.ts";
import { cliRuntimes, runDewy } from "../dewy.ts";
import { missingProgram } from "../server/peers.ts";
import { NODE } from "./operator.ts";
import { deployEach, steerAssets } from "./steered_assets.ts";

const NOBODY = "65534";
const AS_NOBODY = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"] as const;
const missing =
  process.getuid?.() === 0 ? missingProgram("setpriv") : "only root can act as another user";

/** Whether a process of the other user can connect to a socket: the code of its error, or `connected`. */
function connectAsNobody(socket: string): Promise<string> {
  const script = `require("node:net").connect(${JSON.stringify(socket)})
    .on("connect", () => { console.log("connected"); process.exit(); })
    .on("error", ({ code }) => console.log(code));`;
  const [program, ...args] = [...AS_NOBODY, process.execPath, "-e", script];
  return new Promise((resolve, reject) => {
    execFile(program, args, (error, stdout) => (error ? reject(error) : resolve(stdout.trim())));
  });
}

describe.skipIf(missing !== undefined)(missing ?? "another user", () => {
  it("can count an instance, and neither see nor steer it", async () => {
    const app = await steerAssets();
    const runtimeDirectory = app.operator.env.DEWY_RUNTIME_DIR ?? "";
    // As /run/dewy is for everyone.
    await chmod(runtimeDirectory, 0o755);
    const dewy = await deployEach(app, ["v1.0.0", "v1.1.0"]);
    const options = { cwd: "/", env: app.operator.env };
    const command = [...AS_NOBODY, ...NODE.command] as const;
    const status = await runDewy(command, ["status", "--json"], options);
    expect(JSON.parse(status.stdout)).toMatchObject({ instances: [], hidden: 1 });
    expect((await runDewy(command, ["status"], options)).stdout).not.toContain(app.cwd);

    for (const flags of [[], ["--directory", app.cwd], ["--name", "app"]]) {
      const { code, stderr } = await runDewy(command, ["rollback", ...flags], options);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/user|permission|root/i);
    }
    expect(await app.live()).toBe("v1.1.0");
    expect(dewy.stderr()).not.toContain('Command accepted","command":"rollback');

    const [id = ""] = await readdir(runtimeDirectory);
    const own = join(runtimeDirectory, id);
    expect((await stat(own)).mode & 0o777).toBe(0o700);
    expect(await connectAsNobody(join(own, "socket"))).toBe("EACCES");
    await new Promise<void>((resolve, reject) => {
      const socket = connect(join(own, "socket"));
      socket.on("connect", () => resolve()).on("error", reject);
      socket.on("connect", () => socket.destroy());
    });
  });

  it("is steered by root, whose name is in the history", async () => {
    const app = await steerAssets();
    // Without DEWY_RUNTIME_DIR, as on a real machine: root looks into the other user's directory.
    const { DEWY_RUNTIME_DIR: _, ...env } = app.operator.env;
    await chown(app.cwd, Number(NOBODY), Number(NOBODY));
    await chmod(app.publisher.url.replace("file://", ""), 0o777);
    await app.publish("v1.0.0");
    const dewy = app.start(["--name", "of-another-user"], {
      env: { ...env, DEWY_RUNTIME_DIR: "", XDG_RUNTIME_DIR: "", HOME: app.cwd },
      command: [...AS_NOBODY, ...NODE.command],
    });
    await dewy.seen("v1.0.0", ({ msg }) => msg === "Deployed");
    const options = { cwd: await tempDirectory(), env: { SUDO_USER: "bob", DEWY_RUNTIME_DIR: "" } };
    const there = ["--name", "of-another-user"];
    const paused = await runDewy(NODE.command, ["pause", ...there], options);
    expect(paused.code, paused.stderr).toBe(0);
    const state = JSON.parse(await readFile(join(app.cwd, ".dewy", "state.json"), "utf8"));
    expect(state.paused).toMatchObject({ user: "bob" });
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended(), dewy.stderr()).toBe(0);
  });

  it.each(cliRuntimes)("is called by name even without USER ($name)", async ({ command }) => {
    const cwd = await tempDirectory();
    await mkdir(join(cwd, ".dewy"));
    const env = { DEWY_RUNTIME_DIR: await tempDirectory(), USER: "", SUDO_USER: "" };
    const paused = await runDewy(command, ["pause", "--directory", cwd], { cwd, env });
    expect(paused.code, paused.stderr).toBe(0);
    const state = JSON.parse(await readFile(join(cwd, ".dewy", "state.json"), "utf8"));
    expect(state.paused.user).toBe("root");
  });

  it("keeps access to its files if root steers it while it does not run", async () => {
    const app = await steerAssets();
    await chown(app.cwd, Number(NOBODY), Number(NOBODY));
    await chmod(app.publisher.url.replace("file://", ""), 0o777);
    const env = { DEWY_RUNTIME_DIR: await tempDirectory() };
    await chown(env.DEWY_RUNTIME_DIR, Number(NOBODY), Number(NOBODY));
    const as = { env, command: [...AS_NOBODY, ...NODE.command] } as const;
    await app.publish("v1.0.0");
    const first = app.start([], as);
    await first.seen("v1.0.0", ({ msg }) => msg === "Deployed");
    first.child.kill("SIGTERM");
    expect(await first.ended(), first.stderr()).toBe(0);

    await app.operator.succeed("pause", "--directory", app.cwd);
    const next = app.start([], as);
    await next.seen("a poll", ({ msg }) => msg === "Poll finished");
    const options = { cwd: "/", env };
    const resumed = await runDewy(as.command, ["resume", "--directory", app.cwd], options);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(next.lines().filter(({ level }) => level === "ERROR")).toEqual([]);
  });
});
