import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, onTestFinished, test } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { Resolution } from "../../../src/core/types.ts";
import { createHostIo } from "../../../src/host/io.ts";
import { hostRegistries } from "../../../src/host/registries.ts";
import type { HostServices } from "../../../src/registries/driver.ts";
import {
  explainRegistry,
  openRegistry,
  parseRegistryUrl,
  type RegistryOptions,
} from "../../../src/registries/open.ts";
import { fakeClock } from "../../fakes/clock.ts";
import {
  ANSWER,
  type Certificate,
  type Current,
  type FakeGrpc,
  type FakeGrpcOptions,
  loopbackCertificate,
  serveGrpc,
} from "../../fakes/grpc.ts";
import { fetchOf } from "../../fakes/handler.ts";

const LINUX = { os: "linux", arch: "x64" };
const PROTOCOLS = ["grpc", "grpc-web", "connect"] as const;

interface Setup extends RegistryOptions, HostServices {
  server?: FakeGrpcOptions;
  env?: Record<string, string>;
}

async function setup({ server = {}, env = {}, ...options }: Setup = {}): Promise<{
  server: FakeGrpc;
  registry: ReturnType<typeof openRegistry>;
  events: DewyEvent[];
}> {
  const served = await serveGrpc(server);
  onTestFinished(() => served.close());
  const events: DewyEvent[] = [];
  const emit = (event: DewyEvent): number => events.push(event);
  const io = await createHostIo({ env, platform: LINUX, emit });
  const url = `grpc://${served.target}${server.tls === undefined ? "?no-tls=true" : ""}`;
  const registry = openRegistry(url, { ...io, registries: hostRegistries, ...options });
  return { server: served, registry, events };
}

const answering = (answer: Awaited<ReturnType<Current>>, options: Setup = {}): Setup => ({
  ...options,
  server: { ...options.server, current: async () => answer },
});

async function resolve(
  answer: Awaited<ReturnType<Current>>,
  options: Setup = {},
  exclude: readonly string[] = [],
): Promise<Resolution> {
  return (await setup(answering(answer, options))).registry.resolve({ exclude });
}

describe.each(PROTOCOLS)("over %s", (protocol) => {
  test("asks for the machine in Go's spelling, and no artifact", async () => {
    const { server, registry } = await setup({ protocol, server: { http1: protocol !== "grpc" } });
    expect(await registry.resolve()).toEqual({
      kind: "ready",
      release: {
        id: "id-1",
        tag: "v1.2.3",
        version: {
          original: "v1.2.3",
          v: "v",
          segments: [1, 2, 3],
          preRelease: "",
          buildMetadata: "",
        },
      },
      artifact: { name: "app_linux_amd64.tar.gz", url: ANSWER.artifactUrl },
      files: [],
    });
    const [asked] = server.asked;
    expect(asked?.request).toMatchObject({ arch: "amd64", os: "linux" });
    expect(asked?.request.arifactName).toBeUndefined();
    expect(asked?.protocol).toBe(protocol);
    expect(asked?.headers.has("authorization")).toBe(false);
  });

  test("reports a deploy, and a failed one with its error", async () => {
    const { server, registry } = await setup({ protocol, server: { http1: protocol !== "grpc" } });
    const deployment = { id: "id-1", tag: "v1.2.3", command: "server", host: "h", at: new Date() };
    await registry.report?.(deployment);
    await registry.report?.({ ...deployment, error: "something error" });
    const [ok, failed] = server.reports;
    expect(ok).toMatchObject({ id: "id-1", tag: "v1.2.3", command: "server" });
    expect(ok?.err).toBeUndefined();
    expect(failed?.err).toBe("something error");
  });

  test("sends the token of the environment to this machine in plain text, too", async () => {
    const { server, registry } = await setup({
      protocol,
      server: { http1: protocol !== "grpc" },
      env: { DEWY_REGISTRY_TOKEN: "s3cr3t" },
    });
    await registry.resolve();
    expect(server.asked[0]?.headers.get("authorization")).toBe("Bearer s3cr3t");
  });
});

test("a host speaks gRPC, and what has only fetch speaks Connect", async () => {
  const { server, registry } = await setup();
  await registry.resolve();
  const connect = await setup({ server: { http1: true } });
  const url = (target: string): string => `grpc://${target}?no-tls=true`;
  const edge = { env: {}, platform: LINUX };
  await openRegistry(url(connect.server.target), edge).resolve();
  expect([...server.asked, ...connect.server.asked].map(({ protocol }) => protocol)).toEqual([
    "grpc",
    "connect",
  ]);
  const unable = openRegistry("grpc://h:1?protocol=grpc", edge);
  await expect(unable.resolve()).rejects.toThrow("needs a host");
  await expect(openRegistry(url(server.target), edge).resolve()).rejects.toThrow(
    /does not speak Connect.*a plain gRPC server can only be asked from a host/,
  );
});

describe("the answer", () => {
  test("carries time and slot", async () => {
    const createdAt = new Date("2026-01-02T03:04:05.678Z");
    const answer = { ...ANSWER, tag: "v1.2.3+blue", createdAt: timestampFromDate(createdAt) };
    expect(await resolve(answer, { slot: "blue" })).toMatchObject({
      kind: "ready",
      release: { createdAt, slot: "blue" },
    });
  });

  test("without a tag resolves to none", async () => {
    const none = await resolve({});
    expect(none).toMatchObject({ kind: "none", reason: "empty" });
    expect(none).toHaveProperty("message", expect.stringContaining("no version for linux/amd64"));
  });

  test("without an artifact is pending while it is new, then none", async () => {
    const at = (minutesAgo: number): { createdAt: ReturnType<typeof timestampFromDate> } => ({
      createdAt: timestampFromDate(new Date(Date.now() - minutesAgo * 60_000)),
    });
    const answer = { id: "1", tag: "v1.2.3" };
    expect(await resolve({ ...answer, ...at(29) })).toMatchObject({
      kind: "pending",
      tag: "v1.2.3",
      since: expect.any(Date),
    });
    const missing = { kind: "none", reason: "artifact-missing", tag: "v1.2.3" };
    expect(await resolve({ ...answer, ...at(31) })).toMatchObject(missing);
    expect(await resolve(answer)).toMatchObject(missing);
  });

  test("of another slot resolves to none, and names the slot", async () => {
    const filtered = await resolve({ ...ANSWER, tag: "v1.2.3+green" }, { slot: "blue" });
    expect(filtered).toMatchObject({ kind: "none", reason: "filtered", tag: "v1.2.3+green" });
    expect(filtered).toHaveProperty(
      "message",
      expect.stringMatching(/slot "green", not of slot "blue".*the server chooses/),
    );
    expect(await resolve(ANSWER, { slot: "blue" })).toMatchObject({ reason: "filtered" });
  });

  test("takes the slot out of a CalVer tag", async () => {
    const tag = "2026.01.0+blue";
    const options = { calver: "YYYY.0M.MICRO", slot: "blue" };
    expect(await resolve({ ...ANSWER, tag }, options)).toMatchObject({
      kind: "ready",
      release: { version: { segments: [2026, 1, 0] }, slot: "blue" },
    });
  });

  test("may have a tag that is not a version: the server chose it", async () => {
    expect(await resolve({ ...ANSWER, tag: "nightly+blue" }, { slot: "blue" })).toMatchObject({
      kind: "ready",
      release: { tag: "nightly+blue", slot: "blue", version: { segments: [] } },
    });
  });

  test("that is excluded resolves to none", async () => {
    expect(await resolve(ANSWER, {}, ["v1.2.3"])).toMatchObject({
      kind: "none",
      reason: "filtered",
      tag: "v1.2.3",
    });
  });

  test("is the answer to its own tag, whatever is excluded and of whatever slot", async () => {
    for (const tag of ["v1.2.3+green", "nightly"]) {
      const { registry } = await setup(answering({ ...ANSWER, tag }, { slot: "blue" }));
      const why = await explainRegistry(registry, { tag, exclude: [tag] });
      expect(why.resolution).toMatchObject({ kind: "ready", release: { tag } });
      expect(why.tags).toMatchObject([{ tag, chosen: true }]);
    }
  });

  test("is not the answer to another tag: that one is chosen on the server", async () => {
    const { registry } = await setup(answering(ANSWER));
    const why = await explainRegistry(registry, { tag: "v1.2.2" });
    expect(why.resolution).toMatchObject({
      kind: "none",
      reason: "unknown-tag",
      tag: "v1.2.2",
      message: expect.stringMatching(
        /^Cannot find the tag "v1\.2\.2" in "grpc:.*": the server answers v1\.2\.3, .*only its current version; choose v1\.2\.2 on the server$/,
      ),
    });
    expect(why.tags).toMatchObject([{ tag: "v1.2.2", chosen: false }]);
  });

  test("without a tag answers no tag", async () => {
    const { registry } = await setup(answering({ ...ANSWER, tag: "", artifactUrl: "" }));
    expect(await registry.resolve({ tag: "v1.2.2" })).toMatchObject({
      kind: "none",
      reason: "unknown-tag",
      message: expect.stringContaining("has no version for linux/amd64"),
    });
  });

  test.each([
    [{ ...ANSWER, tag: "" }, "tag:"],
    [{ ...ANSWER, tag: "v1\n" }, "tag:"],
    [{ ...ANSWER, tag: `v${"1".repeat(300)}` }, "tag:"],
    [{ ...ANSWER, id: "i".repeat(2000) }, "id:"],
    [{ ...ANSWER, createdAt: { seconds: 1n << 60n, nanos: 0 } }, "created_at:"],
    [{ ...ANSWER, artifactUrl: "file:///etc/passwd" }, 'artifact_url "file:///etc/passwd":'],
    [{ ...ANSWER, artifactUrl: "https://u:pw@example.com/a" }, 'artifact_url "https://example.com'],
    [{ ...ANSWER, fileUrls: ["file:///etc/passwd"] }, 'artifact_url "file:///etc/passwd":'],
  ])("that is malformed is an error that names the field: %#", async (answer, field) => {
    await expect(resolve(answer as typeof ANSWER)).rejects.toMatchObject({
      code: "remote",
      retryable: false,
      message: expect.stringContaining(field),
    });
  });

  test("has the files beside the artifact, under the same rules", async () => {
    const url = "https://example.com/app_linux_amd64.tar.gz.minisig";
    expect(await resolve({ ...ANSWER, fileUrls: [url] })).toMatchObject({
      files: [{ name: "app_linux_amd64.tar.gz.minisig", url }],
    });
  });

  test("is explained", async () => {
    const { registry } = await setup();
    expect(await explainRegistry(registry)).toMatchObject({
      tags: [{ tag: "v1.2.3", chosen: true, reason: "the server chose it" }],
      artifacts: [{ name: "app_linux_amd64.tar.gz", chosen: true }],
      platform: { os: "linux", arch: "amd64" },
      resolution: { kind: "ready" },
    });
    const none = await setup(answering({ ...ANSWER, tag: "v1+green" }, { slot: "blue" }));
    expect(await explainRegistry(none.registry)).toMatchObject({
      tags: [{ tag: "v1+green", chosen: false, reason: expect.stringContaining("slot") }],
      artifacts: [],
    });
  });
});

describe("the artifact", () => {
  const bytes = async (stream: ReadableStream<Uint8Array>): Promise<string> =>
    new Response(stream).text();
  const unknown = async (): Promise<string[]> => {
    throw new Error("ENOTFOUND");
  };
  const artifact = (url: string): { name: string; url: string } => ({ name: "a", url });

  test("comes from a web server, from an offset on", async () => {
    const fetch = fetchOf((request) => {
      expect(request.url).toBe("https://example.com/app.tar.gz");
      return new Response("0123456789");
    });
    const { registry } = await setup({ fetch, resolveHost: unknown });
    const url = "https://example.com/app.tar.gz";
    expect(await bytes(await registry.open(artifact(url)))).toBe("0123456789");
    expect(await bytes(await registry.open(artifact(url), { offset: 7 }))).toBe("789");
  });

  test("comes from the other registries of the table", async () => {
    const asked: string[] = [];
    const fetch = fetchOf((request) => {
      asked.push(new URL(request.url).hostname);
      return new Response("bytes");
    });
    const { registry } = await setup({
      fetch,
      env: { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" },
    });
    const url = "s3://eu-west-1/bucket/app.tar.gz";
    expect(await bytes(await registry.open(artifact(url)))).toBe("bytes");
    expect(asked).toEqual(["bucket.s3.eu-west-1.amazonaws.com"]);
  });

  test("is a file of this machine only when the user allows it", async () => {
    const directory = await mkdtemp(join(tmpdir(), "dewy-grpc-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, "app.tar.gz"), "local");
    const url = `file://${directory}/app.tar.gz`;
    const { registry } = await setup({ allow: "file" });
    expect(await bytes(await registry.open(artifact(url)))).toBe("local");
    const strict = await setup();
    await expect((async () => strict.registry.open(artifact(url)))()).rejects.toThrow("allow=file");
  });

  test("is not asked for where its name stands for this machine", async () => {
    const fetch = fetchOf(() => expect.fail("asked"));
    const resolveHost = async (): Promise<string[]> => ["127.0.0.1"];
    const { registry } = await setup({ fetch, resolveHost });
    await expect(registry.open(artifact("https://example.com/a.zip"))).rejects.toThrow(
      '"example.com" stands for 127.0.0.1',
    );
  });

  test("is not asked for where its name has come to stand for this machine", async () => {
    const fetch = fetchOf(() => expect.fail("asked"));
    const { registry } = await setup({
      fetch,
      resolveHost: async () => ["203.0.113.7"],
      guardFetch: async (guarded, check) => {
        expect(guarded).toBe(fetch);
        return async (input, init) => {
          try {
            check("example.com", ["127.0.0.1"]);
          } catch (cause) {
            throw new TypeError("fetch failed", { cause });
          }
          return guarded(input, init);
        };
      },
    });
    await expect(registry.open(artifact("https://example.com/a.zip"))).rejects.toMatchObject({
      code: "remote",
      retryable: false,
      message: expect.stringContaining('"example.com" stands for 127.0.0.1'),
    });
  });

  test("is not followed into this machine or its network", async () => {
    let asked = 0;
    const fetch = fetchOf(() => {
      asked += 1;
      return new Response(null, {
        status: 302,
        headers: { location: "https://169.254.169.254/latest/meta-data" },
      });
    });
    const { registry } = await setup({ fetch, resolveHost: unknown });
    await expect(registry.open(artifact("https://example.com/a.zip"))).rejects.toThrow(
      'leads to "169.254.169.254"',
    );
    expect(asked).toBe(1);
  });
});

describe("TLS", () => {
  const certificateFile = async (tls: Certificate): Promise<string> => {
    const directory = await mkdtemp(join(tmpdir(), "dewy-grpc-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, "ca.pem"), tls.cert);
    return join(directory, "ca.pem");
  };

  test("is spoken by default, and trusts a private CA of SSL_CERT_FILE or ca-file", async () => {
    const tls = await loopbackCertificate();
    const caFile = await certificateFile(tls);
    for (const options of [{ env: { SSL_CERT_FILE: caFile } }, { caFile }]) {
      const { registry } = await setup({ server: { tls }, ...options });
      expect(await registry.resolve()).toMatchObject({ kind: "ready" });
    }
  });

  test("does not trust whom it does not know, and says what to do", async () => {
    const { registry } = await setup({ server: { tls: await loopbackCertificate() } });
    await expect(registry.resolve()).rejects.toMatchObject({
      code: "remote",
      retryable: false,
      message: expect.stringMatching(/certificate is not trusted.*SSL_CERT_FILE/),
    });
  });

  test("an invalid ca-file is an error", async () => {
    const { registry } = await setup({
      server: { tls: await loopbackCertificate() },
      caFile: "/nowhere/ca.pem",
    });
    await expect(registry.resolve()).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining('Cannot use ca-file "/nowhere/ca.pem"'),
    });
  });

  test("missing on one side is said so", async () => {
    const plain = await setup();
    const clock = fakeClock({ skipUpTo: 8_000 });
    const io = await createHostIo({ env: {}, platform: LINUX, clock });
    const wrong = openRegistry(`grpc://${plain.server.target}`, io);
    await expect(wrong.resolve()).rejects.toThrow(/no-tls=true/);
    const secure = await setup({ server: { tls: await loopbackCertificate() } });
    const naive = openRegistry(`grpc://${secure.server.target}?no-tls=true`, io);
    await expect(naive.resolve()).rejects.toThrow(/without no-tls=true/);
  });
});

test("a token does not leave in plain text for another machine", async () => {
  const events: DewyEvent[] = [];
  const sent: Headers[] = [];
  const registry = openRegistry("grpc://registry.example.com?no-tls=true&protocol=connect", {
    env: { DEWY_REGISTRY_TOKEN: "s3cr3t" },
    platform: LINUX,
    emit: (event) => events.push(event),
    fetch: fetchOf((request) => {
      sent.push(request.headers);
      return Response.json({ code: "unauthenticated", message: "who?" }, { status: 401 });
    }),
  });
  await expect(registry.resolve()).rejects.toMatchObject({ code: "credential" });
  expect(sent.map((headers) => headers.get("authorization"))).toEqual([null]);
  expect(events).toContainEqual(
    expect.objectContaining({ type: "warning", message: expect.stringContaining("is not sent") }),
  );
});

test("a token that cannot be a header is an error that does not show it", async () => {
  const env = { DEWY_REGISTRY_TOKEN: "a\nb" };
  const registry = openRegistry("grpc://h", { env, platform: LINUX });
  await expect(registry.resolve()).rejects.toThrow(
    /^Cannot use DEWY_REGISTRY_TOKEN: it has spaces/,
  );
});

describe("the URL", () => {
  test.each([
    ["grpc://h", { target: "h:443", noTLS: false }],
    ["grpc://h?no-tls=true", { target: "h:80", noTLS: true }],
    ["grpc://[::1]:9000", { target: "[::1]:9000" }],
    ["grpc://[::1]", { target: "[::1]:443" }],
    ["grpc://h?protocol=grpc-web", { protocol: "grpc-web" }],
    ["grpc://h?allow=HTTP,%20Files.internal:8080,", { allow: ["http", "files.internal:8080"] }],
    ["grpc://h?ca-file=/etc/ca.pem", { caFile: "/etc/ca.pem" }],
  ])("%s is read", (url, parts) => {
    expect(parseRegistryUrl(url)).toMatchObject({ type: "grpc", ...parts });
  });

  test.each([
    ["grpc://", "server host is required"],
    ["grpc://h/path", "a path has no meaning"],
    ["grpc://h:99999", "is not a valid host"],
    ["grpc://h:0", "is not a valid host"],
    ["grpc://::1", "is not a valid host"],
    ["grpc://a%20b", "is not a valid host"],
    ["grpc://h?pre-release=true", 'unknown option "pre-release"'],
    ["grpc://h?artifact=a", 'unknown option "artifact"'],
    ["grpc://h?protocol=http", "protocol=http is not one of"],
    ["grpc://h?allow=http://x", "allow=http://x is neither"],
    ["grpc://h?no-tls=true&ca-file=a", "ca-file has no effect with no-tls=true"],
    ["grpc://h?protocol=connect&ca-file=a", "ca-file has no effect with protocol=connect"],
  ])("%s is refused", (url, problem) => {
    expect(() => parseRegistryUrl(url)).toThrow(problem);
  });
});
