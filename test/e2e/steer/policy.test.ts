import { createHmac } from "node:crypto";
import { readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { freePorts } from "../../peers/ports.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { ARTIFACT, makeArtifact } from "../archive.ts";
import { runDewy } from "../dewy.ts";
import { filePublisher } from "../publishers.ts";
import { deployed } from "../server/served_app.ts";
import { NODE } from "./operator.ts";
import { deployEach, steerAssets } from "./steered_assets.ts";

const HOUR_MS = 3_600_000;

/** Some hours that are far from now, on every day. */
function closedWindow(): string {
  const hours = new Date().getUTCHours() < 12 ? "18:00-20:00" : "04:00-06:00";
  return `mon-sun ${hours} UTC`;
}

describe("--window", () => {
  it("holds back a newer version, but neither the first one nor an operator's", async () => {
    const app = await steerAssets();
    const { operator } = app;
    const dewy = await deployEach(app, ["v1.0.0"], ["--window", closedWindow()]);
    await app.publish("v1.1.0");
    await operator.succeed("poll");
    expect(await app.live()).toBe("v1.0.0");
    const { waiting } = await operator.status();
    expect(waiting).toMatchObject([{ tag: "v1.1.0", why: "window" }]);
    const until = Date.parse(waiting[0]?.until ?? "");
    expect(until).toBeGreaterThan(Date.now() + HOUR_MS);
    expect(until).toBeLessThan(Date.now() + 24 * HOUR_MS);
    expect(new Date(until).getUTCHours() % 14).toBe(4);
    await dewy.seen("that it waits", ({ msg, tag }) => msg === "Version waits" && tag === "v1.1.0");
    const explained = await operator.run(
      ...["explain", app.publisher.url, "--window", closedWindow()],
    );
    expect(explained.code, explained.text).toBe(0);
    expect(explained.stdout).toMatch(/window/i);

    await operator.succeed("deploy", "v1.1.0");
    expect(await app.live()).toBe("v1.1.0");
    await operator.succeed("rollback");
    expect(await app.live()).toBe("v1.0.0");
  });
});

describe("--min-age", () => {
  it("counts from when this host first saw a version, and is then over by itself", async () => {
    const publisher = await filePublisher();
    const app = await steerAssets({ publisher });
    const publishOld = async (tag: string): Promise<void> => {
      await publisher.publish(tag, await makeArtifact(tag));
      const then = new Date(Date.now() - 24 * HOUR_MS);
      await utimes(join(publisher.directory, tag, ARTIFACT), then, then);
    };
    await publishOld("v1.0.0");
    const first = app.start(["--min-age", "2h"]);
    await deployed(first, "v1.0.0");
    await publishOld("v1.1.0");
    await app.operator.succeed("poll");
    expect(await app.live()).toBe("v1.0.0");
    const { waiting } = await app.operator.status();
    expect(waiting).toMatchObject([{ tag: "v1.1.0", why: "min-age" }]);
    const until = Date.parse(waiting[0]?.until ?? "");
    expect(until).toBeGreaterThan(Date.now() + 1.9 * HOUR_MS);
    expect(until).toBeLessThan(Date.now() + 2.1 * HOUR_MS);
    first.child.kill("SIGTERM");
    expect(await first.ended()).toBe(0);

    // What it has seen survives the restart.
    const second = app.start(["--min-age", "1s", "-i", "1s"]);
    await deployed(second, "v1.1.0");
  });
});

describe("--no-downgrade", () => {
  it("keeps a deleted version, and says that the older one waits", async () => {
    const app = await steerAssets();
    await deployEach(app, ["v1.0.0", "v1.1.0"], ["--no-downgrade"]);
    await app.publisher.withdraw("v1.1.0");
    await app.operator.run("poll");
    expect(await app.live()).toBe("v1.1.0");
    expect((await app.operator.status()).waiting).toMatchObject([
      { tag: "v1.0.0", why: "no-downgrade" },
    ]);
    await app.operator.succeed("rollback");
    expect(await app.live()).toBe("v1.0.0");
  });
});

describe("--dry-run", () => {
  it("says what would be deployed, and neither deploys it nor runs a hook", async () => {
    const app = await steerAssets();
    await app.publish("v1.0.0");
    const hook = ["--before-deploy-hook", "touch before", "--after-deploy-hook", "touch after"];
    const dewy = app.start(["--dry-run", ...hook]);
    expect(await dewy.ended(), dewy.stderr()).toBe(0);
    expect(dewy.lines()).toContainEqual(
      expect.objectContaining({ msg: "Dry run: version would be deployed", tag: "v1.0.0" }),
    );
    expect(await app.live()).toBeUndefined();
    expect(await readdir(app.cwd)).not.toContain("before");
    expect(await readdir(app.cwd)).not.toContain("after");
  });

  it("of a command says what would happen, and changes nothing", async () => {
    const app = await steerAssets();
    await deployEach(app, ["v1.0.0", "v1.1.0", "v1.2.0"]);
    const before = await app.state();
    expect((await app.operator.run("rollback", "--dry-run")).text).toMatch(/v1\.1\.0/);
    expect((await app.operator.run("deploy", "v1.0.0", "--dry-run")).text).toMatch(/v1\.0\.0/);
    expect(await app.state()).toEqual(before);
    expect(await app.live()).toBe("v1.2.0");
  });
});

describe("a webhook", () => {
  const SECRET = "a secret of thirty-two characters";

  it.each([
    {
      name: "of GitHub",
      path: "/hooks/github",
      headers: (body: string) => ({
        "x-github-event": "release",
        "x-hub-signature-256": `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`,
      }),
      body: JSON.stringify({ action: "published", release: { tag_name: "v1.1.0" } }),
    },
    {
      name: "of a registry",
      path: "/hooks/registry",
      headers: () => ({ authorization: SECRET }),
      body: JSON.stringify({ events: [{ action: "push", target: { tag: "v1.1.0" } }] }),
    },
    {
      name: "with the secret in its path",
      path: `/hooks/${encodeURIComponent(SECRET)}`,
      headers: () => ({}),
      body: JSON.stringify({ push_data: { tag: "v1.1.0" } }),
    },
  ])("$name starts a poll long before the interval", async ({ path, headers, body }) => {
    const app = await steerAssets();
    const [port = 0] = await freePorts(1);
    const secretFile = join(await tempDirectory(), "secret");
    await writeFile(secretFile, `${SECRET}\n`, { mode: 0o600 });
    const listen = ["--webhook-listen", `127.0.0.1:${port}`, "--webhook-secret-file", secretFile];
    const dewy = await deployEach(app, ["v1.0.0"], listen);
    await app.publish("v1.1.0");
    const send = (to: string, own: Record<string, string>): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}${to}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...own },
        body,
      });
    const forged = await send("/hooks/github", { ...headers(`${body} `), authorization: "forged" });
    expect(forged.ok).toBe(false);
    expect((await fetch(`http://127.0.0.1:${port}/`)).ok).toBe(false);
    expect(await app.live()).toBe("v1.0.0");
    expect((await send(path, headers(body))).status).toBeLessThan(300);
    await deployed(dewy, "v1.1.0");
    expect(dewy.stderr()).not.toContain(SECRET);
  });

  it("needs a secret", async () => {
    const app = await steerAssets();
    const args = ["assets", "--registry", app.publisher.url, "--webhook-listen", "127.0.0.1:0"];
    const { code, stderr } = await runDewy(NODE.command, args, { cwd: app.cwd });
    expect(code).toBe(1);
    expect(stderr).toContain("--webhook-secret-file");
  });
});
