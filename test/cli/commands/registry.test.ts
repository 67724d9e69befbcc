import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseArgv } from "../../../src/cli/flags/parse.ts";
import type { RegistryConfig } from "../../../src/cli/flags/registry.ts";
import { run } from "../../../src/cli/run.ts";
import { filePublisher } from "../../e2e/publishers.ts";
import { readConfig } from "../../support/read_config.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { type FakeProcess, fakeProcess } from "../process.ts";

const UPSTREAM = ["registry", "--upstream", "ghr://o/r"];

function config(...argv: string[]): RegistryConfig {
  return readConfig("registry", parseArgv([...UPSTREAM, ...argv])) as RegistryConfig;
}

describe("the command line of dewy registry", () => {
  test("has its defaults", () => {
    expect(config("--port", "9000")).toMatchObject({
      registry: "ghr://o/r",
      port: 9000,
      host: "127.0.0.1",
      isInsecurePublic: false,
      tls: undefined,
      publicUrl: undefined,
      direct: false,
      intervalMs: 10_000,
      maxStaleMs: 3_600_000,
    });
  });

  test("is read", () => {
    const argv = [
      ...["-p", "0", "--host", "::1", "-i", "30s", "--max-stale", "5m", "--direct"],
      ...["--tls-cert", "c", "--tls-key", "k", "--token-file", "t", "--signing-key-file", "s"],
      ...["--public-url", "https://registry.example.com/dewy/", "--insecure-public"],
    ];
    expect(config(...argv)).toMatchObject({
      port: 0,
      host: "::1",
      tls: { certFile: "c", keyFile: "k" },
      tokenFile: "t",
      signingKeyFile: "s",
      publicUrl: "https://registry.example.com/dewy",
      direct: true,
      isInsecurePublic: true,
      intervalMs: 30_000,
      maxStaleMs: 300_000,
    });
  });

  test.each([
    [[], "--port is not set"],
    [["-p", "65536"], 'Invalid value for --port "65536"'],
    [["-p", "http"], 'Invalid value for --port "http"'],
    [["-p", "1", "--tls-cert", "c"], "--tls-cert needs --tls-key"],
    [["-p", "1", "--tls-key", "c"], "--tls-key needs --tls-cert"],
    [["-p", "1", "--public-url", "registry.example.com"], "Invalid value for --public-url"],
    [["-p", "1", "--public-url", "https://a/?token=x"], "https://a/?token=…"],
    [["-p", "1", "--public-url", "https://u:p@a"], 'Invalid value for --public-url "https://a"'],
    [["-p", "1", "-i", "10ms"], "Invalid value for --interval"],
    [["-p", "1", "--registry", "ghr://o/r"], "unknown flag --registry for"],
    [["-p", "1", "word"], 'unexpected argument "word"'],
  ])("is refused: %j", (argv, message) => {
    expect(() => config(...argv)).toThrow(message);
  });
});

test.each([
  ["ghr://o/r", "gs://b", "for a time that is not set; add registry-ttl=30s"],
  ["ghr://o/r", "nfs://b?registry-ttl=30s", 'unsupported cache scheme "nfs"'],
  ["file:///releases", "gs://b?registry-ttl=30s", "leave --cache out"],
])("dewy registry --upstream %s --cache %s does not start", async (upstream, cache, message) => {
  const io = fakeProcess();
  const argv = ["registry", "--upstream", upstream, "--port", "0", "--cache", cache];
  expect(await run(argv, io)).toBe(1);
  expect(io.err()).toContain("Cannot use --cache");
  expect(io.err()).toContain(message);
});

describe("dewy registry", () => {
  interface Started {
    io: FakeProcess;
    ended: Promise<number>;
    url: string;
  }

  const start = async (
    options: { env?: Record<string, string> },
    ...argv: string[]
  ): Promise<Started> => {
    const publisher = await filePublisher();
    await publisher.publish("v1.0.0", new Uint8Array(3), "app_linux_amd64.tar.gz");
    await publisher.publish("v1.0.0", new Uint8Array(4), "app_linux_arm64.tar.gz");
    const io = fakeProcess(options);
    const ended = run(["registry", "--upstream", publisher.url, "--port", "0", ...argv], io);
    onTestFinished(async () => {
      io.kill("SIGTERM");
      await ended;
    });
    await expect.poll(io.err).toContain("msg=Listening");
    const [, url = ""] = /url=(\S+)/.exec(io.err()) ?? [];
    return { io, ended, url };
  };
  const ask = (
    url: string,
    headers: Record<string, string> = {},
    arifactName?: string,
  ): Promise<Response> =>
    fetch(`${url}/dewy.RegistryService/Current`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ os: "linux", arch: "amd64", arifactName }),
    });

  test("serves until SIGTERM, and logs its URL", async () => {
    const { io, ended, url } = await start({});
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:/);
    const { tag, artifactUrl } = await (await ask(url)).json();
    expect(tag).toBe("v1.0.0");
    expect((await (await fetch(artifactUrl)).arrayBuffer()).byteLength).toBe(3);
    io.kill("SIGTERM");
    expect(await ended).toBe(0);
    expect(io.err()).toContain('msg="Dewy stopping" signal=SIGTERM');
    expect(io.err()).not.toMatch(/level=(WARN|ERROR)/);
    await expect(ask(url)).rejects.toThrow();
  });

  test("answers with the artifact that a machine asks for by name, or with NOT_FOUND", async () => {
    const { url } = await start({});
    const { artifactUrl } = await (await ask(url, {}, "app_linux_arm64.tar.gz")).json();
    expect(artifactUrl).toContain("/app_linux_arm64.tar.gz?");
    expect((await (await fetch(artifactUrl)).arrayBuffer()).byteLength).toBe(4);
    const missing = await ask(url, {}, "app_linux_386.tar.gz");
    expect(await missing.json()).toMatchObject({
      code: "not_found",
      message: 'v1.0.0 has no artifact "app_linux_386.tar.gz"',
    });
  });

  const TOKEN = { DEWY_REGISTRY_TOKEN: "t0ken-of-the-fleet" };

  test("warns of a token in plain text, and of links to whatever a machine called it", async () => {
    const { io, url } = await start({ env: TOKEN }, "--host", "0.0.0.0");
    const loopback = `http://127.0.0.1:${new URL(url).port}`;
    expect((await ask(loopback)).status).toBe(401);
    const right = await ask(loopback, { authorization: "Bearer t0ken-of-the-fleet" });
    expect((await right.json()).artifactUrl).toMatch(new RegExp(`^${loopback}/artifacts/`));
    expect(io.err()).toContain("The token travels in plain text");
    expect(io.err()).toContain("set --public-url");
    expect(io.err()).not.toContain("t0ken");
  });

  test("does not warn with a public https:// URL of a proxy", async () => {
    const argv = ["--host", "0.0.0.0", "--public-url", "https://registry.example.com"];
    const { io } = await start({ env: TOKEN }, ...argv);
    expect(io.err()).not.toContain("WARN");
  });

  test("listens without a token only with --insecure-public, and warns", async () => {
    const { io, url } = await start({}, "--host", "0.0.0.0", "--insecure-public");
    expect((await ask(`http://127.0.0.1:${new URL(url).port}`)).status).toBe(200);
    expect(io.err()).toContain("Anyone who can reach this port can download the artifacts");
  });

  test.each(["0.0.0.0", "::", "192.0.2.1", "registry.example.com"])(
    "does not listen on %s without a token",
    async (host) => {
      const io = fakeProcess();
      const argv = ["registry", "--upstream", "ghr://o/r", "--port", "0", "--host", host];
      expect(await run(argv, io)).toBe(1);
      expect(io.err()).toContain(`Cannot use --host "${host}" without a token`);
      expect(io.err()).toContain("--token-file");
      expect(io.err()).toContain("--insecure-public");
    },
  );

  test("refuses invalid files and upstreams", async () => {
    const directory = await tempDirectory();
    const short = join(directory, "short");
    const blank = join(directory, "blank");
    await writeFile(short, "too short");
    await writeFile(blank, "two words");
    const fails = async (...argv: string[]): Promise<[number, string]> => {
      const io = fakeProcess();
      return [await run(["registry", "--port", "0", ...argv], io), io.err()];
    };
    const up = ["--upstream", `file://${directory}`];
    const has = (text: string): unknown => expect.stringContaining(text);
    expect(await fails("--upstream", "img://o/r")).toEqual([1, has("img:// has images")]);
    expect(await fails("--upstream", "ftp://o/r")).toEqual([1, has("unsupported registry")]);
    expect(await fails()).toEqual([1, has("--upstream is not set")]);
    expect(await fails(...up, "--direct")).toEqual([1, has("cannot reach file://")]);
    expect(await fails(...up, "--signing-key-file", short)).toEqual([1, has("has 9 bytes")]);
    expect(await fails(...up, "--token-file", blank)).toEqual([1, has("without spaces")]);
    expect(await fails(...up, "--token-file", join(directory, "none"))).toEqual([
      1,
      has("Cannot use --token-file: Cannot read"),
    ]);
    expect(await fails(...up, "--tls-cert", short, "--tls-key", short)).toEqual([
      1,
      has("Cannot use the TLS certificate"),
    ]);
  });
});
