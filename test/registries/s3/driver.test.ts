import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Registry, Resolution } from "../../../src/core/types.ts";
import type { HostServices } from "../../../src/registries/driver.ts";
import {
  explainRegistry,
  openRegistry,
  type RegistryOptions,
} from "../../../src/registries/open.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { fetchOf } from "../../fakes/handler.ts";
import { type FakeS3, fakeS3 } from "../../fakes/s3.ts";
import vectors from "../../vectors/s3-keys.json" with { type: "json" };

const NOW = Date.UTC(2026, 5, 1, 12);
const ARTIFACT = "app_linux_amd64.tar.gz";

function world(
  options: RegistryOptions & HostServices = {},
  url = "s3://us-east-1/b/app",
): { server: FakeS3; registry: Registry } {
  const server = fakeS3("b", () => NOW);
  const registry = openRegistry(url, {
    endpoint: "http://s3.test",
    env: { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" },
    platform: { os: "linux", arch: "amd64" },
    fetch: fetchOf(server.handler),
    clock: fakeClock({ now: NOW }),
    ...options,
  });
  return { server, registry };
}

function mapValues<K extends string>(
  record: Record<K, string>,
  change: (value: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries<string>(record).map(([k, v]) => [k, change(v)]));
}

function ready(resolution: Resolution): Extract<Resolution, { kind: "ready" }> {
  if (resolution.kind !== "ready") throw new Error(JSON.stringify(resolution));
  return resolution;
}

describe("s3://", () => {
  test.each(vectors.current)(
    "reads the layout as known: $name",
    async ({ options, objects, answer, message }) => {
      const server = fakeS3("b", () => NOW);
      const virtualHost = "https://b.s3.ap-northeast-1.amazonaws.com";
      // The fake is path style: move the bucket from the host into the path.
      const fetch = fetchOf((request) =>
        server.handler(new Request(request.url.replace(virtualHost, "http://s3.test/b"), request)),
      );
      const { registry } = world(
        { endpoint: "", fetch, ...options },
        "s3://ap-northeast-1/b/rel/app",
      );
      for (const key of objects)
        server.store(key, key, { lastModified: new Date(NOW - 3_600_000) });
      const resolution = await registry.resolve();
      if (answer === undefined) {
        expect(resolution).toMatchObject({
          kind: "none",
          message: expect.stringContaining(message ?? ""),
        });
      } else {
        const { release, artifact } = ready(resolution);
        expect({ tag: release.tag, url: artifact.url }).toEqual(answer);
        expect(release.createdAt).toEqual(new Date(NOW - 3_600_000));
      }
    },
  );

  test("ignores whitespace around credentials, as files and secret stores leave it", async () => {
    const sent: Headers[] = [];
    const fetch = fetchOf((request) => {
      sent.push(request.headers);
      return new Response(null, { status: 404 });
    });
    const env = {
      AWS_ACCESS_KEY_ID: " AKID\n",
      AWS_SECRET_ACCESS_KEY: "secret\r\n",
      AWS_SESSION_TOKEN: "token\n",
    };
    for (const given of [env, mapValues(env, (value) => value.trim())]) {
      await expect(world({ env: given, fetch }).registry.resolve()).rejects.toThrow("404");
    }
    const [trimmed, clean] = sent.map((headers) => headers.get("authorization"));
    expect(trimmed).toContain("Credential=AKID/");
    expect(trimmed).toBe(clean);
  });

  test.each([
    ["AWS_ACCESS_KEY_ID", "canary-1\ncanary-2", "Cannot use AWS_ACCESS_KEY_ID: it has spaces"],
    ["AWS_SECRET_ACCESS_KEY", "canary-1\ncanary-2", "Cannot use AWS_SECRET_ACCESS_KEY: it has"],
    ["AWS_SESSION_TOKEN", "canary-1\ncanary-2", "Cannot use AWS_SESSION_TOKEN: it has spaces"],
    ["AWS_SESSION_TOKEN", "canary…", "Cannot use AWS_SESSION_TOKEN: it has spaces or non-ASCII"],
  ])("refuses %s with characters that cannot be sent, and does not show it", async (...given) => {
    const [name, value, message] = given;
    const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret", [name]: value };
    const answer = world({ env }).registry.resolve();
    await expect(answer).rejects.toThrow(message);
    await expect(answer).rejects.not.toThrow("canary");
  });

  test.each(["accessKeyId", "sessionToken"])(
    "refuses an %s of the machine's that cannot be sent, and does not show it",
    async (part) => {
      const keys = { accessKeyId: "key", secretAccessKey: "secret", [part]: "canary-1\ncanary-2" };
      const answer = world({ env: {}, awsCredentials: async () => keys }).registry.resolve();
      await expect(answer).rejects.toMatchObject({ code: "credential", retryable: false });
      await expect(answer).rejects.toThrow(
        /^Cannot use the AWS (access key|session token): it has/,
      );
      await expect(answer).rejects.not.toThrow("canary");
    },
  );

  test("sends two requests for an idle poll, and one for the digest of new bytes", async () => {
    const { server, registry } = world();
    const poll = async (): Promise<string[]> => {
      server.calls.length = 0;
      await registry.resolve();
      return server.calls.map((call) => call.replace(/\?.*/, ""));
    };
    server.store(`app/v1.0.0/${ARTIFACT}`, "bytes");
    const head = `HEAD /b/app/v1.0.0/${ARTIFACT}`;
    expect(await poll()).toEqual(["GET /b", "GET /b", head]);
    expect(await poll()).toEqual(["GET /b", "GET /b"]);
    server.store(`app/v1.0.0/${ARTIFACT}`, "other");
    expect(await poll()).toEqual(["GET /b", "GET /b", head]);
  });

  test("prefers the checksum of S3 to the entity tag", async () => {
    const { server, registry } = world();
    const sha256 = createHash("sha256").update("bytes");
    const headers = {
      "x-amz-checksum-sha256": sha256.copy().digest("base64"),
      "x-amz-checksum-type": "FULL_OBJECT",
    };
    server.store(`app/v1.0.0/${ARTIFACT}`, "bytes", { headers });
    expect(ready(await registry.resolve()).artifact.digest).toBe(`sha256:${sha256.digest("hex")}`);
  });

  test("reports no digest for an object that is replaced meanwhile", async () => {
    const { server, registry } = world({
      fetch: fetchOf((request) => {
        if (request.method === "HEAD") server.store(`app/v1.0.0/${ARTIFACT}`, "other");
        return server.handler(request);
      }),
    });
    server.store(`app/v1.0.0/${ARTIFACT}`, "bytes");
    expect(ready(await registry.resolve()).artifact.digest).toBeUndefined();
  });

  test("is published when its last file is stored; later records of deploys do not count", async () => {
    const { server, registry } = world();
    const at = (minute: number): { lastModified: Date } => ({
      lastModified: new Date(NOW - 60_000 * (60 - minute)),
    });
    server.store(`app/v1.0.0/${ARTIFACT}`, "bytes", at(1));
    server.store("app/v1.0.0/notes.txt", "n", at(2));
    server.store("app/v1.0.0/shipped_to_web_server_at_20260501T000000.000000000Z.txt", "", at(3));
    expect(ready(await registry.resolve()).release).toMatchObject({
      id: "app/v1.0.0/",
      createdAt: at(2).lastModified,
    });
  });

  test("waits for the files of a directory that was just created in a console", async () => {
    const { server, registry } = world();
    server.store("app/v1.0.0/", "");
    expect(await registry.resolve()).toMatchObject({
      kind: "pending",
      tag: "v1.0.0",
      since: new Date(NOW),
    });
  });

  test("ignores deeper objects and nameless directories", async () => {
    const { server, registry } = world();
    server.store(`app/v1.0.0/${ARTIFACT}`, "bytes");
    server.store(`app/v1.0.0/deeper/x_${ARTIFACT}`, "deeper");
    server.store(`app//v9.0.0/${ARTIFACT}`, "nameless");
    const why = await explainRegistry(registry);
    expect(why.tags.map(({ tag }) => tag)).toEqual(["v1.0.0"]);
    expect(why.artifacts.map(({ name }) => name)).toEqual([ARTIFACT]);
  });

  test("keeps its revision when the same bytes are stored again", async () => {
    const { server, registry } = world();
    server.store(`app/v1.0.0/${ARTIFACT}`, "bytes", { lastModified: new Date(NOW - 1_000) });
    const before = ready(await registry.resolve()).artifact;
    server.store(`app/v1.0.0/${ARTIFACT}`, "bytes");
    expect(ready(await registry.resolve()).artifact).toEqual(before);
  });

  describe("a record", () => {
    const deployed = { id: "x", tag: "v1.0.0", command: "assets", host: "h", at: new Date(NOW) };
    const key = "app/v1.0.0/shipped_to_h_assets_at_20260601T120000.000000000Z.txt";

    test("is left for each host and process, and never written over", async () => {
      const { server, registry } = world();
      server.store(key, "first");
      const others = [{}, { host: "web-2" }, { nanoseconds: 7 }, { nanoseconds: 999_999 }];
      await Promise.all(others.map((one) => registry.report?.({ ...deployed, ...one })));
      expect(server.objects.size).toBe(others.length);
      expect(new TextDecoder().decode(server.objects.get(key)?.body)).toBe("first");
    });

    test("is written without a condition to a service that refuses conditions", async () => {
      const { server, registry } = world({
        fetch: fetchOf((request) =>
          request.headers.has("if-none-match")
            ? new Response("<Error><Code>NotImplemented</Code></Error>", { status: 501 })
            : server.handler(request),
        ),
      });
      await registry.report?.(deployed);
      expect([...server.objects.keys()]).toEqual([key]);
    });

    test("is refused with the permission that it takes", async () => {
      const { registry } = world({
        fetch: fetchOf(
          () => new Response("<Error><Code>AccessDenied</Code></Error>", { status: 403 }),
        ),
      });
      await expect(registry.report?.(deployed)).rejects.toMatchObject({
        code: "credential",
        retryable: false,
        message: expect.stringContaining("takes the permission s3:PutObject"),
      });
    });
  });

  test("refuses to write a record for a tag that leads elsewhere", async () => {
    const { server, registry } = world();
    const deployed = { id: "x", command: "assets", host: "h", at: new Date(NOW), tag: ".." };
    await expect(registry.report?.(deployed)).rejects.toMatchObject({ code: "config" });
    expect(server.calls).toEqual([]);
  });
});
