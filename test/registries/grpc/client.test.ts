import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { Code } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import { openHttp2Channel } from "../../../src/host/net/grpc_transport.ts";
import {
  createGrpcClient,
  GRPC_DEADLINE_MS,
  type GrpcClient,
} from "../../../src/registries/grpc/client.ts";
import { openFetchChannel } from "../../../src/registries/grpc/web.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import { ANSWER, type FakeGrpcOptions, failing, serveGrpc } from "../../fakes/grpc.ts";

const QUESTION = { arch: "amd64", os: "linux" };
/** Pauses between attempts are over at once; deadlines are not. */
const PAUSES = 8_000;

interface Made {
  client: GrpcClient;
  clock: FakeClock;
  events: DewyEvent[];
}

function clientOf(
  target: string,
  protocol: "grpc" | "grpc-web" | "connect" = "grpc",
  token = "",
): Made {
  const clock = fakeClock({ skipUpTo: PAUSES });
  const events: DewyEvent[] = [];
  const baseUrl = `http://${target}`;
  const emit = (event: DewyEvent): number => events.push(event);
  const open = async (): ReturnType<typeof openHttp2Channel> =>
    protocol === "grpc"
      ? openHttp2Channel({ baseUrl, caFile: "" }, { env: {}, emit })
      : openFetchChannel(protocol, baseUrl, fetch);
  return {
    client: createGrpcClient({ baseUrl, protocol, token, open }, { clock, emit }),
    clock,
    events,
  };
}

async function serve(
  options: FakeGrpcOptions,
  protocol?: "grpc" | "grpc-web" | "connect",
  token?: string,
): Promise<Made & { server: Awaited<ReturnType<typeof serveGrpc>> }> {
  const server = await serveGrpc({ http1: (protocol ?? "grpc") !== "grpc", ...options });
  onTestFinished(() => server.close());
  return { server, ...clientOf(server.target, protocol, token) };
}

/** A TCP server that does what a test says with each connection. */
async function serveTcp(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe.each(["grpc", "grpc-web", "connect"] as const)("a status over %s", (protocol) => {
  test.each([
    [Code.Unauthenticated, { code: "credential", retryable: false }, 1],
    [Code.PermissionDenied, { code: "credential", retryable: false }, 1],
    [Code.NotFound, { code: "not-found" }, 1],
    [Code.Unimplemented, { code: "config" }, 1],
    [Code.Unavailable, { code: "remote", retryable: true }, 4],
    [Code.DeadlineExceeded, { code: "timeout", retryable: true }, 1],
    [Code.ResourceExhausted, { code: "rate-limited", retryable: true }, 1],
    [Code.Internal, { code: "remote", retryable: true }, 1],
    [Code.Unknown, { code: "remote", retryable: true }, 1],
    [Code.Aborted, { code: "remote", retryable: true }, 1],
    [Code.InvalidArgument, { code: "remote", retryable: false }, 1],
    [Code.FailedPrecondition, { code: "remote", retryable: false }, 1],
    [Code.DataLoss, { code: "remote", retryable: false }, 1],
  ])("%i becomes a DewyError", async (code, expected, attempts) => {
    const { client, server } = await serve({ current: failing(code, "so it is") }, protocol);
    const error: Error = await client.current(QUESTION, undefined).then(
      () => expect.fail("no error"),
      (thrown) => thrown,
    );
    expect(error).toMatchObject(expected);
    expect(error.message).toContain(`Cannot call Current of http://${server.target}: `);
    if (code !== Code.DeadlineExceeded) expect(error.message).toContain("so it is");
    expect(server.asked).toHaveLength(attempts);
  });
});

test("a server's words are one short line without the token", async () => {
  const message = `no\nway for tok-0123456789 ${"x".repeat(1000)}`;
  const current = failing(Code.PermissionDenied, message);
  const { client } = await serve({ current }, "grpc", "tok-0123456789");
  const error: Error = await client.current(QUESTION, undefined).then(
    () => expect.fail("no error"),
    (thrown) => thrown,
  );
  expect(error.message).toContain("no way for … xxx");
  expect(error.message).not.toMatch(/tok-|\n/);
  expect(error.message.length).toBeLessThan(400);
});

test("a call that is unavailable at first goes well in the end", async () => {
  let calls = 0;
  const unavailable = failing(Code.Unavailable, "starting");
  const { client, events } = await serve({
    current: async (request, context) => {
      calls += 1;
      return calls < 3 ? unavailable(request, context) : ANSWER;
    },
  });
  expect(await client.current(QUESTION, undefined)).toMatchObject({ tag: "v1.2.3" });
  expect(events.filter(({ type }) => type === "retry")).toHaveLength(2);
  expect(events.filter(({ type }) => type === "request")).toMatchObject([
    { attempt: 1, status: undefined },
    { attempt: 2, status: undefined },
    { attempt: 3, status: 200, url: expect.stringMatching(/\/dewy\.RegistryService\/Current$/) },
  ]);
});

test("a wait that the server asks for is obeyed, or left to the poll loop when it is long", async () => {
  const current = failing(Code.Unavailable, "busy", { "retry-after": "7" });
  const short = await serve({ current });
  await expect(short.client.current(QUESTION, undefined)).rejects.toThrow("busy");
  expect(short.clock.slept.filter((ms) => ms === 7_000)).toHaveLength(3);
  const long = await serve({
    current: failing(Code.ResourceExhausted, "", { "retry-after": "600" }),
  });
  await expect(long.client.current(QUESTION, undefined)).rejects.toMatchObject({
    code: "rate-limited",
    retryAfterMs: 600_000,
  });
});

test("a server without Report is said to have none", async () => {
  const { client } = await serve({ without: "report" });
  const report = { id: "1", tag: "v1", command: "assets" };
  await expect(client.report(report, undefined)).rejects.toMatchObject({
    code: "config",
    message: expect.stringContaining("the server has no dewy.RegistryService/Report"),
  });
});

test("a server that is silent is given up after the deadline, which is sent to it", async () => {
  let timeout: string | null = null;
  const { client, clock } = await serve({
    current: (_, context) => {
      timeout = context.requestHeader.get("grpc-timeout");
      return new Promise(() => {});
    },
  });
  const call = client.current(QUESTION, undefined);
  const outcome = expect(call).rejects.toMatchObject({
    code: "timeout",
    retryable: true,
    message: expect.stringContaining("no answer within 10 s"),
  });
  await expect.poll(() => timeout).toBe(`${GRPC_DEADLINE_MS}m`);
  clock.advance(GRPC_DEADLINE_MS);
  await outcome;
});

test("a server that accepts and says nothing is given up after the deadline", async () => {
  let accepted = 0;
  const target = await serveTcp(() => {
    accepted += 1;
  });
  const { client, clock } = clientOf(target);
  const outcome = expect(client.current(QUESTION, undefined)).rejects.toMatchObject({
    code: "timeout",
  });
  await expect.poll(() => accepted).toBe(1);
  clock.advance(GRPC_DEADLINE_MS);
  await outcome;
});

test("a connection that has answered before and is dead now is reopened within the call", async () => {
  let isDead = false;
  const upstream = await serveGrpc();
  onTestFinished(() => upstream.close());
  const [, port = ""] = upstream.target.split(":");
  const { connect } = await import("node:net");
  let connections = 0;
  const target = await serveTcp((socket) => {
    connections += 1;
    const behind = connect(Number(port), "127.0.0.1");
    behind.on("error", () => {});
    const first = connections === 1;
    // As a firewall that has forgotten the connection: nothing passes, and neither side is notified.
    socket.on("data", (chunk) => !(first && isDead) && behind.write(chunk));
    behind.on("data", (chunk) => socket.write(chunk));
  });
  const { client, clock } = clientOf(target);
  await client.current(QUESTION, undefined);
  isDead = true;
  const call = client.current(QUESTION, undefined);
  await clock.sleeping(GRPC_DEADLINE_MS);
  clock.advance(GRPC_DEADLINE_MS);
  expect(await call).toMatchObject({ tag: "v1.2.3" });
  expect(connections).toBe(2);
});

test.each([true, false])(
  "a connection that the server closes is reopened (politely: %j)",
  async (politely) => {
    const { client, server } = await serve({});
    await client.current(QUESTION, undefined);
    await client.current(QUESTION, undefined);
    expect(server.connections()).toBe(1);
    server.hangUp(politely);
    expect(await client.current(QUESTION, undefined)).toMatchObject({ tag: "v1.2.3" });
    expect(server.connections()).toBe(2);
  },
);

test("a connection that breaks during a call is reopened", async () => {
  let calls = 0;
  const { client, server } = await serve({
    current: async () => {
      calls += 1;
      if (calls > 1) return ANSWER;
      server.hangUp();
      return new Promise(() => {});
    },
  });
  expect(await client.current(QUESTION, undefined)).toMatchObject({ tag: "v1.2.3" });
  expect(server.connections()).toBe(2);
});

test("a server that is not there is tried four times", async () => {
  const server = await serveGrpc();
  await server.close();
  const { client, events } = clientOf(server.target);
  await expect(client.current(QUESTION, undefined)).rejects.toMatchObject({
    code: "remote",
    retryable: true,
    message: `Cannot call Current of http://${server.target}: the connection was refused (ECONNREFUSED)`,
  });
  expect(events.filter(({ type }) => type === "request")).toHaveLength(4);
});

test("a server that comes back is found by the same client", async () => {
  const server = await serveGrpc();
  const { client } = clientOf(server.target);
  await server.close();
  await expect(client.current(QUESTION, undefined)).rejects.toThrow("refused");
  const again = await serveGrpc({ port: Number(server.target.split(":")[1]) });
  onTestFinished(() => again.close());
  expect(await client.current(QUESTION, undefined)).toMatchObject({ tag: "v1.2.3" });
});

test("the caller's signal ends a call, and one that has not begun", async () => {
  const controller = new AbortController();
  const { client, server } = await serve({
    current: () => {
      controller.abort(new Error("enough"));
      return new Promise(() => {});
    },
  });
  const aborted = { code: "aborted" };
  await expect(client.current(QUESTION, controller.signal)).rejects.toMatchObject(aborted);
  await expect(client.current(QUESTION, controller.signal)).rejects.toMatchObject(aborted);
  expect(server.asked).toHaveLength(1);
});

describe("malformed responses", () => {
  const answerRaw = async (
    headers: Record<string, string>,
    body: Uint8Array,
    trailers: Record<string, string> = { "grpc-status": "0" },
  ): Promise<GrpcClient> => {
    const server = createHttp2Server();
    server.on("stream", (stream) => {
      stream.respond({ ":status": 200, ...headers }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers(trailers));
      stream.on("error", () => {});
      stream.end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { client } = clientOf(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => void server.close());
    return client;
  };
  const framed = (...bytes: number[]): Uint8Array =>
    Uint8Array.from([0, 0, 0, 0, bytes.length, ...bytes]);
  const GRPC = { "content-type": "application/grpc+proto" };

  test.each([
    [
      "HTML",
      { "content-type": "text/html" },
      Buffer.from("<h1>Hello</h1>"),
      /unsupported content type text\/html.*no gRPC server/,
    ],
    [
      "a message that is cut off",
      GRPC,
      framed(0x12, 0x7f, 0x76),
      /is not a dewy.CurrentResponse: /,
    ],
    ["a field of a wrong type", GRPC, framed(0x10, 0x01), /is not a dewy.CurrentResponse: /],
    [
      "text that is not UTF-8",
      GRPC,
      framed(0x12, 0x02, 0xff, 0xfe),
      /is not a dewy.CurrentResponse: /,
    ],
    ["no message", GRPC, new Uint8Array(), /missing output message/],
    ["half a frame", GRPC, Uint8Array.from([0, 0, 0]), /protocol error|premature|incomplete/],
    [
      "an answer without end",
      GRPC,
      Uint8Array.from([0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3]),
      /larger|limit|protocol error/,
    ],
  ])("%s is an error, no crash", async (_, headers, body, problem) => {
    const client = await answerRaw(headers, body);
    await expect(client.current(QUESTION, undefined)).rejects.toThrow(problem);
  });
});
