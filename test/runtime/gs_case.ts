// A bucket of Google Cloud Storage with a service account's key, on web standards only: signing,
// escaping, ranges and checks are the runtime's own.
import { latest, openArtifact, openRegistry, type RegistryOptions } from "../../mod.ts";
import { equal, rejects } from "./check.ts";

const NAME = "app_linux_amd64 ä%2F+?#.tar.gz";
const URL_OF_REGISTRY = `gs://b/my%20app?artifact=${encodeURIComponent(NAME)}`;
const PLATFORM = { os: "linux", arch: "amd64" };

/**
 * Runs all checks against the servers of test/runtime/gs.test.ts and returns their names. Throws if
 * one fails. `base` is `http://127.0.0.1:<port>`, which stands for Google's hosts below `/<host>`;
 * `key` is the JSON of the service account's key.
 */
export async function gsCase(base: string, key: string): Promise<string[]> {
  const passed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    await check(base, key);
    passed.push(name);
  }
  return passed;
}

const checks: Record<string, (base: string, key: string) => Promise<void>> = {
  async "a bucket is read with a signed token"(base, key) {
    const options = optionsOf(base, { GOOGLE_APPLICATION_CREDENTIALS: key });
    const registry = openRegistry(URL_OF_REGISTRY, options);
    const answer = await registry.resolve();
    if (answer.kind !== "ready") throw new Error(JSON.stringify(answer));
    const { release, artifact } = answer;
    equal([release.tag, artifact.name], ["v1.10.0", NAME], "newest");
    equal(artifact.digest, "md5:781e5e245d69b566979b86e28d23f2c7", "digest");
    equal(await new Response(await registry.open(artifact)).text(), "0123456789", "bytes");
    const rest = await registry.open(artifact, { offset: 4 });
    equal(await new Response(rest).text(), "456789", "rest");
    const alone = await openArtifact(artifact.url, { ...options, offset: 9 });
    equal(await new Response(alone).text(), "9", "openArtifact");
    const replaced = { ...artifact, revision: "1" };
    await rejects(registry.open(replaced, { offset: 4 }), "integrity", "replaced");
  },

  async "a record is left"(base, key) {
    const registry = openRegistry(
      URL_OF_REGISTRY,
      optionsOf(base, { GOOGLE_APPLICATION_CREDENTIALS: key }),
    );
    const at = new Date(0);
    const deployment = { id: "", tag: "v1.10.0", command: "assets", host: "edge", at };
    await registry.report?.(deployment);
    await registry.report?.(deployment);
  },

  async "a request without credentials is refused"(base) {
    await rejects(latest(URL_OF_REGISTRY, optionsOf(base, {})), "credential", "anonymous");
  },

  async "an emulator needs no credentials"(base) {
    const env = { STORAGE_EMULATOR_HOST: `${base}/emulator`.replace("http://", "") };
    const options = { env, platform: PLATFORM };
    const answer = await latest(URL_OF_REGISTRY, options);
    equal(answer.kind === "ready" && answer.release.tag, "v1.10.0", "newest");
  },
};

function optionsOf(base: string, env: Record<string, string>): RegistryOptions {
  const fetch = (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const { host, pathname, search } = new URL(String(input));
    return globalThis.fetch(`${base}/${host}${pathname}${search}`, init);
  };
  return { env, fetch, platform: PLATFORM };
}
