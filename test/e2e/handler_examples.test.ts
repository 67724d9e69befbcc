import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { WORKER_STORES } from "../conformance/worker_stores.ts";
import { type ServedGitHub, serveGitHub } from "../fakes/github.ts";
import { serveFetch } from "../fakes/serve.ts";
import { DENO_RUN, neutralEnvironment, ROOT, runtimes } from "../runtime/runtimes.ts";
import { bundleForEdge, startWorker } from "../runtime/workerd.ts";
import { tempDirectory } from "../support/temp_directory.ts";

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

/** Bundles an example for Node, as the platforms do, and imports it. */
async function bundled<T>(file: string): Promise<T> {
  const [node] = runtimes;
  const [, output] = (await node?.command(join(EXAMPLES, file))) ?? [];
  return import(output ?? "");
}

type WebHandler = (request: Request) => Promise<Response>;

test("the Worker answers in workerd, also twenty at once in a cold isolate", async () => {
  const authorizations = new Set<string | null>();
  // All that the worker asks arrives here, whatever its host.
  const outbound = await serveFetch(async (request) => {
    const { pathname, search, host } = new URL(request.url);
    expect(host).toBe("api.github.com");
    authorizations.add(request.headers.get("authorization"));
    const { status, headers, body } = await fetch(github.url + pathname + search, request);
    return new Response(body, { status, headers });
  });
  const worker = await startWorker(
    await bundleForEdge(`export { default } from "./examples/handler/cloudflare/worker.ts";`),
    {
      stores: await bundleForEdge(WORKER_STORES),
      secrets: { GITHUB_TOKEN: "ghp_writer" },
      outbound: new URL(outbound.url).host,
    },
  );
  onTestFinished(() => worker.close());
  onTestFinished(() => outbound.close());
  const ask = over(worker.url);
  const cold = Array.from({ length: 20 }, () => ask("/app/latest?platform=linux-arm64"));
  const statuses = (await Promise.all(cold)).map(({ status }) => status);
  expect(statuses).toEqual(Array(20).fill(200));
  await expectHandler(ask);
  expect([...authorizations]).toEqual(["Bearer ghp_writer"]);
});

test("a handler with tokens is made before the first request of a Worker", async () => {
  const worker = await startWorker(
    await bundleForEdge(`
      import { createHandler } from "./src/handler/mod.ts";
      const registries = { app: "ghr://linyows/myapp" };
      const tokens = { readToken: "r3ad", reportToken: "r3port", onReport: () => {} };
      export default { fetch: createHandler({ registries, ...tokens }) };`),
  );
  onTestFinished(() => worker.close());
  const { status } = await over(worker.url)("/app/latest");
  expect(status).toBe(401);
});

test("a Worker sends an old answer at once, and asks for the new one afterwards", async () => {
  const { github: repository, url, close } = await serveGitHub({ clock: systemClock });
  onTestFinished(close);
  repository.publish("v1.0.0", [{ name: "app_linux_amd64.tar.gz" }]);
  const options = { env: { GITHUB_API_URL: url }, maxAgeSeconds: 0 };
  const worker = await startWorker(
    await bundleForEdge(`
      import { waitUntil } from "cloudflare:workers";
      import { createHandler } from "./src/handler/mod.ts";
      const registries = { app: "ghr://${repository.repo}" };
      const options = ${JSON.stringify(options)};
      export default { fetch: createHandler({ registries, waitUntil, ...options }) };`),
  );
  onTestFinished(() => worker.close());
  const newest = async (): Promise<string> => {
    const response = await over(worker.url)("/app/latest?platform=linux-amd64");
    return (await response.json()).tag;
  };
  expect(await newest()).toBe("v1.0.0");
  repository.publish("v1.1.0", [{ name: "app_linux_amd64.tar.gz" }]);
  expect(await newest()).toBe("v1.0.0");
  await expect.poll(newest).toBe("v1.1.0");
});

const DENO_CONFIG = `--config=${join(ROOT, "deno.json")}`;

test.each([
  ["Deno Deploy", "deno/main.ts", ["deno", ...DENO_RUN, DENO_CONFIG, "--unstable-kv"]],
  ["deno serve", "bun.ts", ["deno", "serve", ...DENO_FLAGS, "--host=127.0.0.1", "--port=0"]],
  ["Bun", "bun.ts", ["bun"]],
])("the server of %s answers", async (name, file, [program = "", ...args]) => {
  const child = spawn(
    join(BIN, program),
    [...args.filter((arg) => arg !== "--quiet"), join(EXAMPLES, file)],
    {
      env: {
        ...neutralEnvironment(),
        GITHUB_API_URL: github.url,
        PORT: "0",
        DENO_SERVE_ADDRESS: "tcp:127.0.0.1:0",
        // Where Deno keeps its databases.
        DENO_DIR: await tempDirectory(),
        NO_COLOR: "1",
      },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
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

test("the function of Vercel answers what its configuration sends there", async () => {
  const { default: versions } = await bundled<{ default: { fetch: WebHandler } }>(
    "vercel/api/versions.ts",
  );
  const { rewrites } = JSON.parse(await readFile(join(EXAMPLES, "vercel/vercel.json"), "utf8"));
  expect(rewrites).toEqual([{ source: "/versions/:path*", destination: "/api/versions" }]);
  // A rewritten request keeps its path, and what was matched is added to its query.
  const ask: Ask = (path, init) => {
    const url = new URL(path, "https://example.com");
    url.searchParams.append("path", url.pathname.replace("/versions/", ""));
    return versions.fetch(new Request(url, init));
  };
  await expectHandler(ask, "/versions");
});

test("the route of Next.js answers", async () => {
  const routes = await bundled<Record<string, WebHandler>>(
    "next/app/api/versions/[...path]/route.ts",
  );
  const ask = calling((request) => routes[request.method]?.(request) ?? Response.error());
  await expectHandler(ask, "/api/versions");
});

test("the function of Netlify answers where its config says", async () => {
  const { default: handler, config } = await bundled<{
    default: WebHandler;
    config: { path: string };
  }>("netlify/netlify/functions/versions.ts");
  await expectHandler(calling(handler), config.path.replace("/*", ""));
});

interface LambdaResult {
  statusCode: number;
  headers: Record<string, string>;
  body: string;
  isBase64Encoded: boolean;
}

test("the function of Lambda answers the events of a function URL", async () => {
  const { handler } = await bundled<{ handler(event: object): Promise<LambdaResult> }>(
    "lambda/handler.ts",
  );
  const ask = calling(async (request) => {
    const { pathname, search, hostname } = new URL(request.url);
    // https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
    const { statusCode, headers, body, isBase64Encoded } = await handler({
      version: "2.0",
      rawPath: pathname,
      rawQueryString: search.slice(1),
      headers: { ...Object.fromEntries(request.headers), host: hostname },
      requestContext: { domainName: hostname, http: { method: request.method, path: pathname } },
      isBase64Encoded: false,
    });
    const bytes = Buffer.from(body, isBase64Encoded ? "base64" : "utf8");
    return new Response(bytes.length === 0 ? null : bytes, { status: statusCode, headers });
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

test("the examples ask for this version of the package", async () => {
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  for (const folder of ["cloudflare", "vercel", "netlify", "lambda"]) {
    const text = await readFile(join(EXAMPLES, folder, "package.json"), "utf8");
    expect(JSON.parse(text).dependencies.dewy, folder).toBe(`^${version}`);
  }
  const { imports } = JSON.parse(await readFile(join(EXAMPLES, "deno/deno.json"), "utf8"));
  for (const [name, target] of Object.entries(imports)) {
    expect(target).toBe(name.replace("dewy", `npm:dewy@^${version}`));
  }
});

async function listen(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
