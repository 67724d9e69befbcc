import { describe, expect, it } from "vitest";
import { latest, openArtifact, openRegistry, type RegistryOptions } from "../../mod.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { loadRegistry } from "../../src/registries/load.ts";
import { fakeClock } from "../fakes/clock.ts";
import { fetchOf } from "../fakes/handler.ts";

const MACHINE: RegistryOptions = { env: {}, platform: { os: "linux", arch: "amd64" } };

describe("the option token", () => {
  it.each([
    ["ghr://acme/app", { GH_TOKEN: "other", GITHUB_APP_ID: "1" }, "Bearer secret"],
    ["gs://bucket/app", { GOOGLE_APPLICATION_CREDENTIALS: "{" }, "Bearer secret"],
    ["grpc://registry.example?protocol=connect", { DEWY_REGISTRY_TOKEN: "other" }, "Bearer secret"],
    [
      "img://registry.example/app",
      { DOCKER_USERNAME: "me", DOCKER_PASSWORD: "other" },
      `Basic ${btoa("token:secret")}`,
    ],
  ])("takes precedence over the environment for %s", async (url, env, expected) => {
    const sent: (string | null)[] = [];
    const fetch = fetchOf(async ({ headers }) => {
      sent.push(headers.get("authorization"));
      const challenge = { "www-authenticate": 'Basic realm="r"' };
      return new Response("{}", {
        status: headers.has("authorization") ? 404 : 401,
        headers: challenge,
      });
    });
    await latest(url, { ...MACHINE, env, fetch, token: "secret" }).catch(() => {});
    expect(sent).toContain(expected);
  });

  it.each([["s3://eu-west-1/bucket", "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"]])(
    "is refused for %s, which has no token",
    (url, variables) => {
      expect(() => openRegistry(url, { ...MACHINE, token: "secret" })).toThrow(
        `Cannot use the option token with s3://: it has no single token; set in env what it reads: ${variables}`,
      );
    },
  );
});

describe("the option timeoutMs", () => {
  const silence = fetchOf(() => new Promise<Response>(() => {}));

  it.each([
    ["a question", (options: RegistryOptions) => latest("ghr://acme/app", options)],
    [
      "the start of a download",
      (options: RegistryOptions) => openArtifact("https://example.com/app.zip", options),
    ],
  ])("limits %s", async (_, ask) => {
    const clock = fakeClock();
    const asked = ask({ ...MACHINE, clock, fetch: silence, timeoutMs: 1_500 });
    const outcome = expect(asked).rejects.toMatchObject({
      code: "timeout",
      retryable: true,
      message: expect.stringContaining("within 1.5 s"),
    });
    await clock.sleeping(1_500);
    clock.advance(1_500);
    await outcome;
  });

  it("does not end a stream that was opened in time", async () => {
    const clock = fakeClock();
    const stop = new AbortController();
    const fetch = fetchOf(
      async () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) })),
    );
    const options = { ...MACHINE, clock, fetch, timeoutMs: 1_000, signal: stop.signal };
    const reader = (await openArtifact("https://example.com/app.zip", options)).getReader();
    const read = reader.read();
    clock.advance(2_000);
    stop.abort(new Error("enough"));
    await expect(read).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("the features that a driver declares", () => {
  it.each(Object.values(hostRegistries))(
    "are those of a registry of $scheme://",
    async (driver) => {
      const { registry } = await loadRegistry(driver.example, {
        ...MACHINE,
        registries: hostRegistries,
      });
      const members = [
        "anyPlatform",
        "exists",
        "report",
        "link",
        "watch",
        "digest",
        "pullAccess",
      ].filter((name) => ({ ...registry })[name as "exists"]);
      expect(members).toEqual(driver.features);
      const lazy = openRegistry(driver.example, { ...MACHINE, registries: hostRegistries });
      expect(Object.keys(registry).sort()).toEqual(expect.arrayContaining(members));
      expect(members.filter((name) => !{ ...lazy }[name as "exists"])).toEqual([]);
    },
  );
});
