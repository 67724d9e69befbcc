import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { explain, latest, openArtifact, openRegistry, parseRegistryUrl } from "../../mod.ts";
import type { DriverTables } from "../../src/agent/context.ts";
import { redactorOf } from "../../src/agent/redactor.ts";
import { caches } from "../../src/cache/table.ts";
import { run } from "../../src/cli/run.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { readAnsweredArtifact } from "../../src/registries/answered/artifact.ts";
import { appEnvironment } from "../../src/server/app.ts";
import { type FakeProcess, fakeProcess } from "../cli/process.ts";
import { ODD_NAMES } from "../contract/odd_names.ts";
import { CONTRACT_NOW, registryContract } from "../contract/registry.ts";
import { fakeClock } from "../fakes/clock.ts";
import { renderReference } from "../support/reference.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { locker } from "./locker.ts";
import { letters, pigeon } from "./pigeon.ts";
import { type ShelvedRelease, shelf, shelves } from "./shelf.ts";

// The one line for each driver that dewy itself would have.
const tables: DriverTables = {
  registries: { ...hostRegistries, shelf },
  notifiers: { ...notifiers, pigeon },
  caches: { ...caches, locker },
};
const { registries } = tables;
const ENV = {
  SHELF_WORD: "open sesame 42",
  PIGEON_WHISTLE: "la-la-li-la-la",
  SHELF_LAMP: "bright",
  LOCKER_CODE: "11 26 39",
};
const MACHINE = { platform: { os: "linux", arch: "amd64" }, env: ENV };
const FILE = "app_linux_amd64.tar.gz";

let count = 0;

function stock(...tags: string[]): string {
  const name = `shelf ${count++}`;
  const files = (tag: string): ShelvedRelease => ({
    createdAt: new Date(CONTRACT_NOW - 3_600_000),
    files: new Map([
      [FILE, `bytes of ${tag}`],
      ["page", "<html>"],
    ]),
  });
  shelves.set(name, new Map(tags.map((tag) => [tag, files(tag)])));
  onTestFinished(() => void shelves.delete(name));
  return `shelf://${encodeURIComponent(name)}?aisle=3`;
}

async function dewy(...argv: string[]): Promise<FakeProcess & { exitCode: number }> {
  const io = fakeProcess({ env: ENV });
  const exitCode = await run(argv, io, async () => tables);
  return { ...io, exitCode };
}

registryContract("a made-up registry", {
  oddNames: ODD_NAMES,
  skip: {
    network: "there is no network",
    digest: "a shelf states none",
    records: "a shelf keeps none",
    leftovers: "a shelf keeps no records",
  },
  async setup() {
    const url = stock().replace(/\?.*/, "");
    const releases = shelves.get(decodeURIComponent(url.slice("shelf://".length))) ?? new Map();
    return {
      url,
      options: { ...MACHINE, registries, clock: fakeClock({ now: CONTRACT_NOW }) },
      async publish(published) {
        for (const { tag, files = {}, createdAt = new Date(CONTRACT_NOW - 60_000) } of published) {
          releases.set(tag, { createdAt, files: new Map(Object.entries(files)) });
        }
      },
      remove: async (tag) => void releases.delete(tag),
    };
  },
});

test("the library opens, resolves, explains and downloads", async () => {
  const url = stock("v1.0.0", "v1.1.0");
  const options = { ...MACHINE, registries };
  const answer = await latest(url, options);
  if (answer.kind !== "ready") throw new Error(answer.kind);
  expect(answer.release.tag).toBe("v1.1.0");
  const why = await explain(url, options);
  expect(why).toMatchObject({ registry: url, resolution: { release: { tag: "v1.1.0" } } });
  const bytes = await openArtifact(answer.artifact.url, options);
  expect(await new Response(bytes).text()).toBe("bytes of v1.1.0");
});

test("errors name it, and its options are checked", () => {
  expect(() => openRegistry("nowhere://x", { registries })).toThrow(/supported: .*, file, shelf$/);
  expect(() => parseRegistryUrl("shelf://x")).toThrow("supported");
  expect(() => openRegistry("shelf://x?isle=3", { registries })).toThrow(
    'unknown option "isle"; shelf:// knows aisle, artifact',
  );
  const coloured = { registries, isle: "3" };
  expect(() => openRegistry("shelf://x", coloured)).toThrow('did you mean "aisle"?');
  expect(() => openRegistry("shelf://x", { registries, token: "t" })).toThrow(
    "Cannot use the option token with shelf://: it has no single token; set in env what it reads: SHELF_WORD",
  );
});

test("an option may be printed, another query key may not", async () => {
  expect((await explain(stock("v1.0.0"), { ...MACHINE, registries })).registry).toContain(
    "aisle=3",
  );
  const refused = (): unknown => openRegistry("shelf://x?aisle=3&word=secret", { registries });
  expect(refused).toThrow('"shelf://x?aisle=3&word=…"');
});

test("help and the reference show it", async () => {
  const { out } = await dewy("assets", "--help");
  expect(out()).toMatch(/shelf:\/\/<shelf> +Shelf/);
  expect(out()).toMatch(/pigeon:\/\/<loft> +Carrier pigeon/);
  expect(out()).toMatch(/locker:\/\/<hall> +Locker/);
  expect((await dewy("cache", "prune", "--help")).out()).toContain("locker://");
  expect((await dewy("check", "--help")).out()).not.toContain("locker://");
  expect((await dewy("container", "--help")).out()).not.toContain("shelf://");
  const reference = Object.values(
    renderReference({
      registries: Object.values(registries),
      notifiers: Object.values(tables.notifiers),
      caches: Object.values(tables.caches),
    }),
  ).join("\n");
  expect(reference).toMatch(/`aisle` \| string \| The aisle/);
  expect(reference).toMatch(/`SHELF_WORD` \| yes \|/);
  expect(reference).toMatch(/`feather` \| string \|/);
  expect(reference).toMatch(/`PIGEON_WHISTLE` \| yes \|/);
  expect(reference).toMatch(/`row` \| string \| The row/);
  expect(reference).toMatch(/`LOCKER_CODE` \| yes \|/);
});

test("the commands check and explain ask it, and the log shows no secret", async () => {
  const url = stock("v1.0.0", "v1.1.0");
  const { exitCode, out, err } = await dewy("check", url, "--log-level", "debug");
  expect(exitCode).toBe(0);
  expect(out()).toMatch(/version +v1\.1\.0/);
  expect(out()).toMatch(/url +shelf:\/\/.*\?aisle=3/);
  expect(err()).toContain("drawer=7&word=…");
  expect((await dewy("explain", url)).out()).toMatch(/v1\.0\.0 +older than v1\.1\.0/);
});

test("its secrets are masked, and its variables are kept from the app", async () => {
  const redact = redactorOf(registries, tables.notifiers, tables.caches)(ENV);
  expect(redact("word=open sesame 42 tune=la-la-li-la-la code=11 26 39 lamp=bright")).toBe(
    "word=… tune=… code=… lamp=bright",
  );
  const env = { ...ENV, SHELVES_KEY: "k", PIGEONS_FOOD: "corn", LOCKER_HALL: "h", PATH: "/bin" };
  const config = { envFiles: [], isolateEnv: true, user: undefined };
  expect(await appEnvironment(config, { env, ...tables }, undefined)).toEqual({ PATH: "/bin" });
});

test("a gRPC server may answer with its artifact URLs", () => {
  const rules = { target: "registry.example:443", allow: [], registries };
  expect(readAnsweredArtifact({ url: `shelf://a/v1/${FILE}` }, rules).name).toBe(FILE);
  expect(() => readAnsweredArtifact({ url: "attic://a" }, rules)).toThrow(
    "ghr, s3, gs, shelf, https",
  );
});

test("a gateway can stand in front of it, also with --direct", async () => {
  for (const direct of [[], ["--direct"]]) {
    const io = fakeProcess({ env: ENV });
    const argv = ["registry", "--upstream", stock("v1.0.0"), "--port", "0", ...direct];
    const running = run(argv, io, async () => tables);
    await expect.poll(() => io.err()).toContain("http://127.0.0.1:");
    const [origin] = /http:\/\/127\.0\.0\.1:\d+/.exec(io.err()) ?? [];
    const response = await fetch(`${origin}/dewy.RegistryService/Current`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ arch: "amd64", os: "linux" }),
    });
    const { artifactUrl } = (await response.json()) as { artifactUrl: string };
    expect(artifactUrl).toMatch(direct.length === 0 ? /^http:/ : /^shelf:.*aisle=3/);
    io.kill("SIGTERM");
    expect(await running).toBe(0);
  }
});

test("the made-up notifier reports a deploy from it, without secrets", async () => {
  const url = stock("v1.0.0");
  const directory = join(await tempDirectory(), "app");
  await mkdir(directory);
  const notifier = "pigeon://north-tower?feather=grey";
  letters.length = 0;
  const { err } = await dewy(
    ...["assets", "--registry", `${url}&artifact=page`, "--directory", directory, "--once"],
    ...["--notifier", notifier, "--before-deploy-hook", "echo $PIGEON_WHISTLE; exit 3"],
    ...["--log-level", "info"],
  );
  expect(letters.length).toBeGreaterThan(0);
  expect(letters.every(({ loft }) => loft === "north-tower grey")).toBe(true);
  expect(letters.map(({ kind }) => kind)).toContain("hook-failed");
  // Events of their own: the registry's is logged and sent, the notifier's is logged.
  expect(letters.map(({ text }) => text)).toContain("shelf: Shelf dusted");
  expect(err()).toMatch(/msg="Shelf dusted" scheme=shelf shelf="?shelf/);
  expect(err()).toMatch(/msg="Pigeon released" scheme=pigeon loft=north-tower/);
  expect(JSON.stringify(letters) + err()).not.toContain("la-la-li-la-la");
});

test("the made-up cache can be pruned, and its errors show no secret", async () => {
  const prune = (url: string) => dewy("cache", "prune", "--cache", url);
  expect((await prune("locker://north?row=3&key=secret")).out()).toContain("Removed 0 objects");
  const { exitCode, err } = await prune("attic://me:secret@north?row=3&key=secret");
  expect(exitCode).toBe(1);
  expect(err()).toContain('"attic://north?row=3&key=…": unsupported cache scheme "attic"');
  expect(err()).toContain("supported schemes: file, s3, gs, locker");
  expect(err()).not.toContain("secret");
});

test("the notifier's errors name it", async () => {
  const url = stock("v1.0.0");
  const argv = ["assets", "--registry", url, "--directory", ".", "--notifier"];
  expect((await dewy(...argv, "owl://x")).err()).toMatch(/supported: slack, .*, pigeon/);
  expect((await dewy(...argv, "pigeon://x?tune=1")).err()).toContain("pigeon:// knows");
});
