// The behaviour of the admin API's server, the same on every runtime. Run by
// test/container/admin/server.test.ts.
import { request } from "node:http";
import { adminApi } from "../../src/container/admin/api.ts";
import { serveAdmin } from "../../src/container/admin/server.ts";
import { closeServer, portsInARow } from "../peers/ports.ts";
import { equal, rejects } from "./check.ts";

const api = adminApi({
  containers: async () => [],
  name: "app",
  status: () => ({ tag: "v1", backends: 1, isRunning: true }),
});

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
    const first = await tenFreePorts();
    const server = await serveAdmin(api, first);
    equal(server.url, `http://127.0.0.1:${first}`, "url");
    equal(await ask(first, { path: "/api/containers" }), [200, '{"containers":[]}\n'], "list");
    equal((await ask(first, { method: "POST" }))[0], 405, "POST");
    equal((await ask(first, { method: "HEAD" }))[0], 405, "HEAD");
    await server.close();
    const again = await serveAdmin(api, first);
    equal(again.port, first, "the port is free again");
    await again.close();
  },
  "refuses host names other than loopback, and other origins": async () => {
    const first = await tenFreePorts();
    const server = await serveAdmin(api, first);
    for (const host of ["evil.example", `evil.example:${first}`, "a b", "127.0.0.1@evil.example"]) {
      equal((await ask(first, { host }))[0] === 200, false, host);
    }
    equal((await ask(first, { origin: "https://evil.example" }))[0], 403, "origin");
    equal((await ask(first, { host: `localhost:${first}` }))[0], 200, "localhost");
    await server.close();
  },
  "takes the next port if one is in use, and fails if ten are": async () => {
    const { first, servers } = await portsInARow(10);
    await rejects(serveAdmin(api, first), "host", "ten");
    const [freed, ...others] = servers.reverse();
    if (freed !== undefined) await closeServer(freed);
    const server = await serveAdmin(api, first);
    equal(server.port, first + 9, "port");
    await server.close();
    await Promise.all(others.map(closeServer));
  },
};

function ask(
  port: number,
  { path = "/api/status", method = "GET", ...headers }: Record<string, string>,
): Promise<[status: number, body: string]> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, method, headers, agent: false });
    asked.on("error", reject);
    asked.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => resolve([response.statusCode ?? 0, body]));
    });
    asked.end();
  });
}

/** Finds ten consecutive free ports. */
async function tenFreePorts(): Promise<number> {
  const { first, servers } = await portsInARow(10);
  await Promise.all(servers.map(closeServer));
  return first;
}
