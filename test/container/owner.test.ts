import { mkdir, writeFile } from "node:fs/promises";
import { expect, onTestFinished, test } from "vitest";
import { lockPath } from "../../src/agent/agent.ts";
import { checkOwner } from "../../src/container/owner.ts";
import { replicaNames } from "../../src/container/replicas/replica.ts";
import { systemClock } from "../../src/core/clock.ts";
import { acquireLock } from "../../src/host/process/lock.ts";
import { fakeEngine } from "../fakes/engine.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const NEVER = new AbortController().signal;
const RELEASE = { tag: "v1", directory: "20260101T000000Z", config: "c" };

/** Starts a container as the dewy in `from`, then checks the owner as the dewy in `own`. */
async function check(own: string, from: string): Promise<void> {
  const engine = fakeEngine();
  onTestFinished(() => engine.close());
  const image = engine.publish("h/app@sha256:1");
  await engine.pull({ image, credential: undefined, plainHttp: false, signal: NEVER });
  const name = replicaNames("app", from, systemClock);
  const release = { ...RELEASE, exposedPorts: [], containerPorts: [80] };
  const spec = { image, ports: [80], user: undefined, args: [], command: [] };
  await engine.start({ ...spec, ...name({ ...release, spec }, 0) }, NEVER);
  await checkOwner("app", own, engine, NEVER);
}

test("refuses to take over the containers of a running dewy", async () => {
  const other = await tempDirectory();
  const lock = await acquireLock(lockPath(other), "container");
  await expect(check("/ours", other)).rejects.toMatchObject({
    code: "locked",
    message: expect.stringContaining(
      `Cannot run the app "app": dewy container (pid ${process.pid} on `,
    ),
  });
  await lock.release();
});

test("takes over its own containers, and those of a dewy that has exited", async () => {
  const other = await tempDirectory();
  const lock = await acquireLock(lockPath(other), "container");
  await check(other, other);
  await lock.release();
  await check("/ours", other);
  await check("/ours", "/gone");
});

test("assumes that a dewy runs in an unreadable directory", async () => {
  const other = await tempDirectory();
  // Not even root can read a directory as a file.
  await mkdir(lockPath(other), { recursive: true });
  await expect(check("/ours", other)).rejects.toThrow("another user's dewy");
});

test("ignores an invalid lock", async () => {
  const other = await tempDirectory();
  await (await acquireLock(lockPath(other), "container")).release();
  await writeFile(lockPath(other), "?");
  await check("/ours", other);
});
