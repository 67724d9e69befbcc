import { Agent, createServer, request, type Server } from "node:http";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Backend } from "../../../src/host/proxy/backend.ts";
import { runtimes } from "../../runtime/runtimes.ts";
import { type ProxyProcess, startProxy } from "./proxy_process.ts";
import { closed, connected, listening, received, startBackend, until } from "./sockets.ts";

const SWITCHES = 50;
const DRAIN_MS = 20_000;
const UPLOAD_BYTES = 100_000;
const KEPT = 8;

describe.each(runtimes)("a switch of backends on $name", (runtime) => {
  test(`loses no request of HTTP/1 clients under load, ${SWITCHES} times`, async () => {
    const proxy = await startProxy(runtime);
    let current = await startGeneration("0");
    await proxy.setBackends([current.backend]);
    const load = startLoad(proxy);
    for (let number = 1; number <= SWITCHES; number += 1) {
      await load.answersFrom(String(number - 1));
      const next = await startGeneration(String(number));
      await proxy.setBackends([next.backend]);
      expect(await proxy.drain(current.backend, DRAIN_MS)).toMatchObject({ cut: 0 });
      expect(await proxy.connections(current.backend)).toBe(0);
      current.server.close();
      current = next;
    }
    await load.answersFrom(String(SWITCHES));
    expect(await load.stop()).toEqual([]);
    expect((await proxy.stats()).refused).toBe(0);
  });

  test("keeps a long connection open until it ends by itself", async () => {
    const proxy = await startProxy(runtime);
    const [old, fresh] = [await startEcho("old"), await startEcho("new")];
    await proxy.setBackends([old]);
    const long = await connected(proxy.address);
    long.write("1");
    expect((await received(long, 5)).toString()).toBe("old 1");
    await proxy.setBackends([fresh]);
    const drained = proxy.drain(old, DRAIN_MS);
    for (const word of ["2", "3", "4"]) {
      const other = await connected(proxy.address);
      other.write(word);
      expect((await received(other, 5)).toString()).toBe(`new ${word}`);
      long.write(word);
      expect((await received(long, 5)).toString()).toBe(`old ${word}`);
    }
    expect(await proxy.connections(old)).toBe(1);
    long.end();
    expect(await drained).toEqual({ closed: 1, cut: 0 });
  });

  test("cuts open connections at the drain timeout: a reset during a request, an end between two", async () => {
    const proxy = await startProxy(runtime);
    const server = await startEcho("old");
    await proxy.setBackends([server]);
    const [between, middle] = [await connected(proxy.address), await connected(proxy.address)];
    between.write("1");
    await received(between, 5);
    middle.write("wait");
    await until(async () => (await proxy.stats()).bytesToBackends === 5);
    const ends = [closed(between), closed(middle)];
    expect(await proxy.drain(server, 50)).toEqual({ closed: 0, cut: 2 });
    expect(await Promise.all(ends)).toEqual(["end", "ECONNRESET"]);
  });

  test("close() waits for its connections and accepts no new ones", async () => {
    const proxy = await startProxy(runtime);
    const server = await startEcho("old");
    await proxy.setBackends([server]);
    const client = await connected(proxy.address);
    client.write("1");
    await received(client, 5);
    const over = proxy.close({ drainMs: DRAIN_MS });
    await until(() =>
      connected(proxy.address).then(
        () => false,
        () => true,
      ),
    );
    client.write("2");
    expect((await received(client, 5)).toString()).toBe("old 2");
    client.end();
    await over;
  });
});

/** Answers each message with its name, except "wait". */
async function startEcho(name: string): Promise<Backend> {
  const server = await startBackend(
    (socket) => {
      socket.on("data", (chunk) => {
        if (chunk.toString() !== "wait") socket.write(`${name} ${chunk}`);
      });
      socket.on("end", () => socket.end());
    },
    { name },
  );
  return server.backend;
}

interface Generation {
  backend: Backend;
  server: Server;
}

/** Never closes connections, and answers uploads before it has read them. */
async function startGeneration(name: string): Promise<Generation> {
  const server = createServer({ keepAliveTimeout: 0 }, (_request, response) => response.end(name));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const port = await listening(server);
  return { backend: { host: "127.0.0.1", port, name }, server };
}

interface Load {
  /** Resolves when a client with and one without keep-alive were answered by this generation. */
  answersFrom(name: string): Promise<void>;
  /** Ends the load, and returns the failures. */
  stop(): Promise<string[]>;
}

function startLoad(proxy: ProxyProcess): Load {
  const failures: string[] = [];
  const seen = new Set<string>();
  let isOver = false;
  const loop = async (kind: string, agent: Agent | false): Promise<void> => {
    while (!isOver) {
      const answer = await ask(proxy, agent).catch((error) => {
        failures.push(`${kind}: ${error.message}`);
        return "";
      });
      seen.add(`${kind} ${answer}`);
    }
    if (agent !== false) agent.destroy();
  };
  const loops = [
    ...Array.from({ length: KEPT }, () =>
      loop("kept", new Agent({ keepAlive: true, maxSockets: 1 })),
    ),
    ...Array.from({ length: 4 }, () => loop("fresh", false)),
  ];
  return {
    answersFrom: (name) => until(() => seen.has(`kept ${name}`) && seen.has(`fresh ${name}`)),
    stop: async () => {
      isOver = true;
      await Promise.all(loops);
      return failures;
    },
  };
}

function ask({ address }: ProxyProcess, agent: Agent | false): Promise<string> {
  return new Promise((resolve, reject) => {
    const method = Math.random() < 0.5 ? "GET" : "POST";
    const call = request({ ...address, agent, method }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end(method === "POST" ? Buffer.alloc(UPLOAD_BYTES) : undefined);
  });
}
