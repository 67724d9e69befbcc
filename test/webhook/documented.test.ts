import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { openWebhooks } from "../../src/webhook/open.ts";
import { freePort } from "../peers/ports.ts";
import { ROOT, run } from "../runtime/runtimes.ts";
import { codeBlocks } from "../support/documents.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { secretFile, webhookEvents } from "./fixtures.ts";
import { githubHeaders, SECRET } from "./signed.ts";

const NGINX = "/usr/sbin/nginx";
const noNginx = existsSync(NGINX) ? undefined : ` (skipped: ${NGINX} is missing)`;

const blocks = codeBlocks(readFileSync(join(ROOT, "docs/webhooks.md"), "utf8"));
const calls = blocks.filter(({ language, code }) => language === "sh" && code.includes("curl"));
const location = blocks.find(({ code }) => code.startsWith("location /hooks/"))?.code ?? "";

async function start() {
  const events: DewyEvent[] = [];
  const file = await secretFile();
  const webhooks = await openWebhooks({
    listen: { host: "127.0.0.1", port: 0 },
    secretFile: file,
    onWake: () => {},
    emit: (event) => events.push(event),
    clock: systemClock,
  });
  onTestFinished(() => webhooks.close());
  return { file, url: webhooks.url, events };
}

describe("docs/webhooks.md", () => {
  test("has the examples that are run here", () => {
    expect(calls).toHaveLength(2);
    expect(location).toContain("proxy_pass http://127.0.0.1:9001;");
  });

  test.each(calls)("calls dewy in line $line", async ({ code }) => {
    const { file, url, events } = await start();
    const script = code
      .replaceAll("/etc/dewy/webhook", file)
      .replaceAll("http://127.0.0.1:9001", url);
    const output = await run("bash", ["-euo", "pipefail", "-c", script], {});
    expect(output).toEqual({ code: 0, stdout: "Accepted\n", stderr: "" });
    expect(webhookEvents(events)).toMatchObject([{ outcome: "accepted" }]);
  });
});

describe.skipIf(noNginx !== undefined)(`behind nginx${noNginx ?? ""}`, () => {
  async function startNginx(backend: string): Promise<string> {
    const [directory, port] = [await tempDirectory(), await freePort()];
    const config = join(directory, "nginx.conf");
    await mkdir(join(directory, "temp"));
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
      (name) => `${name}_temp_path ${directory}/temp/${name};`,
    );
    await writeFile(
      config,
      `${process.getuid?.() === 0 ? "user root; " : ""}daemon off; pid ${directory}/pid; error_log stderr; events {}
       http { access_log ${directory}/access.log; ${temporary.join(" ")}
       server { listen 127.0.0.1:${port}; ${location.replace("http://127.0.0.1:9001", backend)} } }`,
    );
    const nginx = spawn(NGINX, ["-p", directory, "-c", config], { stdio: "ignore" });
    onTestFinished(async () => {
      nginx.kill("SIGTERM");
      if (nginx.exitCode === null) await once(nginx, "exit");
    });
    const url = `http://127.0.0.1:${port}`;
    for (;;) {
      if (nginx.exitCode !== null) throw new Error(`nginx exited with ${nginx.exitCode}`);
      if (
        await fetch(url)
          .then((response) => response.text())
          .catch(() => undefined)
      )
        return url;
      await systemClock.sleep(10);
    }
  }

  test("webhooks arrive as they were sent", async () => {
    const { url, events } = await start();
    const proxy = await startNginx(url);
    const post = async (path: string, body: string, headers: Record<string, string> = {}) =>
      (await fetch(proxy + path, { method: "POST", body, headers })).status;
    const body = JSON.stringify({ notes: "é".repeat(1_000_000) });
    expect(await post("/hooks/github", body, githubHeaders(body))).toBe(202);
    expect(await post("/hooks/registry", "{}", { authorization: `Bearer ${SECRET}` })).toBe(202);
    expect(await post(`/hooks/${SECRET}`, "{}")).toBe(202);
    expect(await post("/hooks/wrong", body)).toBe(404);
    expect(webhookEvents(events)).toMatchObject([
      { source: "github", outcome: "accepted" },
      { source: "registry", outcome: "accepted" },
      { source: "secret", outcome: "accepted" },
      { source: "secret", outcome: "refused" },
    ]);
  });
});
