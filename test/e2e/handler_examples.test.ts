import { spawn } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { type ServedGitHub, serveGitHub } from "../fakes/github.ts";
import { DENO_RUN, neutralEnvironment, ROOT } from "../runtime/runtimes.ts";
import { bundleForEdge, startWorker } from "../runtime/workerd.ts";

const EXAMPLES = join(ROOT, "examples", "handler");
const BIN = join(ROOT, "node_modules", ".bin");
/** A quiet server does not say where it listens. */
const DENO_FLAGS = DENO_RUN.filter((flag) => flag !== "run" && flag !== "--quiet");
let github: ServedGitHub;
let before: string | undefined;

beforeAll(async () => {
  github = await serveGitHub({ clock: systemClock, repo: "linyows/myapp" });
  github.github.publish("v1.2.3", [{ name: "app_linux_amd64.tar.gz" }]);
  before = process.env.GITHUB_API_URL;
  process.env.GITHUB_API_URL = github.url;
});
afterAll(async () => {
  if (before === undefined) delete process.env.GITHUB_API_URL;
  else process.env.GITHUB_API_URL = before;
  await github.close();
});

type Ask = (path: string, init?: RequestInit) => Promise<Response>;

/** The newest version, its ETag, a badge, HEAD and an unknown path, below a path. */
async function expectHandler(ask: Ask, base = ""): Promise<void> {
  const latest = `${base}/app/latest?platform=linux-amd64`;
  const response = await ask(latest);
  const body = await response.json();
  expect(body).toMatchObject({ kind: "ready", tag: "v1.2.3" });
  const etag = response.headers.get("etag") ?? "";
  const same = await ask(latest, { headers: { "if-none-match": etag } });
  expect(same.status).toBe(304);
  const badge = await ask(`${base}/app/badge.svg`);
  expect(await badge.text()).toContain("v1.2.3");
  const head = await ask(latest, { method: "HEAD" });
  expect([head.headers.get("etag"), await head.text()]).toEqual([etag, ""]);
  expect((await ask(`${base}/other/latest`)).status).toBe(404);
}

const over =
  (url: string): Ask =>
  (path, init) =>
    fetch(new URL(path, url), { redirect: "manual", ...init });

const calling =
  (handler: (request: Request) => Response | Promise<Response>): Ask =>
  async (path, init) =>
    handler(new Request(`https://example.com${path}`, init));

test("the Worker answers in workerd, also twenty at once in a cold isolate", async () => {
  const worker = await startWorker(
    await bundleForEdge(`
      import worker from "./examples/handler/cloudflare.ts";
      const env = { GITHUB_API_URL: ${JSON.stringify(github.url)} };
      export default { fetch: (request) => worker.fetch(request, env) };`),
  );
  onTestFinished(() => worker.close());
  const ask = over(worker.url);
  const cold = Array.from({ length: 20 }, () => ask("/app/latest?platform=linux-arm64"));
  const statuses = (await Promise.all(cold)).map(({ status }) => status);
  expect(statuses).toEqual(Array(20).fill(200));
  await expectHandler(ask);
});

test.each([
  ["deno serve", [join(BIN, "deno"), "serve", ...DENO_FLAGS, "--host=127.0.0.1", "--port=0"]],
  ["bun", [join(BIN, "bun")]],
])("fetch.ts answers under %s", async (name, [program = "", ...args]) => {
  const child = spawn(program, [...args, join(EXAMPLES, "fetch.ts")], {
    env: { ...neutralEnvironment(), GITHUB_API_URL: github.url, PORT: "0", NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output += chunk;
    });
  }
  const address = /http:\/\/[\w.]+:\d+/;
  const shown = { timeout: 90_000, message: name };
  await expect.poll(() => address.test(output) || output, shown).toBe(true);
  await expectHandler(over(address.exec(output)?.[0] ?? ""));
});

test.each(["vercel", "next"])("the routes of %s answer", async (name) => {
  const routes = await import(join(EXAMPLES, `${name}.ts`));
  const ask = calling((request) => routes[request.method](request));
  await expectHandler(ask, "/api/versions");
});

test("the function of Netlify answers where its config says", async () => {
  const { default: handler, config } = await import("../../examples/handler/netlify.ts");
  await expectHandler(calling(handler), config.path.replace("/*", ""));
});

test("the function of Lambda answers the events of a function URL", async () => {
  const { handler } = await import("../../examples/handler/lambda.ts");
  const ask = calling(async (request) => {
    const { pathname, search, hostname } = new URL(request.url);
    const { statusCode, headers, body, isBase64Encoded } = await handler({
      rawPath: pathname,
      rawQueryString: search.slice(1),
      headers: Object.fromEntries(request.headers),
      requestContext: { domainName: hostname, http: { method: request.method } },
      isBase64Encoded: false,
    });
    expect(isBase64Encoded).toBe(true);
    const isEmpty = statusCode === 304 || body === "";
    const bytes = isEmpty ? null : Buffer.from(body, "base64");
    return new Response(bytes, { status: statusCode, headers });
  });
  await expectHandler(ask);
});

test("a hono app answers below the path where the handler is mounted", async () => {
  const { app } = await import("../../examples/handler/hono.ts");
  await expectHandler(
    calling((request) => app.fetch(request)),
    "/versions",
  );
});

test("an express app and a node:http server answer", async () => {
  const { app } = await import("../../examples/handler/express.ts");
  await expectHandler(over(await listen(createServer(app))), "/versions");
  const { server } = await import("../../examples/handler/node.ts");
  await expectHandler(over(await listen(server)));
});

async function listen(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
