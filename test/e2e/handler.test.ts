import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { describe, expect, onTestFinished, test } from "vitest";
import type { HandlerOptions, HandlerReport } from "../../src/handler/mod.ts";
import { createHandler } from "../../src/handler/mod.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, type Dewy, liveVersion, runDewy, startDewy, until } from "./dewy.ts";
import { githubPublisher, type Publisher } from "./publishers.ts";

const TOKEN = "report-t0ken";

interface ServedHandler {
  host: string;
  asked: string[];
  /** Replaces the answers; `undefined` ends that. */
  distort(change: ((body: string) => string) | undefined): void;
}

/** Serves a handler with `node:http`, as users do. */
async function serveHandler(
  publisher: Publisher,
  options: Partial<HandlerOptions> = {},
): Promise<ServedHandler> {
  const handler = createHandler({
    registries: { app: publisher.url },
    env: publisher.env,
    maxAgeSeconds: 0,
    staleSeconds: 0,
    ...options,
  });
  const asked: string[] = [];
  let change: ((body: string) => string) | undefined;
  const server = createServer(
    getRequestListener(async (request) => {
      const { pathname, search } = new URL(request.url);
      asked.push(`${request.method} ${pathname}${search}`);
      const response = await handler(request);
      if (change === undefined || !pathname.endsWith("/latest")) return response;
      return new Response(change(await response.text()), { status: response.status });
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    asked,
    distort: (next) => {
      change = next;
    },
  };
}

/** Waits for the log line of a deploy, the `count`th of this tag. */
async function deployed(dewy: Dewy, tag: string, count = 1): Promise<void> {
  const found = () => dewy.lines().filter((line) => line.msg === "Deployed" && line.tag === tag);
  await until(
    () => found().length === count,
    () => `the deploy of ${tag}\n${dewy.stderr()}`,
  );
}

describe.each(cliRuntimes)("dewy on $name", ({ command }) => {
  test("follows a handler forward and back without a token, and reports to it", async () => {
    const publisher = await githubPublisher();
    const reports: HandlerReport[] = [];
    const { host, asked } = await serveHandler(publisher, {
      redirect: false,
      reportToken: TOKEN,
      onReport: (report) => void reports.push(report),
    });
    const cwd = await tempDirectory();
    const registry = `https://${host}/app?insecure=true`;
    const deploy = () =>
      runDewy(command, ["assets", "--once", "--registry", registry], {
        cwd,
        env: { DEWY_HTTPS_TOKEN: TOKEN },
      });

    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const first = await deploy();
    expect(first.code, first.stderr).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    expect((await deploy()).code).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.1.0");
    await publisher.withdraw("v1.1.0");
    expect((await deploy()).code).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");

    expect(reports).toMatchObject([
      { registry: "app", tag: "v1.0.0", command: "assets", error: undefined },
      { registry: "app", tag: "v1.1.0" },
      { registry: "app", tag: "v1.0.0" },
    ]);
    expect(asked.filter((call) => call.startsWith("POST"))).toEqual(
      Array.from({ length: 3 }, () => "POST /app/report"),
    );
  });

  test("keeps the app running while the handler fails or lies, and goes back with it", async () => {
    const publisher = await githubPublisher();
    const reports: HandlerReport[] = [];
    let isDown = false;
    const { host, distort } = await serveHandler(publisher, {
      redirect: false,
      reportToken: TOKEN,
      onReport: (report) => void reports.push(report),
      fetch: async (input, init) =>
        isDown ? new Response("down", { status: 403 }) : fetch(input, init),
    });
    const cwd = await tempDirectory();
    const flags = [
      "--log-level",
      "info",
      "--log-format",
      "json",
      "--interval",
      "1s",
      "--bake",
      "0",
      "--registry",
    ];
    const registry = `https://${host}/app?insecure=true`;
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const dewy = startDewy(
      command,
      ["server", ...flags, registry, "--", "sh", "-c", "exec sleep 600"],
      { cwd, env: { DEWY_HTTPS_TOKEN: TOKEN } },
    );
    await deployed(dewy, "v1.0.0");
    const version = (): Promise<string | undefined> => liveVersion(cwd);

    isDown = true;
    await dewy.seen("a failed poll", ({ msg }) => msg === "Poll failed");
    expect([await version(), dewy.child.exitCode]).toEqual(["v1.0.0", null]);
    isDown = false;

    distort((body) => body.replace(/sha256:[0-9a-f]{8}/, "sha256:00000000"));
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    await expect.poll(() => reports.at(-1)).toMatchObject({ tag: "v1.1.0", error: /sha256/ });
    expect(await version()).toBe("v1.0.0");

    distort(undefined);
    await deployed(dewy, "v1.1.0");
    await publisher.withdraw("v1.1.0");
    await deployed(dewy, "v1.0.0", 2);
    expect(await version()).toBe("v1.0.0");
    await expect.poll(() => reports.at(-1)).toMatchObject({ tag: "v1.0.0", error: undefined });
    const kinds = reports.map(({ tag, error }) => `${tag}${error === undefined ? "" : " failed"}`);
    expect([...new Set(kinds)]).toEqual(["v1.0.0", "v1.1.0 failed", "v1.1.0"]);
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended(), dewy.stderr()).toBe(0);
  });
});
