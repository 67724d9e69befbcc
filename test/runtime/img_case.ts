// An OCI registry on web standards only: challenges, tokens, redirects of blobs and digests are
// checked with the runtime's own fetch and crypto.
import { explain, latest, type RegistryOptions } from "../../mod.ts";
import { equal, rejects } from "./check.ts";

const URL_OF_REGISTRY = "img://registry.example/o/app";

/**
 * Runs all checks against the servers of test/runtime/img.test.ts and returns their names. Throws
 * if one fails. `base` is `http://127.0.0.1:<port>`, which stands for the registry's hosts below
 * `/<host>`.
 */
export async function imgCase(base: string): Promise<string[]> {
  const passed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    await check(base);
    passed.push(name);
  }
  return passed;
}

const checks: Record<string, (base: string) => Promise<void>> = {
  async "an image is chosen for the platform, with a token"(base) {
    const answer = await latest(URL_OF_REGISTRY, optionsOf(base, "secret"));
    if (answer.kind !== "ready") throw new Error(JSON.stringify(answer));
    const { release, artifact } = answer;
    equal([release.tag, release.slot], ["v1.10.0_blue", "blue"], "newest");
    equal(release.createdAt?.toISOString(), "2026-01-02T03:04:05.000Z", "created");
    equal(artifact.url, "img://registry.example/o/app:v1.10.0_blue", "url");
    equal(artifact.digest?.length, 71, "digest");
  },

  async "explain names every platform of the index"(base) {
    const why = await explain(URL_OF_REGISTRY, optionsOf(base, "secret"));
    equal(
      why.artifacts.map(({ name, chosen }) => [name, chosen]),
      [
        ["linux/arm64/v8", false],
        ["linux/amd64", true],
      ],
      "artifacts",
    );
  },

  async "a wrong password is refused"(base) {
    await rejects(latest(URL_OF_REGISTRY, optionsOf(base, "wrong")), "credential", "refused");
  },
};

function optionsOf(base: string, password: string): RegistryOptions {
  return {
    platform: { os: "linux", arch: "amd64" },
    env: { DOCKER_USERNAME: "dewy", DOCKER_PASSWORD: password },
    fetch(input, init) {
      const { host, pathname, search } = new URL(String(input));
      return globalThis.fetch(`${base}/${host}${pathname}${search}`, init);
    },
  };
}
