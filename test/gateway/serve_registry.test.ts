import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { NotFoundError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { DeployReport, RegistryLogic, VersionQuestion } from "../../src/gateway/contract.ts";
import {
  type RegistryServer,
  type ServeRegistryOptions,
  serveRegistry,
} from "../../src/host/rpc_server/server.ts";
import {
  missingPythonGrpc,
  type PythonGrpcClient,
  startPythonGrpcClient,
} from "../peers/grpc_python_client.ts";
import { makeCertificate } from "./certificate.ts";

const noPython = missingPythonGrpc();
const QUESTION = { os: "linux", arch: "amd64" };
const PATH = "/dewy.RegistryService/Current";

interface Served {
  server: RegistryServer;
  questions: VersionQuestion[];
  reports: DeployReport[];
  events: DewyEvent[];
}

async function serve(
  options: Partial<ServeRegistryOptions> = {},
  logic: Partial<RegistryLogic> = {},
): Promise<Served> {
  const questions: VersionQuestion[] = [];
  const reports: DeployReport[] = [];
  const events: DewyEvent[] = [];
  const server = await serveRegistry(
    {
      current: (question) => {
        questions.push(question);
        return {
          id: "7",
          tag: "v1.2.3",
          artifactUrl: "https://example.com/app.tar.gz",
          createdAt: new Date("2026-05-01T00:00:00Z"),
        };
      },
      report: (report) => void reports.push(report),
      ...logic,
    },
    { port: 0, host: "127.0.0.1", emit: (event) => void events.push(event), ...options },
  );
  onTestFinished(() => server.close(0));
  return { server, questions, reports, events };
}

async function python(server: RegistryServer, caFile?: string): Promise<PythonGrpcClient> {
  const client = await startPythonGrpcClient(`localhost:${server.port}`, caFile);
  onTestFinished(() => client.close());
  return client;
}

function post(url: string, body: BodyInit, headers: Record<string, string>): Promise<Response> {
  return fetch(url, { method: "POST", body, headers });
}

function askByConnect(
  server: RegistryServer,
  request: Record<string, string> = QUESTION,
  headers: Record<string, string> = {},
): Promise<Response> {
  return post(server.url + PATH, JSON.stringify(request), {
    "content-type": "application/json",
    ...headers,
  });
}

describe.skipIf(noPython !== undefined)(`gRPC's own client${noPython ?? ""}`, () => {
  test.each(["h2c", "TLS"])("requests and reports over %s", async (transport) => {
    const tls = transport === "TLS" ? await makeCertificate() : undefined;
    const { server, questions, reports } = await serve({ tls, host: "localhost" });
    const client = await python(server, tls?.caFile);
    expect(await client.call("Current", QUESTION, { "x-host": "web1" })).toEqual({
      id: "7",
      tag: "v1.2.3",
      artifact_url: "https://example.com/app.tar.gz",
      created_at: "2026-05-01T00:00:00Z",
    });
    expect(questions).toMatchObject([
      { ...QUESTION, origin: `${tls === undefined ? "http" : "https"}://localhost:${server.port}` },
    ]);
    expect(questions[0]?.address).toMatch(/^(127\.0\.0\.1|::1)$/);
    expect(questions[0]?.headers.get("x-host")).toBe("web1");
    const report = { id: "7", tag: "v1.2.3", command: "assets" };
    expect(await client.call("Report", report)).toEqual({});
    expect(await client.call("Report", { ...report, err: "line\u001b[2J 1\nline 2" })).toEqual({});
    expect(reports).toMatchObject([
      { ...report, error: undefined },
      { ...report, error: "line [2J 1 line 2" },
    ]);
  });

  test("receives a code for each error, and the message only of a DewyError", async () => {
    const errors: Error[] = [new NotFoundError("no such app"), new TypeError("/secret/path broke")];
    const { server, events } = await serve(
      {},
      {
        current: () => {
          throw errors.shift() ?? new Error("unexpected call");
        },
      },
    );
    const client = await python(server);
    expect(await client.call("Current", QUESTION)).toEqual({
      code: "NOT_FOUND",
      details: "no such app",
    });
    expect(await client.call("Current", QUESTION)).toEqual({
      code: "INTERNAL",
      details: "The registry failed; its log says why",
    });
    expect(events).toMatchObject([{ type: "warning", fields: { reason: "/secret/path broke" } }]);
    expect(await client.call("Current", { os: "../x", arch: "amd64" })).toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    expect(await client.call("Report", { id: "1", tag: "a\nb", command: "x" })).toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });

  test("requests an artifact by its name", async () => {
    const { server, questions } = await serve();
    const client = await python(server);
    await client.call("Current", { ...QUESTION, arifact_name: "app v1 (2).zip" });
    expect(questions).toMatchObject([{ ...QUESTION, artifact: "app v1 (2).zip" }]);
    await client.call("Current", { ...QUESTION, arifact_name: "" });
    expect(questions[1]?.artifact).toBeUndefined();
    for (const arifact_name of ["../x", "a/b", "a\\b", "..", "a\nb", "x".repeat(256)]) {
      expect(await client.call("Current", { ...QUESTION, arifact_name })).toMatchObject({
        code: "INVALID_ARGUMENT",
      });
    }
  });

  test.each(["h2c", "TLS"])("receives UNIMPLEMENTED for unknown methods, over %s", async (how) => {
    const tls = how === "TLS" ? await makeCertificate() : undefined;
    const { server } = await serve({
      tls,
      host: "localhost",
      fetch: () => new Response("a page"),
    });
    const client = await python(server, tls?.caFile);
    for (const method of [
      "/dewy.RegistryService/Nothing",
      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
      "/grpc.health.v1.Health/List",
      "/healthz",
    ] as const) {
      expect(await client.call(method, { bytes: "x".repeat(1_000_000) })).toEqual({
        code: "UNIMPLEMENTED",
        details: `There is no method ${method}`,
      });
    }
    expect(await client.call("Current", QUESTION)).toMatchObject({ id: "7" });
  });

  test("checks the server's health without a token", async () => {
    let isServing = true;
    const { server } = await serve({ token: "s3cret", isServing: () => isServing });
    const client = await python(server);
    for (const service of ["", "dewy.RegistryService", "grpc.health.v1.Health"]) {
      expect(await client.call("Check", { service })).toEqual({ status: 1 });
    }
    isServing = false;
    expect(await client.call("Check", { service: "dewy.RegistryService" })).toEqual({ status: 2 });
    expect(await client.call("Check", { service: "other" })).toMatchObject({ code: "NOT_FOUND" });
  });

  test("watches the server's health until the server stops", async () => {
    let isServing = true;
    const { server } = await serve({ isServing: () => isServing });
    const client = await python(server);
    expect(await client.call("Watch", { service: "" })).toEqual({ status: 1 });
    isServing = false;
    expect(await client.call("Watch", {})).toEqual({ status: 2 });
    isServing = true;
    expect(await client.call("Watch", {})).toEqual({ status: 1 });
    const closed = server.close(30_000);
    expect(await client.call("Watch", {})).toEqual({ status: 2 });
    expect(await client.call("Watch", {})).toMatchObject({ code: "UNAVAILABLE" });
    await closed;
  });

  test("receives SERVICE_UNKNOWN from a watch of an unknown service", async () => {
    const { server } = await serve();
    const client = await python(server);
    expect(await client.call("Watch", { service: "other" })).toEqual({ status: 3 });
  });

  test("without the token is refused, even with a large request", async () => {
    const { server } = await serve({ token: "s3cret" });
    const client = await python(server);
    const big = { id: "1", tag: "v1", command: "assets", err: "x".repeat(10_000_000) };
    expect(await client.call("Report", big)).toEqual({
      code: "UNAUTHENTICATED",
      details: "A bearer token is required",
    });
    expect(await client.call("Current", QUESTION)).toMatchObject({ code: "UNAUTHENTICATED" });
  });

  test("needs the token if there is one", async () => {
    const { server, questions } = await serve({ token: "s3cret" });
    const client = await python(server);
    const bearer = (token: string): Record<string, string> => ({
      authorization: `Bearer ${token}`,
    });
    for (const metadata of [{}, bearer("s3cre"), bearer("s3cret2"), { authorization: "s3cret" }]) {
      expect(await client.call("Current", QUESTION, metadata)).toMatchObject({
        code: "UNAUTHENTICATED",
      });
    }
    expect(questions).toEqual([]);
    expect(await client.call("Current", QUESTION, bearer("s3cret"))).toMatchObject({ id: "7" });
  });

  test("receives an empty answer without a version, and only a tag while it is incomplete", async () => {
    const answers = [undefined, { tag: "v2.0.0" }];
    const { server } = await serve({}, { current: () => answers.shift() });
    const client = await python(server);
    expect(await client.call("Current", QUESTION)).toEqual({ id: "", tag: "", artifact_url: "" });
    expect(await client.call("Current", QUESTION)).toEqual({
      id: "v2.0.0",
      tag: "v2.0.0",
      artifact_url: "",
    });
  });
});

describe("a plain HTTP client", () => {
  test("requests over Connect", async () => {
    const { server } = await serve();
    const response = await askByConnect(server, { os: "win32", arch: "x64" });
    expect(await response.json()).toEqual({
      id: "7",
      tag: "v1.2.3",
      artifactUrl: "https://example.com/app.tar.gz",
      createdAt: "2026-05-01T00:00:00Z",
    });
  });

  test("requests over gRPC-Web", async () => {
    const { server, questions } = await serve();
    // Fields 1 and 2 of CurrentRequest, in one frame. https://grpc.github.io/grpc/core/md_doc__p_r_o_t_o_c_o_l-_w_e_b.html
    const message = Buffer.from("\x0a\x05amd64\x12\x05linux", "latin1");
    const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
    const response = await post(server.url + PATH, frame, {
      "content-type": "application/grpc-web+proto",
    });
    const answer = Buffer.from(await response.arrayBuffer()).toString("latin1");
    expect(answer).toContain("v1.2.3");
    expect(answer).toMatch(/grpc-status: 0/);
    expect(questions).toMatchObject([QUESTION]);
  });

  test("cannot send more than the size limit", async () => {
    const { server, reports } = await serve();
    const big = { id: "1", tag: "v1", command: "assets", err: "x".repeat(65 * 1024) };
    const response = await post(`${server.url}/dewy.RegistryService/Report`, JSON.stringify(big), {
      "content-type": "application/json",
    });
    expect(await response.json()).toMatchObject({ code: "resource_exhausted" });
    expect(reports).toEqual([]);
  });

  test("without the token is refused before it sends its request", async () => {
    const { server } = await serve({ token: "s3cret" });
    const socket = connect(server.port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.write(
      `POST ${PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 20000000\r\n\r\n`,
    );
    const [answer] = await once(socket, "data");
    expect(String(answer)).toMatch(/^HTTP\/1\.1 401 /);
    expect((await askByConnect(server)).status).toBe(401);
    const right = { authorization: "Bearer s3cret" };
    expect((await askByConnect(server, QUESTION, right)).status).toBe(200);
  });

  test("receives 404 for an unknown method", async () => {
    const { server } = await serve();
    const response = await post(`${server.url}/dewy.RegistryService/Nothing`, "{}", {
      "content-type": "application/json",
    });
    expect([response.status, await response.json()]).toEqual([
      501,
      { code: "unimplemented", message: "There is no method /dewy.RegistryService/Nothing" },
    ]);
  });

  test("receives the server's timeout", async () => {
    const { server } = await serve({}, { current: () => new Promise(() => {}) });
    const response = await askByConnect(server, QUESTION, {
      "connect-protocol-version": "1",
      "connect-timeout-ms": "50",
    });
    expect(await response.json()).toMatchObject({ code: "deadline_exceeded" });
  });

  test("receives 404 on other paths, or what the fetch option serves", async () => {
    const { server } = await serve({
      fetch: (request) =>
        new URL(request.url).pathname === "/healthz" ? new Response("fine") : undefined,
    });
    expect(await (await fetch(`${server.url}/healthz`)).text()).toBe("fine");
    expect((await fetch(`${server.url}/other`)).status).toBe(404);
  });
});

describe("the port", () => {
  const raw = async (server: RegistryServer): Promise<Socket> => {
    const socket = connect(server.port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  };

  test("detects HTTP/2 and HTTP/1.1 when the first bytes arrive one by one", async () => {
    const { server } = await serve({ fetch: () => new Response("fine") });
    const http1 = await raw(server);
    for (const byte of "PR") http1.write(byte);
    http1.write("OPFIND /x HTTP/1.1\r\nhost: x\r\n\r\n");
    expect(String((await once(http1, "data"))[0])).toMatch(/^HTTP\/1\.1 200/);
    const http2 = await raw(server);
    for (const byte of "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") http2.write(byte);
    http2.write(Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0));
    const [settings] = await once(http2, "data");
    expect(settings[3]).toBe(4); // A SETTINGS frame.
  });

  test("survives clients that disconnect early", async () => {
    const { server } = await serve();
    for (const start of ["", "P", "GET / HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage"]) {
      const socket = await raw(server);
      socket.write(start);
      socket.resetAndDestroy();
    }
    expect((await askByConnect(server)).status).toBe(200);
  });

  test("in use is an error that names it", async () => {
    const { server } = await serve();
    await expect(serve({ port: server.port })).rejects.toMatchObject({
      name: "HostError",
      message: `Cannot listen on port ${server.port} of 127.0.0.1: another program uses it; choose another --port`,
    });
  });

  test("reports an invalid certificate or key", async () => {
    const [tls, other] = [await makeCertificate(), await makeCertificate()];
    const errorOf = (files: { cert: string; key: string }): Promise<unknown> =>
      serve({ tls: files }).catch((error: unknown) => error);
    const start = "Cannot use the TLS certificate and key: ";
    expect(await errorOf({ ...tls, cert: "x" })).toMatchObject({
      code: "config",
      message: `${start}the certificate is not in PEM format`,
    });
    expect(await errorOf({ ...tls, key: tls.cert })).toMatchObject({
      message: `${start}the key is not an unencrypted private key in PEM format`,
    });
    expect(await errorOf({ ...tls, key: other.key })).toMatchObject({
      message: `${start}the key belongs to another certificate`,
    });
  });
});

test("new connections get a renewed certificate, and an invalid one is ignored", async () => {
  const [first, second] = [await makeCertificate(), await makeCertificate()];
  const { server } = await serve({ tls: first });
  const seen = async (): Promise<string> => {
    const socket = connectTls({ port: server.port, host: "127.0.0.1", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  };
  expect(await seen()).toBe(new X509Certificate(first.cert).fingerprint256);
  server.renewTls(second);
  const renewed = new X509Certificate(second.cert).fingerprint256;
  expect(await seen()).toBe(renewed);
  expect(() => server.renewTls({ cert: "x", key: "y" })).toThrow("Cannot use the TLS certificate");
  expect(await seen()).toBe(renewed);
});

describe("a server that stops", () => {
  test.each(["HTTP/1.1", "HTTP/2"])(
    "lets a download over %s finish, and accepts nothing new",
    async (http) => {
      let send = (_text: string): void => {};
      let end = (): void => {};
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          send = (text) => controller.enqueue(new TextEncoder().encode(text));
          end = () => controller.close();
        },
      });
      const { server } = await serve({ fetch: () => new Response(body) });
      send("first ");
      const text =
        http === "HTTP/2" ? await downloadByHttp2(server) : await downloadByHttp1(server);
      const closed = server.close(20_000);
      await expect(fetch(server.url)).rejects.toThrow();
      send("last");
      end();
      expect(await text()).toBe("first last");
      await closed;
    },
  );

  test("closes connections after its grace period", async () => {
    let isCancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(1)),
      cancel: () => {
        isCancelled = true;
      },
    });
    const { server } = await serve({ fetch: () => new Response(body) });
    const response = await fetch(server.url);
    await server.close(50);
    await expect(response.arrayBuffer()).rejects.toThrow();
    await expect.poll(() => isCancelled).toBe(true);
  });
});

async function downloadByHttp1(server: RegistryServer): Promise<() => Promise<string>> {
  const response = await fetch(server.url);
  return () => response.text();
}

async function downloadByHttp2(server: RegistryServer): Promise<() => Promise<string>> {
  const session = connectHttp2(server.url);
  onTestFinished(() => session.destroy());
  const stream = session.request({ ":path": "/" });
  let text = "";
  stream.on("data", (chunk) => {
    text += chunk;
  });
  const ended = once(stream, "end");
  await once(stream, "response");
  return async () => {
    await ended;
    return text;
  };
}
