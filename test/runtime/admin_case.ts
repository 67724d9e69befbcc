// The behaviour of the admin server, the same on every runtime. Run by test/admin/runtime.test.ts.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openListener } from "../../src/admin/listener.ts";
import { type AdminOptions, openAdmin } from "../../src/admin/open.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { closeServer, portsInARow } from "../peers/ports.ts";
import { equal } from "./check.ts";

const TOKEN = "a-token-of-the-admin-api";
const HOST = "Host: localhost";
const LIMITS = {
  headersTimeoutMs: 200,
  requestTimeoutMs: 60_000,
  keepAliveMs: 60_000,
  connections: 3,
};

/** Runs all checks and returns their names. Throws if one fails. */
export async function adminCase(): Promise<string[]> {
  const passed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    await check();
    passed.push(name);
  }
  return passed;
}

const checks = {
  "answers on loopback, and no longer when it is closed": async () => {
    const admin = await open();
    equal(admin.url, `http://127.0.0.1:${admin.port}`, "url");
    equal(admin.events, [{ type: "listening", url: admin.url, protocols: "admin API" }], "events");
    const response = await fetch(`${admin.url}/api/status`);
    equal(((await response.json()) as { name: string }).name, "app", "name");
    equal((await fetch(`${admin.url}/`)).status, 200, "page");
    await admin.close();
    const again = await open(admin.port);
    equal(again.port, admin.port, "the port is free again");
    await again.close();
  },
  "keeps a connection for several requests": async () => {
    const admin = await open();
    const client = dial(admin.port);
    for (const _ of [1, 2, 3]) {
      client.send("GET /healthz HTTP/1.1", HOST);
      await client.receives("ok\n");
    }
    client.send("HEAD /healthz HTTP/1.1", HOST);
    await client.receives("\r\n\r\n");
    client.send("GET /readyz HTTP/1.1", HOST);
    const text = await client.receives("ready\n");
    equal(text.startsWith("HTTP/1.1 200"), true, "a HEAD response has no body");
    await admin.close();
    await client.closed;
  },
  "refuses requests that are not for this machine": async () => {
    const admin = await open();
    const line = "GET /api/status HTTP/1.1";
    const refusals: readonly (readonly string[])[] = [
      [line, "Host: evil.example"],
      [line, `Host: evil.example:${admin.port}`],
      [line, "Host: localhost", "Host: evil.example"],
      [line, "Host: localhost", "Host: localhost"],
      [line, "Host: localhost", "Origin: https://evil.example"],
      [line, "Host: localhost", "Sec-Fetch-Site: cross-site"],
      [line, "Host: 127.0.0.1@evil.example"],
      [line, "Host: localhost/x"],
      [line, "Host: a b"],
      [line, "Host:"],
      [line],
      ["GET http://evil.example/api/status HTTP/1.1", HOST],
      ["GET //evil.example/api/status HTTP/1.1", HOST],
      ["CONNECT evil.example:80 HTTP/1.1", "Host: evil.example:80"],
      ["GET /api/status HTTP/1.1", HOST, "Content-Length: 4", "Transfer-Encoding: chunked"],
      ["GET /api/status HTTP/1.1", HOST, `X: ${"x".repeat(40_000)}`],
      ["TRACE /api/status HTTP/1.1", HOST],
      ["PRI * HTTP/2.0", "", "SM"],
    ];
    for (const lines of refusals) {
      const client = dial(admin.port);
      client.send(...lines);
      const text = await client.receives("HTTP/1.1 4");
      equal(text.includes("current_version"), false, lines.join(" "));
      client.end();
      await client.closed;
    }
    await admin.close();
  },
  "answers HTTP/1.0 without a Host header, as load balancers send it": async () => {
    const admin = await open();
    const client = dial(admin.port);
    client.send("GET /healthz HTTP/1.0");
    await client.receives("ok\n");
    await client.closed;
    const named = dial(admin.port);
    named.send("GET /healthz HTTP/1.0", "Host: evil.example");
    await named.receives("HTTP/1.1 403");
    await admin.close();
  },
  "does not read bodies": async () => {
    const admin = await open();
    const client = dial(admin.port);
    client.send("POST /api/status HTTP/1.1", HOST, "Content-Length: 1000000000");
    await client.receives("HTTP/1.1 405");
    await client.closed;
    await admin.close();
  },
  "sends the sections that change, and does not hold up a stop": async () => {
    const admin = await open();
    const client = dial(admin.port);
    client.send("GET /api/events HTTP/1.1", HOST);
    await client.receives("event: sections\ndata: {");
    const head = dial(admin.port);
    head.send("HEAD /api/events HTTP/1.1", HOST);
    await head.receives("text/event-stream");
    const started = Date.now();
    await admin.close();
    equal((await client.closed).endsWith("0\r\n\r\n"), true, "the stream ends properly");
    equal(Date.now() - started < 900, true, "the stop does not wait");
  },
  "closes connections that are slow": async () => {
    const { listener, port } = await slowListener(() => new Response("x"));
    const silent = dial(port);
    const slow = dial(port, `GET / HTTP/1.1\r\n${HOST}\r\n`);
    const idle = dial(port);
    idle.send("GET / HTTP/1.1", HOST);
    await idle.receives("x");
    await Promise.all([silent.closed, slow.closed]);
    idle.send("GET / HTTP/1.1", HOST);
    await idle.receives("x");
    await listener.close();
  },
  "lets the oldest idle connection give way if there are too many": async () => {
    let [begin, answer] = [(): void => {}, (): void => {}];
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const { listener, port } = await slowListener(async () => {
      begin();
      await answered;
      return new Response("x");
    });
    const busy = dial(port);
    busy.send("GET / HTTP/1.1", HOST);
    await begun;
    const [oldest, older] = [dial(port), dial(port)];
    await Promise.all([oldest.connected, older.connected]);
    const latest = dial(port);
    latest.send("GET / HTTP/1.1", HOST);
    await oldest.closed;
    answer();
    await Promise.all([busy.receives("x"), latest.receives("x")]);
    await listener.close();
  },
  "closes a connection that does not wait for the response to its last request": async () => {
    let asked = 0;
    const { listener, port } = await slowListener(async () => {
      asked += 1;
      await new Promise(() => {});
      return new Response("x");
    });
    const greedy = dial(port);
    greedy.send(...Array(100).fill(`GET / HTTP/1.1\r\n${HOST}\r\n`));
    await greedy.closed;
    equal(asked, 1, "requests");
    await listener.close();
  },
  "asks for the token of the file, which may change": async () => {
    const directory = await mkdtemp(join(tmpdir(), "dewy-test-"));
    const tokenFile = join(directory, "token");
    await writeFile(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
    const admin = await open(await tenFreePorts(), { tokenFile });
    const status = async (authorization?: string): Promise<number> => {
      const headers = new Headers(authorization === undefined ? {} : { authorization });
      return (await fetch(`${admin.url}/api/status`, { headers })).status;
    };
    equal(await status(), 401, "without a token");
    equal(await status(`Bearer ${TOKEN}`), 200, "a bearer token");
    equal(await status(`Basic ${btoa(`me:${TOKEN}`)}`), 200, "a password");
    await writeFile(tokenFile, "another-token-of-the-admin-api\n");
    equal(await status(`Bearer ${TOKEN}`), 401, "an old token");
    equal(await status("Bearer another-token-of-the-admin-api"), 200, "a new token");
    await admin.close();
    await rm(directory, { recursive: true });
  },
  "takes the next port if one is in use, and goes on without one if ten are": async () => {
    const { first, servers } = await portsInARow(10);
    const without = await open(first);
    equal(without.url, undefined, "no url");
    equal(without.events.length, 1, "a warning");
    await without.close();
    const [freed, ...others] = servers.reverse();
    if (freed !== undefined) await closeServer(freed);
    const admin = await open(first);
    equal(admin.port, first + 9, "port");
    await admin.close();
    await Promise.all(others.map(closeServer));
  },
};

async function slowListener(handler: () => Response | Promise<Response>) {
  const port = await tenFreePorts();
  const options = { host: "127.0.0.1", ports: [port], limits: LIMITS };
  return { port, listener: await openListener(handler, options) };
}

async function open(port?: number, config: { tokenFile?: string } = {}) {
  const events: DewyEvent[] = [];
  const options: AdminOptions = {
    config: {
      port: port ?? (await tenFreePorts()),
      host: "127.0.0.1",
      tokenFile: config.tokenFile,
      metricsPublic: false,
    },
    mode: "assets",
    root: "/nonexistent",
    status: async () => ({
      name: "app",
      mode: "assets",
      directory: "/nonexistent",
      live: { tag: "v1", directory: "/nonexistent" },
      phase: { name: "idle" },
      waiting: [],
      bad: [],
      skipped: [],
    }),
    ownLines: () => [],
    subscribe: () => () => {},
    redact: (text) => text,
    emit: (event) => events.push(event),
    clock: systemClock,
  };
  const { url, close } = await openAdmin(options);
  return { url, port: Number(new URL(url ?? "http://localhost:1").port), events, close };
}

/** A raw connection. */
function dial(port: number, text = "") {
  const socket = connect(port, "127.0.0.1");
  let answer = "";
  let look = (): void => {};
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
    look();
  });
  socket.on("error", () => {});
  socket.on("close", () => look());
  const connected = new Promise<void>((resolve) => socket.on("connect", () => resolve()));
  const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(answer)));
  if (text !== "") socket.write(text);
  return {
    connected,
    closed,
    send: (...lines: string[]) => void socket.write(`${lines.join("\r\n")}\r\n\r\n`),
    end: () => void socket.end(),
    /** Waits until a text has come, and returns all text since the last one. */
    receives: (expected: string): Promise<string> =>
      new Promise((resolve, reject) => {
        look = () => {
          const at = answer.indexOf(expected);
          if (at !== -1) {
            const received = answer.slice(0, at + expected.length);
            answer = answer.slice(at + expected.length);
            resolve(received);
          } else if (socket.destroyed) {
            reject(new Error(`closed before ${expected}: ${answer}`));
          }
        };
        look();
      }),
  };
}

/** Finds ten consecutive free ports. */
async function tenFreePorts(): Promise<number> {
  const { first, servers } = await portsInARow(10);
  await Promise.all(servers.map(closeServer));
  return first;
}
