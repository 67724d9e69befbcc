import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { tempDirectory } from "../../support/temp_directory.ts";
import type { Dewy } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import { newOperator } from "./operator.ts";
import { deployEach, type SteeredAssets, steerAssets } from "./steered_assets.ts";

const TAGS = ["v1.0.0", "v1.1.0", "v1.2.0"] as const;

async function ended(dewy: Dewy, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  dewy.child.kill(signal);
  await dewy.ended();
}

async function started(app: SteeredAssets): Promise<void> {
  const dewy = app.start();
  await dewy.seen("a poll", ({ msg }) => msg === "Poll finished");
}

describe("a command to an instance that does not run", () => {
  it.each(["SIGKILL", "SIGTERM"] as const)(
    "acts on its directory after %s, and the next start respects it",
    async (signal) => {
      const app = await steerAssets();
      await ended(await deployEach(app, TAGS), signal);
      const there = ["--directory", app.cwd];
      const { operator } = app;

      expect(await operator.succeed("rollback", ...there)).toMatch(/v1\.1\.0/);
      expect(await app.live()).toBe("v1.1.0");
      expect(await operator.succeed("rollback", ...there)).toMatch(/v1\.0\.0/);
      expect(await app.live()).toBe("v1.0.0");
      const none = await operator.run("rollback", ...there);
      expect(none.code).not.toBe(0);
      expect(none.text).toMatch(/no earlier version|v1\.0\.0/);
      expect(await app.live()).toBe("v1.0.0");

      await started(app);
      await operator.succeed("poll");
      expect(await app.live()).toBe("v1.0.0");
      const { skipped } = await operator.status();
      expect(skipped).toContainEqual(
        expect.objectContaining({ tag: "v1.2.0", andEarlier: true, user: "alice" }),
      );
      await app.publish("v1.3.0");
      await operator.succeed("poll");
      expect(await app.live()).toBe("v1.3.0");
    },
  );

  it("records pin, pause and skip for the next start", async () => {
    const app = await steerAssets();
    await ended(await deployEach(app, ["v1.0.0"]), "SIGKILL");
    const { operator } = app;
    const there = ["--directory", app.cwd];
    await operator.succeed("pause", ...there);
    await operator.succeed("skip", "v1.1.0", ...there);
    await app.publish("v1.1.0", "v1.2.0");
    const dewy = app.start();
    await dewy.seen("a poll", ({ msg }) => msg === "Poll finished");
    expect(await app.live()).toBe("v1.0.0");
    await operator.succeed("resume");
    await operator.succeed("poll");
    await deployed(dewy, "v1.2.0");
    expect(await operator.status()).toMatchObject({ skipped: [{ tag: "v1.1.0" }] });
  });

  it("records the deploy of a version that is not on disk, which the next start carries out", async () => {
    const app = await steerAssets();
    await ended(await deployEach(app, ["v1.0.0"]), "SIGTERM");
    await app.publish("v1.1.0", "v1.2.0");
    const there = ["--directory", app.cwd];
    expect((await app.operator.run("deploy", "v1.1.0", ...there)).text).toMatch(/next start/);
    expect(await app.live()).toBe("v1.0.0");
    expect(await app.operator.status(...there)).toMatchObject({
      order: { kind: "deploy", tag: "v1.1.0", user: "alice" },
    });
    const dewy = app.start();
    await deployed(dewy, "v1.1.0");
    // The order is about v1.1.0; afterwards the newest version comes as usual.
    await deployed(dewy, "v1.2.0");
    expect(await app.state()).not.toHaveProperty("order");
  });

  it.each(["poll", "restart"])("cannot be %s", async (command) => {
    const app = await steerAssets();
    await ended(await deployEach(app, ["v1.0.0"]), "SIGKILL");
    const { code, text } = await app.operator.run(command, "--directory", app.cwd);
    expect(code).not.toBe(0);
    expect(text).toMatch(/not run/);
  });

  it("shows a killed instance as not running, and a stopped one no more", async () => {
    const app = await steerAssets();
    const killed = await deployEach(app, ["v1.0.0"]);
    expect((await app.operator.status()).process?.pid).toBe(killed.child.pid);
    await ended(killed, "SIGKILL");
    const dead = await app.operator.status();
    expect(dead).toMatchObject({ directory: app.cwd, live: { tag: "v1.0.0" } });
    expect(dead.process).toBeUndefined();
    expect(await app.operator.succeed("status")).toMatch(/does not run/);
    const next = app.start();
    await next.seen("a poll", ({ msg }) => msg === "Poll finished");
    expect((await app.operator.status()).process?.pid).toBe(next.child.pid);
    await ended(next, "SIGTERM");
    expect(JSON.parse((await app.operator.run("status", "--json")).stdout).instances).toEqual([]);
    expect((await app.operator.status("--directory", app.cwd)).live?.tag).toBe("v1.0.0");
  });

  it("says that there is none in a directory that dewy has never used, and changes nothing", async () => {
    const operator = await newOperator();
    const empty = join(await tempDirectory(), "app");
    await mkdir(empty);
    for (const command of ["rollback", "pause", "poll", "deploy v1.0.0"]) {
      const { code, text } = await operator.run(...command.split(" "), "--directory", empty);
      expect(code, text).toBe(2);
      expect(text).toContain(empty);
    }
    expect(await readdir(empty)).toEqual([]);
    const missing = await operator.run("rollback", "--directory", join(empty, "missing"));
    expect(missing.code, missing.text).toBe(2);
  });

  it("is answered truly if it is given twice at once", async () => {
    const app = await steerAssets();
    await ended(await deployEach(app, TAGS), "SIGTERM");
    const there = ["--directory", app.cwd];
    const answers = await Promise.all([
      app.operator.run("rollback", ...there),
      app.operator.run("rollback", ...there),
    ]);
    const done = answers.filter(({ code }) => code === 0).length;
    expect(done).toBeGreaterThan(0);
    expect(await app.live()).toBe(done === 2 ? "v1.0.0" : "v1.1.0");
  });

  it("ends with 4 and says what will happen if dewy is killed while the command waits", async () => {
    const app = await steerAssets();
    // It outlives the killed dewy, and ends with the directory.
    const hold = 'touch "$HOLD/here-$DEWY_TAG"; while [ -e "$HOLD" ]; do sleep 0.1; done';
    const holding = await tempDirectory();
    const env = { HOLD: holding };
    const killed = await deployEach(app, ["v1.0.0"]);
    await ended(killed, "SIGTERM");
    await app.publish("v1.1.0", "v1.2.0");
    await app.operator.succeed("pause", "--directory", app.cwd);
    const dewy = app.start(["--before-deploy-hook", hold], { env });
    await dewy.seen("a poll", ({ msg }) => msg === "Poll finished");
    const waiting = app.operator.begin("deploy", "v1.1.0");
    await expect.poll(() => readdir(holding)).toContain("here-v1.1.0");
    await ended(dewy, "SIGKILL");
    const { code, text } = await waiting.answer;
    expect(code).toBe(4);
    expect(text).toMatch(/next start/);
    const next = app.start();
    await deployed(next, "v1.1.0");
    expect(await app.live()).toBe("v1.1.0");
    expect(await app.operator.status()).toMatchObject({ live: { tag: "v1.1.0" } });
  });
});

describe("a command with several instances", () => {
  it("lists them and does nothing, unless it names one", async () => {
    const operator = await newOperator();
    const [one, other] = [await steerAssets({ operator }), await steerAssets({ operator })];
    const tags = ["v1.0.0", "v1.1.0"] as const;
    for (const [app, name] of [
      [one, "one"],
      [other, "other"],
    ] as const) {
      await app.publish("v1.0.0");
      const dewy = app.start(["--name", name]);
      await deployed(dewy, "v1.0.0");
      await app.publish(tags[1]);
      await operator.succeed("poll", "--name", name);
      await deployed(dewy, "v1.1.0");
    }
    const { code, text } = await operator.run("rollback");
    expect(code).toBe(1);
    expect(text).toMatch(/one/);
    expect(text).toMatch(/other/);
    expect([await one.live(), await other.live()]).toEqual(["v1.1.0", "v1.1.0"]);
    await operator.succeed("rollback", "--name", "other");
    expect([await one.live(), await other.live()]).toEqual(["v1.1.0", "v1.0.0"]);
    await operator.succeed("rollback", "--directory", one.cwd);
    expect([await one.live(), await other.live()]).toEqual(["v1.0.0", "v1.0.0"]);
    const unknown = await operator.run("rollback", "--name", "third");
    expect(unknown.code).toBe(2);
    expect(unknown.text).toMatch(/third/);
  });
});
