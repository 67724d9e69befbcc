import { writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { freePorts } from "../peers/ports.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, runDewy, startDewy } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";

const TOKEN = "a-token-of-the-admin-api";
const LOG = ["--log-level", "info", "--log-format", "json"];

describe.each(cliRuntimes)("the admin server of dewy on $name", ({ command }) => {
  it("shows a deploy live, and holds up no stop", async () => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    const env = { DEWY_RUNTIME_DIR: await tempDirectory() };
    await writeFile(join(cwd, "token"), TOKEN, { mode: 0o600 });
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const [port = 0] = await freePorts(1);
    const args = ["assets", "--registry", publisher.url, "-i", "1s", ...LOG];
    const admin = ["--admin-port", String(port), "--admin-token-file", "token"];
    const dewy = startDewy(command, [...args, ...admin], { cwd, env });
    const { url } = await dewy.seen("the address", ({ protocols }) => protocols === "admin API");
    const headers = { authorization: `Bearer ${TOKEN}` };
    await dewy.seen("the deploy", ({ msg }) => msg === "Deployed");

    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(401);
    expect((await fetch(`${url}/readyz`, { headers })).status).toBe(200);
    const status = await (await fetch(`${url}/api/status`, { headers })).json();
    expect(status).toMatchObject({ command: 1, current_version: "v1.0.0", admin: url });
    const page = await (await fetch(`${url}/`, { headers })).text();
    expect(page).toContain("v1.0.0");
    // A line of dewy's own log.
    expect(page).toContain("Dewy started");

    const live = openEvents(`${url}/api/events`, headers);
    await live.contains("v1.0.0");
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    await live.contains("v1.1.0");
    const shown = await runDewy(command, ["status", "-d", cwd], { cwd, env });
    expect(shown.stdout).toContain(`status page  ${url}`);

    const stopped = Date.now();
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
    expect(Date.now() - stopped).toBeLessThan(20_000);
    await live.ended;
  });
});

/** Reads server-sent events. */
function openEvents(url: string, headers: Record<string, string>) {
  let text = "";
  let look = (): void => {};
  const ended = new Promise<void>((resolve, reject) => {
    request(url, { headers })
      .on("error", reject)
      .on("response", (response) => {
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
          look();
        });
        response.on("end", resolve);
        response.on("error", reject);
      })
      .end();
  });
  const contains = (expected: string): Promise<void> =>
    new Promise((resolve) => {
      look = () => {
        if (text.includes(expected)) resolve();
      };
      look();
    });
  return { ended, contains };
}
