import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { openRegistry, systemClock } from "../../mod.ts";
import { downloadArtifact } from "../../src/host/download/download.ts";
import { status } from "../fakes/github_fault.ts";
import { fakeS3 } from "../fakes/s3.ts";
import { serveFetch } from "../fakes/serve.ts";
import { makeCertificate } from "../gateway/certificate.ts";
import { missingRadosgw, type Radosgw, startRadosgw } from "../peers/radosgw.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import {
  cliRuntimes,
  type Dewy,
  expectTidy,
  liveVersion,
  runDewy,
  startDewy,
  until,
} from "./dewy.ts";
import { filePublisher, githubPublisher, type Publisher, s3Publisher } from "./publishers.ts";

const LOG = ["--log-level", "debug", "--log-format", "json"];
const noS3 = missingRadosgw();
let s3: Radosgw | undefined;

beforeAll(async () => {
  if (noS3 === undefined) s3 = await startRadosgw();
});
afterAll(async () => {
  await s3?.stop();
});

type Command = (typeof cliRuntimes)[number]["command"];

interface RunningGateway {
  dewy: Dewy;
  /** Where it listens. */
  url: string;
  /** `127.0.0.1:<port>`. */
  target: string;
}

async function startGateway(
  command: Command,
  publisher: Publisher,
  ...args: string[]
): Promise<RunningGateway> {
  const dewy = startDewy(
    command,
    [
      ...["registry", "--upstream", publisher.url, "--port", "0", "--host", "127.0.0.1"],
      ...["-i", "1s", ...LOG, ...args],
    ],
    { cwd: await tempDirectory(), env: publisher.env },
  );
  const { url } = await dewy.seen("the port", (line) => line.msg === "Listening");
  return { dewy, url: String(url), target: new URL(String(url)).host };
}

/** Makes the gateway poll. */
function askByConnect(
  { url }: RunningGateway,
  platform: object = { os: process.platform, arch: process.arch },
): Promise<Response> {
  return fetch(`${url}/dewy.RegistryService/Current`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(platform),
  });
}

async function fingerprintOf({ url }: RunningGateway): Promise<string> {
  const { port, hostname: host } = new URL(url);
  const socket = connect({ port: Number(port), host, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

interface Case {
  upstream: string;
  skip: string | undefined;
  open(): Promise<Publisher>;
}

const cases: readonly Case[] = [
  { upstream: "file", skip: undefined, open: filePublisher },
  {
    upstream: "GitHub (fake, private)",
    skip: undefined,
    open: () => githubPublisher({ isPrivate: true }),
  },
  {
    upstream: "S3 (radosgw)",
    skip: noS3,
    open: async () => {
      if (s3 === undefined) throw new Error("no S3 server");
      return s3Publisher(s3);
    },
  },
];

for (const { upstream, skip, open } of cases) {
  describe.skipIf(skip !== undefined)(
    `a gateway in front of ${upstream}${skip === undefined ? "" : ` [${skip}]`}`,
    () => {
      it.each(cliRuntimes)(
        "deploys two versions to a machine without credentials on $name",
        async ({ command }) => {
          const publisher = await open();
          await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
          const gateway = await startGateway(command, publisher);
          const cwd = await tempDirectory();
          const registry = `grpc://${gateway.target}?no-tls=true&allow=http`;
          const machine = startDewy(
            command,
            ["assets", "--registry", registry, "-i", "1s", ...LOG],
            {
              cwd,
            },
          );
          for (const tag of ["v1.0.0", "v1.1.0"]) {
            if (tag !== "v1.0.0") await publisher.publish(tag, await makeArtifact(tag));
            await machine.seen(tag, (line) => line.msg === "Deployed" && line.tag === tag);
            expect(await liveVersion(cwd)).toBe(tag);
            await gateway.dewy.seen(
              `the report of ${tag}`,
              (line) => line.msg === "Deploy reported" && line.tag === tag,
            );
            await until(
              async () =>
                (await publisher.audits(tag)).some((name) =>
                  name.includes("shipped_to_127.0.0.1_assets"),
                ),
              () => `an audit record of ${tag}\n${gateway.dewy.stderr()}`,
            );
          }
          machine.child.kill("SIGTERM");
          expect(await machine.ended()).toBe(0);
          await expectTidy(cwd);
          gateway.dewy.child.kill("SIGTERM");
          expect(await gateway.dewy.ended()).toBe(0);
          for (const dewy of [machine, gateway.dewy]) {
            expect(
              dewy.lines().filter(({ level }) => level === "ERROR" || level === "WARN"),
            ).toEqual([]);
          }
        },
      );
    },
  );
}

describe.each(cliRuntimes)("a gateway on $name", ({ command }) => {
  it("serves TLS and requires its token, except for downloads", async () => {
    const publisher = await filePublisher();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const { certFile, keyFile, caFile } = await makeCertificate();
    const cwd = await tempDirectory();
    const tokenFile = join(await tempDirectory(), "token");
    await writeFile(tokenFile, "s3cret-of-the-fleet\n");
    const gateway = await startGateway(
      command,
      publisher,
      ...["--tls-cert", certFile, "--tls-key", keyFile, "--token-file", tokenFile],
    );
    expect(gateway.url).toMatch(/^https:/);
    const machine = [
      ...[
        "assets",
        "--once",
        "--registry",
        `grpc://${gateway.target}`,
        "--ca-file",
        caFile,
        ...LOG,
      ],
    ];
    const refused = await runDewy(command, machine, { cwd });
    expect(refused.code, refused.stderr).toBe(2);
    const env = { DEWY_REGISTRY_TOKEN: "s3cret-of-the-fleet" };
    const deployed = await runDewy(command, machine, { cwd, env });
    expect(deployed.code, deployed.stderr).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    const renewed = await makeCertificate();
    await writeFile(certFile, renewed.cert);
    await writeFile(keyFile, renewed.key);
    gateway.dewy.child.kill("SIGHUP");
    await until(
      async () =>
        (await fingerprintOf(gateway)) === new X509Certificate(renewed.cert).fingerprint256,
      () => `the renewed certificate\n${gateway.dewy.stderr()}`,
    );

    const output = [gateway.dewy.stderr(), refused.stderr, deployed.stderr].join("");
    expect(output).not.toContain("s3cret");
    expect(output).not.toMatch(/signature=[\w-]/);
  });

  it("serves the last answer while its upstream is down, and an error if it never had one", async () => {
    const publisher = await githubPublisher();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const gateway = await startGateway(command, publisher, "--max-stale", "1h");
    const registry = `grpc://${gateway.target}?no-tls=true&allow=http`;
    const cwd = await tempDirectory();
    const check = (...args: string[]): ReturnType<typeof runDewy> =>
      runDewy(command, ["check", registry, "--json", ...args], { cwd });
    expect(JSON.parse((await check()).stdout)).toMatchObject({ kind: "ready", tag: "v1.0.0" });
    publisher.github.inject(/./, status(500), 1000);
    await until(
      async () => {
        await askByConnect(gateway);
        const health = await fetch(`${gateway.url}/healthz`);
        return (await health.json()).status === "stale";
      },
      () => `old answers\n${gateway.dewy.stderr()}`,
    );
    expect(JSON.parse((await check()).stdout)).toMatchObject({ kind: "ready", tag: "v1.0.0" });
    const other = await check("--platform", "plan9/mips");
    expect([other.code, JSON.parse(other.stdout)]).toEqual([
      2,
      expect.objectContaining({
        kind: "error",
        message: expect.stringMatching(/upstream registry/i),
      }),
    ]);
  });

  it("announces a version to machines that poll rarely", async () => {
    const publisher = await filePublisher();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const gateway = await startGateway(command, publisher);
    const cwd = await tempDirectory();
    const registry = `grpc://${gateway.target}?no-tls=true&allow=http`;
    const machine = startDewy(command, ["assets", "--registry", registry, "-i", "1h", ...LOG], {
      cwd,
    });
    await machine.seen("v1.0.0", (line) => line.msg === "Deployed" && line.tag === "v1.0.0");
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    await machine.seen("v1.1.0", (line) => line.msg === "Deployed" && line.tag === "v1.1.0");
    gateway.dewy.child.kill("SIGTERM");
    expect(await gateway.dewy.ended()).toBe(0);
    machine.child.kill("SIGTERM");
    expect(await machine.ended()).toBe(0);
  });

  it("names a port in use", async () => {
    const publisher = await filePublisher();
    const gateway = await startGateway(command, publisher);
    const port = new URL(gateway.url).port;
    const second = await runDewy(
      command,
      ["registry", "--upstream", publisher.url, "--host", "127.0.0.1", "--port", port],
      { cwd: await tempDirectory() },
    );
    expect([second.code, second.stderr]).toEqual([
      3,
      expect.stringContaining(
        `Cannot listen on port ${port} of 127.0.0.1: another program uses it`,
      ),
    ]);
  });
});

describe("two gateways with a cache and a signing key", () => {
  const node: Command = [process.execPath, join(ROOT, "dist", "cli.js")];
  /** More than the buffers between a gateway and a machine hold. */
  const BYTES = new Uint8Array(32 * 2 ** 20).fill(7);

  async function startTwo() {
    const publisher = await githubPublisher();
    await publisher.publish("v1.0.0", BYTES, "app_linux_amd64.tar.gz");
    const directory = await tempDirectory();
    const keyFile = join(directory, "key");
    await writeFile(keyFile, "k".repeat(44));
    const store = await serveFetch(fakeS3("cache", Date.now).handler);
    onTestFinished(() => store.close());
    const cache = `s3://us-east-1/cache/gateways?registry-ttl=1h&endpoint=${store.url}`;
    const env = { ...publisher.env, AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" };
    const args = ["--cache", cache, "--signing-key-file", keyFile];
    const start = (): Promise<RunningGateway> => startGateway(node, { ...publisher, env }, ...args);
    return { publisher, gateways: [await start(), await start()] as const };
  }

  async function artifactUrlOf(gateway: RunningGateway): Promise<URL> {
    const answer = await askByConnect(gateway, { os: "linux", arch: "amd64" });
    return new URL((await answer.json()).artifactUrl);
  }

  it("ask the upstream once for both", async () => {
    const { publisher, gateways } = await startTwo();
    const [first, second] = gateways;
    const url = await artifactUrlOf(first);
    const asked = publisher.github.calls.length;
    expect((await artifactUrlOf(second)).pathname).toBe(url.pathname);
    expect(publisher.github.calls.length).toBe(asked);
  });

  it("finish a download that one of them had begun when it was killed", async () => {
    const { gateways } = await startTwo();
    const [first, second] = gateways;
    const registries = gateways.map(({ target }) =>
      openRegistry(`grpc://${target}?no-tls=true&protocol=connect&allow=http`, {
        platform: { os: "linux", arch: "amd64" },
      }),
    );
    const resolution = await registries[0]?.resolve();
    if (resolution?.kind !== "ready") throw new Error("there is nothing to download");
    const { artifact, release } = resolution;
    const kill = async (): Promise<void> => {
      first.dewy.child.kill("SIGKILL");
      await first.dewy.ended();
    };
    const offsets: number[] = [];
    const { sha256, bytes } = await downloadArtifact({
      artifact,
      tag: release.tag,
      directory: await tempDirectory(),
      maxBytes: 2 * BYTES.byteLength,
      clock: systemClock,
      emit: () => {},
      signal: new AbortController().signal,
      open: async (options) => {
        offsets.push(options.offset ?? 0);
        // One name for both, as a load balancer has it.
        const host = offsets.length === 1 ? first.target : second.target;
        const at = { ...artifact, url: artifact.url.replace(first.target, host) };
        const stream = await registries[offsets.length === 1 ? 0 : 1]?.open(at, options);
        if (stream === undefined) throw new Error("there is no such registry");
        return offsets.length === 1 ? stream.pipeThrough(afterFirstChunk(kill)) : stream;
      },
    });
    expect(offsets).toHaveLength(2);
    expect(offsets[1]).toBeGreaterThan(0);
    expect(bytes).toBe(BYTES.byteLength);
    expect(`sha256:${sha256}`).toBe(artifact.digest);
  });
});

function afterFirstChunk(act: () => Promise<void>): TransformStream<Uint8Array, Uint8Array> {
  let hasActed = false;
  return new TransformStream({
    async transform(chunk, controller) {
      controller.enqueue(chunk);
      if (!hasActed) await act();
      hasActed = true;
    },
  });
}
