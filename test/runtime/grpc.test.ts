import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ANSWER, type FakeGrpc, loopbackCertificate, serveGrpc } from "../fakes/grpc.ts";
import { runCase, runtimes } from "./runtimes.ts";

let directory: string;
let plain: FakeGrpc;
let secure: FakeGrpc;
let silent: Server;
const sockets = new Set<Socket>();

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "dewy-grpc-"));
  const tls = await loopbackCertificate();
  await writeFile(join(directory, "ca.pem"), tls.cert);
  [plain, secure] = await Promise.all([serveGrpc(), serveGrpc({ tls })]);
  silent = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  silent.close();
  await Promise.all([plain, secure].map((server) => server.close()));
  await rm(directory, { recursive: true });
});

describe.each(runtimes)("$name", (runtime) => {
  test.each(["h2c", "TLS with a private CA"])("polls, reports and exits, over %s", async (how) => {
    const server = how === "h2c" ? plain : secure;
    const silentUrl = `grpc://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const env: Record<string, string> =
      how === "h2c"
        ? { REGISTRY: `grpc://${server.target}?no-tls=true`, SILENT: `${silentUrl}?no-tls=true` }
        : {
            REGISTRY: `grpc://${server.target}`,
            SILENT: silentUrl,
            SSL_CERT_FILE: join(directory, "ca.pem"),
          };
    const connections = server.connections();
    const { code, stdout, stderr } = await runCase(runtime, "test/runtime/grpc_case.ts", env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({
      tag: ANSWER.tag,
      url: ANSWER.artifactUrl,
      silent: "timeout",
    });
    expect(server.asked.at(-1)).toMatchObject({ protocol: "grpc", request: { arch: "amd64" } });
    expect(server.reports.at(-1)).toMatchObject({ id: "id-1", err: "it crashed" });
    expect(server.connections() - connections).toBe(1);
  });
});
