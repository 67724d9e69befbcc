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

/** Starts a container of the app, made by the dewy of a directory; then the dewy of `own` looks. */
async function look(own: string, from: string): Promise<void> {
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

test("containers of another dewy that runs are left to it", async () => {
  const other = await tempDirectory();
  const lock = await acquireLock(lockPath(other), "container");
  await expect(look("/ours", other)).rejects.toMatchObject({
    code: "locked",
    message: expect.stringContaining(
      `Cannot run the app "app": dewy container (pid ${process.pid} on `,
    ),
  });
  await lock.release();
});

test("containers of our own, and those that an ended dewy has left in another directory, are ours", async () => {
  const other = await tempDirectory();
  const lock = await acquireLock(lockPath(other), "container");
  await look(other, other);
  await lock.release();
  await look("/ours", other);
  await look("/ours", "/gone");
});

test("a directory that cannot be looked into may have a dewy", async () => {
  const other = await tempDirectory();
  // A file that is a directory cannot be read by anybody, not even root.
  await mkdir(lockPath(other), { recursive: true });
  await expect(look("/ours", other)).rejects.toThrow("another user's dewy");
});

test("a lock that holds nonsense is nobody's", async () => {
  const other = await tempDirectory();
  await (await acquireLock(lockPath(other), "container")).release();
  await writeFile(lockPath(other), "?");
  await look("/ours", other);
});
