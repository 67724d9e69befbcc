import { describe, expect, onTestFinished, test } from "vitest";
import type { HandlerOptions, HandlerReport } from "../../src/handler/mod.ts";
import { createHandler } from "../../src/handler/mod.ts";
import { serveFetch } from "../fakes/serve.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, liveVersion, runDewy } from "./dewy.ts";
import { githubPublisher, type Publisher } from "./publishers.ts";

const TOKEN = "report-t0ken";

async function serveHandler(
  publisher: Publisher,
  options: Partial<HandlerOptions> = {},
): Promise<{ host: string; asked: string[] }> {
  const handler = createHandler({
    registries: { app: publisher.url },
    env: publisher.env,
    maxAgeSeconds: 0,
    staleSeconds: 0,
    ...options,
  });
  const asked: string[] = [];
  const served = await serveFetch((request) => {
    const { pathname, search } = new URL(request.url);
    asked.push(`${request.method} ${pathname}${search}`);
    return handler(request);
  });
  onTestFinished(() => served.close());
  return { host: served.url.replace("http://", ""), asked };
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
});
