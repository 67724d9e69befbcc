import { describe, expect, it, onTestFinished } from "vitest";
import { type FakeS3, fakeS3 } from "../fakes/s3.ts";
import { serveFetch } from "../fakes/serve.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { ARTIFACT, makeArtifact } from "./archive.ts";
import { cliRuntimes, type Dewy, liveVersion, startDewy, until } from "./dewy.ts";

interface Store {
  server: FakeS3;
  /** The answer to uploads; `undefined` accepts them. */
  refusal: { status: number; code: string } | undefined;
  records(): string[];
  start(command: readonly [string, ...string[]], cwd: string): Dewy;
}

async function openStore(): Promise<Store> {
  const server = fakeS3("b", Date.now);
  const { url, close } = await serveFetch(async (request) => {
    const { refusal } = store;
    if (request.method !== "PUT" || refusal === undefined) return server.handler(request);
    return new Response(`<Error><Code>${refusal.code}</Code></Error>`, { status: refusal.status });
  });
  onTestFinished(close);
  const store: Store = {
    server,
    refusal: undefined,
    records: () => [...server.objects.keys()].filter((key) => key.includes("/shipped_to_")),
    start: (command, cwd) => {
      const registry = `s3://us-east-1/b/app?endpoint=${encodeURIComponent(url)}`;
      const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
      const log = ["--log-level", "debug", "--log-format", "json"];
      const args = ["assets", "--registry", registry, "-i", "1s", ...log];
      return startDewy(command, args, { cwd, env });
    },
  };
  server.store(`app/v1.0.0/${ARTIFACT}`, await makeArtifact("v1.0.0"));
  return store;
}

const records = (store: Store, count: number, dewy: Dewy): Promise<void> =>
  until(
    async () => store.records().length === count,
    () => `${count} audit records\n${store.records().join("\n")}\n${dewy.stderr()}`,
  );

describe.each(cliRuntimes)("audit records on $name", ({ command }) => {
  it("are left by the next dewy if the upload failed before dewy was killed", async () => {
    const store = await openStore();
    const cwd = await tempDirectory();
    store.refusal = { status: 503, code: "SlowDown" };
    const killed = store.start(command, cwd);
    await killed.seen("the deploy", (line) => line.msg === "Deployed");
    killed.child.kill("SIGKILL");
    await killed.ended();
    expect(store.records()).toEqual([]);

    store.refusal = undefined;
    const dewy = store.start(command, cwd);
    await records(store, 1, dewy);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
  });

  it("are left by each of several instances that deploy at once", async () => {
    const store = await openStore();
    const all = await Promise.all(
      [1, 2, 3].map(async () => store.start(command, await tempDirectory())),
    );
    const [first] = all;
    if (first === undefined) throw new Error("nothing was started");
    await records(store, all.length, first);
    for (const dewy of all) dewy.child.kill("SIGTERM");
    expect(await Promise.all(all.map((dewy) => dewy.ended()))).toEqual([0, 0, 0]);
  });

  it("that the credentials may not write are warned of once", async () => {
    const store = await openStore();
    store.refusal = { status: 403, code: "AccessDenied" };
    const dewy = store.start(command, await tempDirectory());
    const deployed = (tag: string): Promise<unknown> =>
      dewy.seen(tag, (line) => line.msg === "Deployed" && line.tag === tag);
    await deployed("v1.0.0");
    store.server.store(`app/v1.1.0/${ARTIFACT}`, await makeArtifact("v1.1.0"));
    await deployed("v1.1.0");
    await dewy.seen("the next poll", () => dewy.stderr().split('"PUT').length > 2);
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
    const warnings = dewy.lines().filter(({ level }) => level === "WARN");
    expect(warnings).toMatchObject([
      { msg: "No audit record is left", error: expect.stringContaining("s3:PutObject") },
    ]);
  });
});
