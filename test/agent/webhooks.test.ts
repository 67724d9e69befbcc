import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, realpath, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { EMPTY_STATE } from "../../src/deploy/state.ts";
import { stateFile } from "../../src/host/files/state_file.ts";
import { fakeProcess } from "../cli/process.ts";
import { ARTIFACT, makeArtifact } from "../e2e/archive.ts";
import { freePort } from "../peers/ports.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { secretFile } from "../webhook/fixtures.ts";
import { SECRET } from "../webhook/signed.ts";

/** A registry in a directory, an agent whose next poll is an hour away, and its webhooks. */
async function world() {
  const [base, port] = [await tempDirectory(), await freePort()];
  const [registry, directory] = [join(base, "registry"), join(base, "site")];
  await mkdir(directory);
  const publish = async (tag: string): Promise<void> => {
    await mkdir(join(registry, tag), { recursive: true });
    await writeFile(join(registry, tag, ARTIFACT), await makeArtifact(tag));
  };
  const flags = ["--registry", `file://${registry}`, "--directory", directory];
  const hooks = ["--webhook-listen", `${port}`, "--webhook-secret-file", await secretFile()];
  const io = fakeProcess();
  const agent = (...more: string[]) =>
    run(["assets", ...flags, ...hooks, "--interval=1h", "--log-level=info", ...more], io);
  const call = async (secret = SECRET): Promise<number | undefined> => {
    const url = `http://127.0.0.1:${port}/hooks/${secret}`;
    const response = await fetch(url, { method: "POST" }).catch(() => undefined);
    return response?.status;
  };
  const log = (): string => io.out() + io.err();
  return { directory, port, publish, agent, call, log, stop: () => io.kill("SIGTERM") };
}

describe("an agent with webhooks", () => {
  test("deploys a version when a webhook comes, and stops listening when it is stopped", async () => {
    const { directory, publish, agent, call, log, stop } = await world();
    await publish("v1.0.0");
    const ended = agent();
    const current = () => realpath(join(directory, "current")).catch(() => undefined);
    await expect.poll(log).toContain("Deployed");
    const first = await current();
    await publish("v1.1.0");
    expect(await call("wrong-secret-wrong-secret")).toBe(404);
    expect(await current()).toBe(first);
    expect(await call()).toBe(202);
    await expect.poll(current).not.toBe(first);
    stop();
    expect(await ended).toBe(0);
    expect(await call()).toBeUndefined();
    expect(log()).toMatch(/Webhook received.* source=secret outcome=accepted/);
    expect(log()).not.toContain(SECRET);
  });

  test("does not start if its port is taken, and leaves the state as it is", async () => {
    const { directory, port, publish, agent, log } = await world();
    await publish("v1.0.0");
    const path = join(directory, ".dewy", "state.json");
    await mkdir(join(directory, ".dewy"));
    const bad = { tag: "v1.0.0", reason: "it crashed", at: "2026-01-02T03:04:05Z" };
    await stateFile(path, () => {}).update(() => ({ ...EMPTY_STATE, bad: [bad] }));
    const before = await readFile(path, "utf8");
    const taken = createServer().listen(port, "127.0.0.1");
    await once(taken, "listening");
    onTestFinished(() => void taken.close());
    expect(await agent("--retry-bad")).not.toBe(0);
    expect(log()).toContain("choose another --webhook-listen");
    expect(await readFile(path, "utf8")).toBe(before);
    expect(existsSync(join(directory, "current"))).toBe(false);
  });
});
