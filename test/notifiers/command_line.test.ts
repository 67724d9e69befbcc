import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { fakeProcess } from "../cli/process.ts";
import { startSmtp } from "../fakes/smtp.ts";
import { certificateAuthority, siteCertificate } from "../host/net/private_network.ts";
import { tempDirectory } from "../support/temp_directory.ts";

/** Deploys once from a directory, and notifies. */
async function deployOnce(env: Record<string, string>, ...argv: string[]) {
  const directory = await tempDirectory();
  const registry = join(directory, "registry");
  const app = join(directory, "app");
  await mkdir(join(registry, "v1.0.0"), { recursive: true });
  await mkdir(app);
  await writeFile(join(registry, "v1.0.0", "page"), "<html>");
  const io = fakeProcess({ env });
  const source = ["--registry", `file://${registry}?artifact=page`];
  const code = await run(["assets", ...source, "--directory", app, "--once", ...argv], io);
  expect({ code, err: io.err() }).toEqual({ code: 0, err: "" });
  return app;
}

test("a command gets the facts of the instance, and no credentials", async () => {
  const env = {
    PATH: process.env.PATH ?? "",
    LANG: "C.UTF-8",
    HTTPS_PROXY: "http://me:canary-1@proxy.example:3128",
    SLACK_TOKEN: "canary-2",
    MAIL_PASSWORD: "canary-3",
    AWS_SECRET_ACCESS_KEY: "canary-4",
    DEWY_NOTIFIER: "exec:cat>>got&&env>>got",
  };
  const app = await deployOnce(env, "--name", "shop");
  const got = await readFile(join(app, "got"), "utf8");
  const [started] = got.split("\n").filter((line) => line.startsWith("{"));
  expect(JSON.parse(started ?? "")).toMatchObject({
    event: "started",
    app: "shop",
    mode: "assets",
    directory: app,
    registry: expect.stringContaining("file://"),
  });
  expect(got).toContain('"event":"deployed"');
  expect(got).toMatch(/^LANG=C\.UTF-8$/m);
  expect(got).toMatch(/^HTTPS_PROXY=http:\/\/proxy\.example:3128$/m);
  expect(got).not.toMatch(/canary-|DEWY_NOTIFIER=/);
});

test("mail trusts the authority of --ca-file", async () => {
  const ca = await certificateAuthority("mail CA");
  const site = await siteCertificate(ca);
  const smtp = await startSmtp({ key: site.private, cert: site.cert, secure: true });
  onTestFinished(() => smtp.close());
  const caFile = join(await tempDirectory(), "ca.pem");
  await writeFile(caFile, ca.cert);
  const notifier = `smtps://localhost:${smtp.port}/ops@example.com?from=dewy@example.com&quiet=true`;
  await deployOnce({}, "--ca-file", caFile, "--notifier", notifier);
  expect(smtp.mails.map(({ mail }) => mail.subject)).toEqual([
    expect.stringContaining("Deployed v1.0.0"),
  ]);
});

test("an error names the line or the variable in which the URL stands", async () => {
  const file = join(await tempDirectory(), "urls");
  await writeFile(file, "# chats\nslak://ops\n", { mode: 0o600 });
  const argv = ["assets", "--registry", "file:///releases", "--once"];
  const errorOf = async (env: Record<string, string>, ...more: string[]): Promise<string> => {
    const io = fakeProcess({ env });
    expect(await run([...argv, ...more], io)).toBe(1);
    return io.err();
  };
  expect(await errorOf({}, "--notifier-file", file)).toContain(`slack://? (line 2 of "${file}")`);
  const env = { DEWY_NOTIFIER: "slack://ops?quiet=maybe" };
  expect(await errorOf(env)).toContain("(DEWY_NOTIFIER)");
});
