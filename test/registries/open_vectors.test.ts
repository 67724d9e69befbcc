import { describe } from "vitest";
import { ConfigError, DewyError } from "../../src/core/error.ts";
import { loadRegistry } from "../../src/registries/load.ts";
import { openArtifact, openRegistry, type RegistryOptions } from "../../src/registries/open.ts";
import { registries } from "../../src/registries/table.ts";
import { fakeClock } from "../fakes/clock.ts";
import { fetchOf } from "../fakes/handler.ts";
import { type FakeS3, fakeS3 } from "../fakes/s3.ts";
import { REFUSED, testVectors } from "../support/vectors.ts";
import { ghrWorld } from "./github/world.ts";

const NOW = Date.UTC(2026, 5, 1, 12);

/** What a registry's URL stands for, but for how it is written. */
async function meaning(url: string, calver = ""): Promise<object> {
  const { locator } = await loadRegistry(url, { calver, env: {}, registries });
  return { ...locator, url: "" };
}

function s3World(): { server: FakeS3; options: RegistryOptions } {
  const server = fakeS3("b", () => NOW);
  const options: RegistryOptions = {
    env: { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" },
    endpoint: "http://s3.test",
    platform: { os: "linux", arch: "amd64" },
    fetch: fetchOf(server.handler),
    clock: fakeClock({ now: NOW }),
  };
  return { server, options };
}

async function text(url: string, options: RegistryOptions): Promise<string> {
  return new Response(await openArtifact(url, options)).text();
}

/** What there is to download, and the address that is asked for. */
function published(input: Record<string, unknown>): [url: string, options: RegistryOptions] {
  const { body, url, release, assets, want } = input;
  if (body !== undefined) {
    const { server, options } = s3World();
    server.store("v1.0.0/app.zip", String(body));
    return ["s3://us-east-1/b/v1.0.0/app.zip?endpoint=http://s3.test", options];
  }
  const { github, options } = ghrWorld();
  if (url !== undefined) return [String(url), options];
  github.publish(
    String(release),
    (assets as string[]).map((name) => ({ name })),
  );
  return [`ghr://acme/app/tag/${release}/${want}`, options];
}

describe("vectors", () => {
  testVectors(
    "registry-url",
    async ({ in: { registry, calver }, out }) => {
      try {
        const got = await meaning(String(registry), String(calver));
        const recorded = out === undefined ? undefined : await meaning(String(out));
        return JSON.stringify(got) === JSON.stringify(recorded) ? out : got;
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return REFUSED;
      }
    },
    ["normalize"],
  );

  testVectors(
    "registry-url",
    async ({ in: input }) => {
      try {
        return await text(...published(input));
      } catch (error) {
        if (!(error instanceof DewyError)) throw error;
        return REFUSED;
      }
    },
    ["download"],
  );

  testVectors("s3-latest", async ({ in: { prefix, commonPrefixes, preRelease } }) => {
    const { server, options } = s3World();
    for (const one of commonPrefixes as string[]) {
      server.store(one.endsWith("/") ? `${one}app_linux_amd64.zip` : one, "bytes");
    }
    const url = `s3://us-east-1/b/${prefix}`;
    const answer = await openRegistry(url, {
      ...options,
      preRelease: preRelease === true,
    }).resolve();
    if (answer.kind !== "ready") throw new Error(JSON.stringify(answer));
    return { prefix: answer.release.id, version: answer.release.tag };
  });
});
