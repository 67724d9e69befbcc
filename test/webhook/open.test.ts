import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { DewyEvent } from "../../src/core/event.ts";
import { MAX_BODY_BYTES } from "../../src/webhook/handler.ts";
import { WAKE_GAP_MS } from "../../src/webhook/limits.ts";
import { CONNECTION_MS, LINGER_MS } from "../../src/webhook/listener.ts";
import { openWebhooks } from "../../src/webhook/open.ts";
import { fakeClock } from "../fakes/clock.ts";
import { secretFile, webhookEvents } from "./fixtures.ts";
import { githubHeaders, SECRET } from "./signed.ts";

async function start({ host = "127.0.0.1", file }: { host?: string; file?: string } = {}) {
  const clock = fakeClock();
  const events: DewyEvent[] = [];
  const onWake = vi.fn();
  const path = file ?? (await secretFile());
  const webhooks = await openWebhooks({
    listen: { host, port: 0 },
    secretFile: path,
    onWake,
    emit: (event) => events.push(event),
    clock,
  });
  onTestFinished(() => webhooks.close());
  const { url } = webhooks;
  const post = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(url + path, { method: "POST", ...init });
    return { status: response.status, text: await response.text() };
  };
  /** A raw connection, and everything that comes back until it closes. */
  const dial = async (text = "") => {
    const socket = connect(Number(new URL(url).port), host);
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(answer)));
    await once(socket, "connect");
    socket.write(text);
    return { socket, closed, answer: () => answer };
  };
  return { webhooks, clock, events, onWake, path, post, dial, url };
}

function head(...lines: string[]): string {
  return `${lines.join("\r\n")}\r\n\r\n`;
}

describe("webhooks over HTTP", () => {
  test("start a poll", async () => {
    const { post, onWake, events, url } = await start();
    expect(events).toEqual([{ type: "listening", url, protocols: "webhooks" }]);
    const body = JSON.stringify({ action: "published", notes: "é".repeat(100_000) });
    expect(await post("/hooks/github", { body, headers: githubHeaders(body) })).toEqual({
      status: 202,
      text: "Accepted\n",
    });
    expect(onWake).toHaveBeenCalledTimes(1);
    expect(webhookEvents(events)).toEqual([
      { type: "webhook", source: "github", outcome: "accepted", reason: undefined },
    ]);
  });

  test("of each kind are accepted, and only of the right ones", async () => {
    const { post, onWake, clock } = await start();
    const headers = { authorization: `Bearer ${SECRET}` };
    expect((await post("/hooks/registry", { body: "{}", headers })).status).toBe(202);
    clock.advance(WAKE_GAP_MS);
    await new Promise(setImmediate);
    expect((await post(`/hooks/${SECRET}`, { body: '{"push_data":{}}' })).status).toBe(202);
    expect(onWake).toHaveBeenCalledTimes(2);
    expect(await post("/hooks/wrong")).toEqual({ status: 404, text: "Not found\n" });
    expect(await post("/hooks/github", { body: "{}" })).toEqual({
      status: 403,
      text: "Forbidden\n",
    });
    expect(onWake).toHaveBeenCalledTimes(2);
  });

  test("of a burst start two polls", async () => {
    const { post, onWake, clock, events } = await start();
    for (let batch = 0; batch < 4; batch += 1) {
      const answers = await Promise.all(
        Array.from({ length: 25 }, () => post(`/hooks/${SECRET}`, { body: "{}" })),
      );
      expect(answers.every(({ status }) => status === 202)).toBe(true);
    }
    expect(onWake).toHaveBeenCalledTimes(1);
    clock.advance(WAKE_GAP_MS);
    await expect.poll(() => onWake).toHaveBeenCalledTimes(2);
    expect(webhookEvents(events)).toHaveLength(1);
    expect(JSON.stringify(events)).not.toContain(SECRET);
  });

  test("use the secrets that the file has now", async () => {
    const { post, path, events } = await start();
    const next = "the-secret-of-next-year";
    expect((await post(`/hooks/${next}`)).status).toBe(404);
    await writeFile(path, `${next}\n`);
    expect((await post(`/hooks/${next}`)).status).toBe(202);
    expect((await post(`/hooks/${SECRET}`)).status).toBe(404);
    expect(JSON.stringify(events)).not.toContain(next);
  });
});

describe("the listener", () => {
  test("answers without a name or a version, and closes", async () => {
    const { dial } = await start();
    const { closed } = await dial(head("GET / HTTP/1.1", "Host: a"));
    const answer = await closed;
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    expect(answer).not.toMatch(/^(server|x-powered-by):/im);
    expect(answer).toMatch(/^connection: close\r$/im);
    expect(answer).not.toMatch(/dewy|node/i);
  });

  test("allows POST", async () => {
    const { url } = await start();
    for (const method of ["GET", "PUT", "TRACE"]) {
      const request = httpRequest(`${url}/hooks/github`, { method }).end();
      const [response] = await once(request, "response");
      response.resume();
      expect(response.statusCode).toBe(method === "TRACE" ? 400 : 405);
      expect(response.headers.allow).toBe(method === "TRACE" ? undefined : "POST");
    }
  });

  test.each([
    ["another server's URL", head("POST http://a.example/hooks/github HTTP/1.1", "Host: a")],
    ["a part of another name", head("POST .example/hooks/github HTTP/1.1", "Host: a")],
    ["*", head("OPTIONS * HTTP/1.1", "Host: a")],
    ["no HTTP", "\x16\x03\x01\x02\x00\x01\r\n\r\n"],
    ["too large a header", head("GET / HTTP/1.1", "Host: a", `Cookie: ${"x".repeat(20_000)}`)],
  ])("survives %s", async (_, text) => {
    const { dial, post } = await start();
    expect(await (await dial(text)).closed).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect((await post(`/hooks/${SECRET}`)).status).toBe(202);
  });

  test.each([
    ["sends nothing", ""],
    ["stops within the header", "POST /hooks/github HTTP/1.1\r\nHost: a\r\n"],
    [
      "stops within the body",
      `${head(
        "POST /hooks/github HTTP/1.1",
        "Host: a",
        "Content-Length: 1000",
        "X-Hub-Signature-256: sha256=0",
      )}{`,
    ],
  ])("closes the connection of a client that %s", async (_, text) => {
    const { dial, clock, events } = await start();
    const { closed } = await dial(text);
    await clock.sleeping(CONNECTION_MS);
    clock.advance(CONNECTION_MS);
    expect(await closed).toBe("");
    expect(webhookEvents(events)).toEqual([]);
  });

  test("answers a body over the limit, and stops reading it", async () => {
    const { dial, clock, events } = await start();
    const { socket, closed, answer } = await dial(
      head(
        "POST /hooks/github HTTP/1.1",
        "Host: a",
        `Content-Length: ${100 * MAX_BODY_BYTES}`,
        "X-Hub-Signature-256: sha256=0",
      ),
    );
    const sending = sendUntilClosed(socket);
    await expect.poll(answer).toMatch(/^HTTP\/1\.1 413 /);
    await clock.sleeping(LINGER_MS);
    clock.advance(LINGER_MS);
    await closed;
    expect(await sending).toBeLessThan(100 * MAX_BODY_BYTES);
    expect(webhookEvents(events)).toMatchObject([{ source: "github", outcome: "refused" }]);
  });

  test("answers before a body that it does not need", async () => {
    const { dial, clock, onWake } = await start();
    const { closed, answer } = await dial(
      head(`POST /hooks/${SECRET} HTTP/1.1`, "Host: a", "Content-Length: 1000"),
    );
    await expect.poll(answer).toMatch(/^HTTP\/1\.1 202 /);
    expect(onWake).toHaveBeenCalledTimes(1);
    await clock.sleeping(LINGER_MS);
    clock.advance(LINGER_MS);
    await closed;
  });

  test("bounds the number of connections", async () => {
    const { dial, post } = await start();
    const open = await Promise.all(Array.from({ length: 64 }, () => dial()));
    const [refused] = await Promise.all([dial()]);
    expect(await refused.closed).toBe("");
    for (const { socket } of open) socket.destroy();
    await expect.poll(async () => (await post(`/hooks/${SECRET}`)).status).toBe(202);
  });

  test("closes its connections and frees the port", async () => {
    const { webhooks, dial, url, onWake, clock, post } = await start();
    await post(`/hooks/${SECRET}`);
    await post(`/hooks/${SECRET}`);
    const { closed } = await dial("POST /hooks");
    await webhooks.close();
    await closed;
    clock.advance(WAKE_GAP_MS);
    await expect(fetch(url)).rejects.toThrow();
    expect(onWake).toHaveBeenCalledTimes(1);
  });

  test("reports a port that is taken", async () => {
    const taken = createServer();
    taken.listen(0, "127.0.0.1");
    await once(taken, "listening");
    onTestFinished(() => void taken.close());
    const address = taken.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    const opening = openWebhooks({
      listen: { host: "127.0.0.1", port },
      secretFile: await secretFile(),
      onWake: () => {},
      emit: () => {},
      clock: fakeClock(),
    });
    await expect(opening).rejects.toMatchObject({
      code: "host",
      message: expect.stringMatching(
        new RegExp(
          `^Cannot listen on 127\\.0\\.0\\.1:${port}: .*Stop it, or choose another --webhook-listen$`,
        ),
      ),
    });
  });

  test("warns of plain text unless it listens on loopback", async () => {
    const { events, url } = await start({ host: "0.0.0.0" });
    expect(events.slice(1)).toEqual([
      {
        type: "warning",
        message:
          "Webhook secrets travel in plain text; listen on loopback behind a reverse proxy with TLS",
        fields: { url },
      },
    ]);
  });
});

async function sendUntilClosed(socket: Socket): Promise<number> {
  const chunk = Buffer.alloc(65_536);
  while (!socket.destroyed) {
    if (socket.write(chunk)) await new Promise(setImmediate);
    else await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => {});
  }
  return socket.bytesWritten;
}
