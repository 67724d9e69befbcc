import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createHostIo } from "../../src/host/io.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { openRegistry } from "../../src/registries/open.ts";
import {
  ANSWER,
  type Certificate,
  type FakeGrpcOptions,
  failing,
  loopbackCertificate,
  serveGrpc,
} from "../fakes/grpc.ts";
import {
  type GrpcPython,
  grpcPython,
  missingGrpcPython,
  type PythonAnswer,
} from "./grpc_python.ts";

const missing = missingGrpcPython();
const HEX = "0123456789abcdef".repeat(4);
const VERSION = {
  id: "42",
  tag: "v1.2.3+blue",
  artifact_url: `https://example.com/app_linux_amd64.tar.gz#sha256=${HEX}`,
  created_at: "2026-01-02T03:04:05.678Z",
};

describe.skipIf(missing !== undefined)(`gRPC with Python${missing ? ` (${missing})` : ""}`, () => {
  let python: GrpcPython;
  let tls: Certificate;
  let caFile: string;

  beforeAll(async () => {
    python = await grpcPython();
    tls = await loopbackCertificate();
    caFile = join(python.directory, "ca.pem");
    await writeFile(caFile, tls.cert);
  });
  afterAll(() => python.remove());

  async function registryOf(
    answer: PythonAnswer,
    secure: boolean,
    env: Record<string, string> = {},
  ): Promise<{
    registry: ReturnType<typeof openRegistry>;
    requests: Record<string, unknown>[];
  }> {
    const server = await python.serve(answer, secure ? tls : undefined);
    onTestFinished(() => server.stop());
    const io = await createHostIo({
      env: secure ? { SSL_CERT_FILE: caFile, ...env } : env,
      platform: { os: "darwin", arch: "arm64" },
    });
    const url = `grpc://${server.target}${secure ? "" : "?no-tls=true"}`;
    const registry = openRegistry(url, { ...io, registries: hostRegistries });
    return { registry, requests: server.requests };
  }

  describe.each([
    ["h2c", false],
    ["TLS with a private CA", true],
  ])("over %s", (_, secure) => {
    test("dewy queries a Python server and reports to it", async () => {
      const { registry, requests } = await registryOf(VERSION, secure, {
        DEWY_REGISTRY_TOKEN: "s3cr3t",
      });
      expect(await registry.resolve()).toMatchObject({
        kind: "ready",
        release: {
          id: "42",
          tag: "v1.2.3+blue",
          slot: "blue",
          createdAt: new Date(VERSION.created_at),
        },
        artifact: {
          name: "app_linux_amd64.tar.gz",
          url: "https://example.com/app_linux_amd64.tar.gz",
          digest: `sha256:${HEX}`,
        },
      });
      const deployment = { id: "42", tag: "v1.2.3", command: "server", host: "h", at: new Date() };
      await registry.report?.({ ...deployment, error: "something error" });
      await registry.report?.(deployment);
      // The server prints a request after it has answered it.
      await expect
        .poll(() => requests)
        .toEqual([
          {
            method: "Current",
            arch: "arm64",
            os: "darwin",
            arifact_name: null,
            authorization: "Bearer s3cr3t",
            has_deadline: true,
          },
          { method: "Report", id: "42", tag: "v1.2.3", command: "server", err: "something error" },
          { method: "Report", id: "42", tag: "v1.2.3", command: "server", err: null },
        ]);
    });

    test("a Python client queries a server of the same contract", async () => {
      const createdAt = timestampFromDate(new Date(VERSION.created_at));
      const options: FakeGrpcOptions = { current: async () => ({ ...ANSWER, createdAt }) };
      const server = await serveGrpc(secure ? { ...options, tls } : options);
      onTestFinished(() => server.close());
      const target = server.target.replace("127.0.0.1", "localhost");
      expect(await python.ask(target, { token: "t0ken", ...(secure ? { caFile } : {}) })).toEqual({
        id: ANSWER.id,
        tag: ANSWER.tag,
        artifact_url: ANSWER.artifactUrl,
        created_at: VERSION.created_at,
      });
      expect(server.asked[0]?.headers.get("authorization")).toBe("Bearer t0ken");
      expect(server.reports).toMatchObject([
        { id: "id-1", tag: "v1.2.3", command: "server", err: "something error" },
      ]);
    });
  });

  test.each([
    ["UNAUTHENTICATED", "credential"],
    ["PERMISSION_DENIED", "credential"],
    ["NOT_FOUND", "not-found"],
    ["RESOURCE_EXHAUSTED", "rate-limited"],
    ["INTERNAL", "remote"],
    ["UNIMPLEMENTED", "config"],
  ])("a Python server's %s becomes a DewyError with its details", async (status, code) => {
    const { registry } = await registryOf({ status, details: "Größe 100% no" }, false);
    await expect(registry.resolve()).rejects.toMatchObject({
      code,
      message: expect.stringMatching(new RegExp(`${status}: Größe 100% no`)),
    });
  });

  test("a Python client reads the statuses of a server in TypeScript", async () => {
    const server = await serveGrpc({ current: failing(Code.FailedPrecondition, "not yet: ü") });
    onTestFinished(() => server.close());
    expect(await python.ask(server.target)).toEqual({
      status: "FAILED_PRECONDITION",
      details: "not yet: ü",
    });
  });

  test("an empty answer of a Python server means that there is no release", async () => {
    const { registry } = await registryOf({ id: "", tag: "", artifact_url: "" }, false);
    expect(await registry.resolve()).toMatchObject({ kind: "none", reason: "empty" });
  });
});
