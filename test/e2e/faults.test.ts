import { execFileSync } from "node:child_process";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import { describe, expect, it, onTestFinished } from "vitest";
import { cutAfter, drip, type Fault, reset, status, tamper } from "../fakes/github_fault.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import {
  cliRuntimes,
  type Dewy,
  expectTidy,
  type LogLine,
  liveVersion,
  runDewy,
  startDewy,
} from "./dewy.ts";
import { filePublisher, githubPublisher } from "./publishers.ts";

const LOG = ["--log-level", "debug", "--log-format", "json"];
/** The storage that the API redirects to. */
const BYTES = /GET \/storage\//;
const [node] = cliRuntimes;
const nodeCommand = node?.command ?? ["node"];

async function deployed(command: readonly [string, ...string[]]): Promise<{
  publisher: Awaited<ReturnType<typeof githubPublisher>>;
  cwd: string;
  run: (...more: string[]) => ReturnType<typeof runDewy>;
}> {
  const publisher = await githubPublisher();
  const cwd = await tempDirectory();
  await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
  const args = ["assets", "--registry", publisher.url, "--once", ...LOG];
  const run = (...more: string[]): ReturnType<typeof runDewy> =>
    runDewy(command, [...args, ...more], { cwd, env: publisher.env });
  expect((await run()).code).toBe(0);
  return { publisher, cwd, run };
}

describe.each(cliRuntimes)("a deploy on $name succeeds although", ({ command }) => {
  const faults: readonly (readonly [string, RegExp, Fault, number])[] = [
    ["the API answers 503 twice", /matching-refs/, status(503), 2],
    [
      "the API answers 429 and asks for a second",
      /GET .*\/releases\?/,
      status(429, { "retry-after": "1" }),
      1,
    ],
    ["the connection is reset", /matching-refs/, reset(), 2],
    ["the download answers 503", BYTES, status(503), 1],
    ["the download is cut in the middle", BYTES, cutAfter(1_500_000), 1],
    [
      "the download comes in small pieces",
      BYTES,
      drip(65_536, () => new Promise((resolve) => setImmediate(resolve))),
      1,
    ],
  ];
  it.each(faults)("%s", async (_, on, fault, times) => {
    const { publisher, cwd, run } = await deployed(command);
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0", 3_000_000));
    publisher.github.inject(on, fault, times);
    const { code, stderr } = await run();
    expect(code, stderr).toBe(0);
    publisher.github.verify();
    expect(await liveVersion(cwd)).toBe("v1.1.0");
    await expectTidy(cwd);
  });
});

describe("the running version stays, and the exit code shows the reason, if", () => {
  it("the bytes do not match the digest that GitHub states (2)", async () => {
    const { publisher, cwd, run } = await deployed(nodeCommand);
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    publisher.github.inject(BYTES, tamper(), 1);
    const { code, stderr } = await run();
    expect(code, stderr).toBe(2);
    expect(stderr).toContain("sha256");
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    await expectTidy(cwd);
  });

  it("the rate limit is used up (2)", async () => {
    const { publisher, cwd, run } = await deployed(nodeCommand);
    publisher.github.useUp("ghp_writer", 0);
    const { code, stderr } = await run();
    expect(code).toBe(2);
    expect(stderr).toContain("rate limit");
    expect(await liveVersion(cwd)).toBe("v1.0.0");
  });

  it("the token is revoked (2), and no line contains the token", async () => {
    const { publisher, cwd, run } = await deployed(nodeCommand);
    publisher.github.revoke("ghp_writer");
    const { code, stderr } = await run();
    expect(code).toBe(2);
    expect(stderr).toContain("GITHUB_TOKEN");
    expect(stderr).not.toContain("ghp_writer");
    expect(await liveVersion(cwd)).toBe("v1.0.0");
  });

  it("the artifact is larger than --max-artifact-size (2)", async () => {
    const { publisher, cwd, run } = await deployed(nodeCommand);
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0", 2_000_000));
    const { code, stderr } = await run("--max-artifact-size", "1MiB");
    expect(code).toBe(2);
    expect(stderr).toContain("--max-artifact-size");
    expect(await liveVersion(cwd)).toBe("v1.0.0");
  });

  it("the archive is a bomb (3)", async () => {
    const { publisher, cwd, run } = await deployed(nodeCommand);
    await publisher.publish("v1.1.0", await archiveOf("zeros", new Uint8Array(64 * 2 ** 20)));
    const { code, stderr } = await run("--max-expanded-size", "10MiB");
    expect(code).toBe(3);
    expect(stderr).toContain("--max-expanded-size");
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    expect(await readdir(join(cwd, "releases"))).toHaveLength(1);
  });

  it("the archive has a path that leaves the directory (3)", async () => {
    const { publisher, cwd, run } = await deployed(nodeCommand);
    await publisher.publish("v1.1.0", await archiveOf("../../escaped", new Uint8Array(1)));
    const { code, stderr } = await run();
    expect(code).toBe(3);
    expect(stderr).toContain("path traversal");
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    expect(await readdir(cwd)).not.toContain("escaped");
  });

  const needsRoot =
    process.getuid?.() === 0 && process.platform === "linux"
      ? ""
      : " [skipped: mounting a small disk takes root on Linux]";
  it.skipIf(needsRoot !== "")(`the disk is full (3)${needsRoot}`, async () => {
    const publisher = await filePublisher();
    const cwd = await smallDisk("8m");
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0", 1_000_000));
    const args = ["assets", "--registry", publisher.url, "--once", ...LOG];
    expect((await runDewy(nodeCommand, args, { cwd })).code).toBe(0);
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0", 4_000_000));
    const full = await runDewy(nodeCommand, args, { cwd });
    expect(full.code, full.stderr).toBe(3);
    expect(full.stderr).toMatch(/full: .* free/);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    expect(await readdir(join(cwd, "releases"))).toHaveLength(1);
    await publisher.publish("v1.1.1", await makeArtifact("v1.1.1"));
    expect((await runDewy(nodeCommand, args, { cwd })).code).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.1.1");
  });
});

describe("after a fault of the machine or the command line, dewy", () => {
  async function server(): Promise<{
    publisher: Awaited<ReturnType<typeof filePublisher>>;
    cwd: string;
    /** Starts dewy with the environment file in place. */
    start(): Promise<Dewy>;
    bad(): Promise<unknown>;
  }> {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    // Without the two dashes, Node would interpret --env-file itself.
    const [program, ...script] = nodeCommand;
    const command = [program, "--", ...script] as const;
    const args = ["server", "--registry", publisher.url, "-i", "1s", "--ready-after", "50ms"];
    const more = ["--bake", "0", "--overlap", "0", "--env-file", "app.env", ...LOG];
    return {
      publisher,
      cwd,
      start: async () => {
        await writeFile(join(cwd, "app.env"), "A=1\n");
        const dewy = startDewy(command, [...args, ...more, "--", "sleep", "600"], { cwd });
        await dewy.seen("the start", ({ msg }) => msg === "Dewy started");
        return dewy;
      },
      bad: async () => JSON.parse(await readFile(join(cwd, ".dewy", "state.json"), "utf8")).bad,
    };
  }
  const isDeployed =
    (tag: string) =>
    (line: LogLine): boolean =>
      line.msg === "Deployed" && line.tag === tag;

  it("marks no version bad, and first deploys the newest version once the fault is fixed, not an older one", async () => {
    const { publisher, cwd, start, bad } = await server();
    const dewy = await start();
    await rm(join(cwd, "app.env"));
    for (const tag of ["v1.1.0", "v1.0.0"]) await publisher.publish(tag, await makeArtifact(tag));
    const isFailure = ({ msg, tag }: LogLine): boolean =>
      msg === "Deploy failed" && tag === "v1.1.0";
    const failure = await dewy.seen("the failure", isFailure);
    expect(failure).toMatchObject({
      level: "ERROR",
      retry_in: expect.any(Number),
      error: expect.stringContaining("app.env"),
    });
    await dewy.seen("the next try", (line) => isFailure(line) && line.count !== failure.count);
    expect(await liveVersion(cwd)).toBeUndefined();
    await writeFile(join(cwd, "app.env"), "A=2\n");
    await dewy.seen("v1.1.0", isDeployed("v1.1.0"));
    expect(await bad()).toEqual([]);
    const log = dewy.lines();
    expect(log.filter(({ tag }) => tag === "v1.0.0")).toEqual([]);
    expect(log.filter(({ msg }) => msg === "Rolled back")).toEqual([]);
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
  });

  it("marks no version bad, and leaves the running version alone even if it cannot be restarted", async () => {
    const { publisher, cwd, start, bad } = await server();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const dewy = await start();
    const { pid } = await dewy.seen("v1.0.0", ({ msg }) => msg === "App ready");
    await dewy.seen("v1.0.0", isDeployed("v1.0.0"));
    await rm(join(cwd, "app.env"));
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    await dewy.seen("the failure", ({ msg, tag }) => msg === "Deploy failed" && tag === "v1.1.0");
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    process.kill(Number(pid), "SIGKILL");
    const failure = await dewy.seen("the start", ({ msg }) => msg === "App failed to start");
    expect(failure).toMatchObject({
      level: "ERROR",
      tag: "v1.0.0",
      retry_in: expect.any(Number),
      error: expect.stringContaining("app.env"),
    });
    await writeFile(join(cwd, "app.env"), "A=2\n");
    await dewy.seen("v1.1.0", isDeployed("v1.1.0"));
    expect(await bad()).toEqual([]);
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
  });
});

async function archiveOf(name: string, body: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const tar = await packTar([{ header: { name, size: body.length, type: "file" }, body }]);
  return new Uint8Array(gzipSync(tar));
}

async function smallDisk(size: string): Promise<string> {
  const directory = await tempDirectory();
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", directory]);
  onTestFinished(() => void execFileSync("umount", ["-l", directory]));
  return directory;
}
