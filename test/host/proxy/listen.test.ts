import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runtimes } from "../../runtime/runtimes.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { startProxy } from "./proxy_process.ts";
import { connected, listening, received, startBackend } from "./sockets.ts";

describe.each(runtimes)("a proxy on $name", (runtime) => {
  test("listens on a unix socket, and replaces one that a dead process left", async () => {
    const path = join(await tempDirectory(), "app.sock");
    const { backend } = await startBackend((socket) => socket.pipe(socket));
    const first = await startProxy(runtime, { listen: { path } });
    await first.setBackends([backend]);
    const client = await connected({ path });
    client.write("ping");
    expect((await received(client, 4)).toString()).toBe("ping");
    await expect(startProxy(runtime, { listen: { path } })).rejects.toThrow(
      `Cannot listen on unix:${path}: another process listens there already`,
    );
    first.kill();
    await first.exited;
    expect(existsSync(path)).toBe(true);
    const second = await startProxy(runtime, { listen: { path } });
    await second.setBackends([backend]);
    const other = await connected({ path });
    other.write("pong");
    expect((await received(other, 4)).toString()).toBe("pong");
  });

  test("does not replace a file that is not a socket", async () => {
    const path = join(await tempDirectory(), "app.sock");
    await writeFile(path, "precious");
    await expect(startProxy(runtime, { listen: { path } })).rejects.toThrow(
      `Cannot listen on unix:${path}: the path exists and is not a socket`,
    );
    expect(await readFile(path, "utf8")).toBe("precious");
  });

  test("serves an inherited listening socket", async () => {
    const server = createServer();
    const port = await listening(server);
    const fd = descriptor(server);
    const starting = startProxy(runtime, { listen: { fd: 3 } }, fd);
    const proxy = await starting;
    await new Promise((resolve) => server.close(resolve));
    expect(proxy.address).toEqual({ host: "127.0.0.1", port });
    const { backend } = await startBackend((socket) => socket.pipe(socket));
    await proxy.setBackends([backend]);
    const client = await connected({ host: "127.0.0.1", port });
    client.write("ping");
    expect((await received(client, 4)).toString()).toBe("ping");
  });

  test("listens on IPv6 and IPv4 by default", async () => {
    const proxy = await startProxy(runtime, { listen: { host: undefined, port: 0 } });
    const { backend } = await startBackend((socket) => socket.write("hello"), { host: "::1" });
    await proxy.setBackends([backend]);
    for (const host of ["127.0.0.1", "::1"]) {
      const client = await connected({ host, port: proxy.address.port });
      expect((await received(client, 5)).toString()).toBe("hello");
    }
  });

  test("names the process that listens on a port in use", async () => {
    const { backend } = await startBackend();
    await expect(startProxy(runtime, { listen: backend })).rejects.toThrow(
      `Cannot listen on 127.0.0.1:${backend.port}: process ${process.pid} (`,
    );
  });

  test.each([
    ["v1", "127.0.0.1"],
    ["v1", "::1"],
    ["v2", "127.0.0.1"],
    ["v2", "::1"],
  ] as const)("sends the client address in PROXY %s from %s", async (version, host) => {
    const proxy = await startProxy(runtime, {
      proxyProtocol: version,
      listen: { host: undefined, port: 0 },
    });
    const server = await startBackend();
    await proxy.setBackends([server.backend]);
    const client = await connected({ host, port: proxy.address.port });
    client.write("GET /");
    const upstream = await server.accepted();
    const from = client.localPort ?? 0;
    const to = proxy.address.port;
    const isV4 = host === "127.0.0.1";
    const ip = Buffer.from(isV4 ? [127, 0, 0, 1] : [...new Uint8Array(15), 1]);
    const header =
      version === "v1"
        ? Buffer.from(`PROXY ${isV4 ? "TCP4" : "TCP6"} ${host} ${host} ${from} ${to}\r\n`)
        : Buffer.concat([
            Buffer.from("\r\n\r\n\0\r\nQUIT\n"),
            Buffer.from([0x21, isV4 ? 0x11 : 0x21, 0, isV4 ? 12 : 36]),
            ip,
            ip,
            Buffer.from([from >> 8, from & 255, to >> 8, to & 255]),
          ]);
    const expected = Buffer.concat([header, Buffer.from("GET /")]);
    expect(await received(upstream, expected.length)).toEqual(expected);
  });
});

function descriptor(server: object): number {
  const handle = (server as { _handle?: { fd?: number } })._handle;
  return handle?.fd ?? -1;
}
