import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Handler } from "../fakes/handler.ts";
import { fakeS3 } from "../fakes/s3.ts";
import { serveFetch } from "../fakes/serve.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, type Dewy, liveVersion, runDewy, startDewy } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";

const [node] = cliRuntimes;
const cli = node?.command ?? ["node"];
const HOSTS = ["web-1", "web-2", "web-3"];
const WAIT = { timeout: 60_000, interval: 200 };
const KEYS = { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "secret" };
const MINUTE_MS = 60_000;

/** A bucket whose records are old enough to be evaluated at every look. */
async function bucket(): Promise<string> {
  const { handler } = fakeS3("fleet", Date.now);
  const aging: Handler = async (request) => {
    const response = await handler(request);
    response.headers.set("date", new Date(Date.now() + MINUTE_MS).toUTCString());
    return response;
  };
  const { url, close } = await serveFetch(aging);
  onTestFinished(close);
  return `s3://us-east-1/fleet/app?endpoint=${url}`;
}

describe("three processes of a fleet", { timeout: 180_000 }, () => {
  it("take a version in waves, halt a broken one, and go on with the next", async () => {
    const [cache, publisher, base] = [await bucket(), await filePublisher(), await tempDirectory()];
    const directoryOf = (host: string): string => join(base, host);
    const fleet = ["--cache", cache, "--fleet", "web"];
    const flags = ["--rollout", "1,100%", "--rollout-bake", "1s", "--member-ttl", "10s"];
    const log = ["--log-level", "info", "--log-format", "json"];
    const start = async (host: string): Promise<Dewy> => {
      await mkdir(directoryOf(host), { recursive: true });
      const argv = [
        "assets",
        "--registry",
        publisher.url,
        "--interval",
        "1s",
        "--fleet-host",
        host,
      ];
      return startDewy(cli, [...argv, ...fleet, ...flags, ...log], {
        cwd: directoryOf(host),
        env: KEYS,
      });
    };
    const live = (): Promise<(string | undefined)[]> =>
      Promise.all(HOSTS.map((host) => liveVersion(directoryOf(host)).catch(() => undefined)));
    const hosts: Dewy[] = [];
    const told = (tag: string): string[] =>
      hosts.flatMap((host) =>
        host
          .lines()
          .filter((line) => /[Rr]ollout/.test(line.msg) && line.tag === tag)
          .map(({ msg }) => msg),
      );
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    for (const host of HOSTS) hosts.push(await start(host));
    await vi.waitFor(() => expect(told("v1.0.0")).toContain("Rollout done"), WAIT);
    await vi.waitFor(async () => expect(await live()).toEqual(HOSTS.map(() => "v1.0.0")), WAIT);

    await publisher.publish("v1.1.0", new TextEncoder().encode("not an archive"));
    await vi.waitFor(() => expect(told("v1.1.0")).toContain("Rollout halted"), WAIT);
    expect(await live()).toEqual(HOSTS.map(() => "v1.0.0"));
    const status = await runDewy(cli, ["fleet", "status", ...fleet], { cwd: base, env: KEYS });
    expect(status.stdout).toContain("v1.1.0");

    await publisher.publish("v1.2.0", await makeArtifact("v1.2.0"));
    await vi.waitFor(async () => expect(await live()).toEqual(HOSTS.map(() => "v1.2.0")), WAIT);
    await vi.waitFor(() => expect(told("v1.2.0")).toContain("Rollout done"), WAIT);
    expect(told("v1.2.0").toSorted()).toEqual([
      "Next wave of the rollout began",
      "Rollout began",
      "Rollout done",
    ]);
  });
});
