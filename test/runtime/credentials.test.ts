import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { SECRET_HEADERS } from "./credentials_case.ts";
import { runCase, runtimes } from "./runtimes.ts";
import { bundleForEdge, startWorker } from "./workerd.ts";

const SECRETS = [...Object.keys(SECRET_HEADERS), "x-amz-date"];

let first: Server;
let second: Server;
let firstUrl: string;
let seenByFirst: IncomingHttpHeaders[] = [];
let seenBySecond: IncomingHttpHeaders[] = [];

beforeAll(async () => {
  second = createServer((request, response) => {
    seenBySecond.push(request.headers);
    response.end("from the other origin");
  });
  const secondPort = await listen(second);
  first = createServer((request, response) => {
    seenByFirst.push(request.headers);
    // One more hop on the same origin, which may see them.
    const location =
      request.url === "/" ? "/again" : `http://localhost:${secondPort}/file?signature=mine`;
    response.writeHead(302, { location }).end();
  });
  firstUrl = `http://127.0.0.1:${await listen(first)}/`;
});
beforeEach(() => {
  seenByFirst = [];
  seenBySecond = [];
});
afterAll(() => {
  for (const server of [first, second]) server.close().closeAllConnections();
});

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    // Without a host, so that localhost is right in both families.
    server.listen(0, () => resolve((server.address() as AddressInfo).port));
  });
}

function expectSecretsKept(): void {
  // fetch itself refuses to send proxy-authorization on some runtimes.
  expect(Object.keys(seenByFirst[1] ?? {})).toEqual(
    expect.arrayContaining(SECRETS.filter((name) => name !== "proxy-authorization")),
  );
  expect(seenBySecond).toHaveLength(1);
  expect(Object.keys(seenBySecond[0] ?? {})).toContain("accept");
  expect(JSON.stringify(seenBySecond)).not.toContain("secret");
  for (const name of SECRETS) expect(seenBySecond[0]).not.toHaveProperty(name);
}

describe("no credential follows a redirect to another origin", () => {
  test.each(runtimes)("on $name", async (runtime) => {
    const output = await runCase(runtime, "test/runtime/credentials_main.ts", { CASE: firstUrl });
    expect(output).toMatchObject({ code: 0, stdout: "from the other origin\n", stderr: "" });
    expectSecretsKept();
  });

  test("on workerd", async () => {
    const worker = await startWorker(
      await bundleForEdge(`
        import { credentialsCase } from "./test/runtime/credentials_case.ts";
        export default {
          async fetch(request) {
            return new Response(await credentialsCase(await request.text()));
          },
        };`),
    );
    try {
      const response = await fetch(worker.url, { method: "POST", body: firstUrl });
      expect(await response.text()).toBe("from the other origin");
    } finally {
      await worker.close();
    }
    expectSecretsKept();
  });
});
