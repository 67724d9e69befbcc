import { type EntryOptions, latest, openArtifact, openRegistry, versions } from "dewy/gcs";
import { equal } from "../../runtime/check.ts";
import type { Cases, Peers } from "../case.ts";
import { assertReady, LINUX, listOf, rejects, tagsOf, textOf } from "../check.ts";

const NAME = "app_linux_amd64 ä%2F+?#.tar.gz";
const REGISTRY = `gs://b/my%20app?artifact=${encodeURIComponent(NAME)}`;

function optionsOf({ google, googleKey }: Peers, env?: Record<string, string>): EntryOptions {
  return {
    platform: LINUX,
    env: env ?? { GOOGLE_APPLICATION_CREDENTIALS: googleKey },
    fetch(input, init) {
      const { host, pathname, search } = new URL(String(input));
      return globalThis.fetch(`${google}/${host}${pathname}${search}`, init);
    },
  };
}

/** A bucket of Google Cloud Storage, with a service account's key. */
export const gcs: Cases = {
  async "a bucket is read with a signed token"(peers) {
    const options = optionsOf(peers);
    const registry = openRegistry(REGISTRY, options);
    const { release, artifact } = assertReady(await registry.resolve());
    equal([release.tag, artifact.name], ["v1.10.0", NAME], "newest");
    equal(artifact.digest, "md5:781e5e245d69b566979b86e28d23f2c7", "digest");
    equal(await textOf(await registry.open(artifact)), "0123456789", "bytes");
    equal(await textOf(await registry.open(artifact, { offset: 4 })), "456789", "rest");
    const alone = await openArtifact(artifact.url, { ...options, offset: 9 });
    equal(await textOf(alone), "9", "openArtifact");
    const replaced = { ...artifact, revision: "1" };
    await rejects(registry.open(replaced, { offset: 4 }), "integrity");
  },

  async "versions of a bucket are listed, and one that is there is unchanged"(peers) {
    const listed = await listOf(versions(REGISTRY, optionsOf(peers)));
    equal(tagsOf(listed), ["v1.10.0", "v1.9.0", "v1.2.0"], "tags");
    const answer = await latest(REGISTRY, { ...optionsOf(peers), since: "v1.10.0" });
    equal(answer.kind === "none" && answer.reason, "unchanged", "reason");
  },

  async "an audit record is written once"(peers) {
    const registry = openRegistry(REGISTRY, optionsOf(peers));
    const at = new Date(0);
    const deployment = { id: "", tag: "v1.10.0", command: "assets", host: "edge", at };
    await registry.report?.(deployment);
    await registry.report?.(deployment);
  },

  async "a request without credentials is refused"(peers) {
    await rejects(latest(REGISTRY, optionsOf(peers, {})), "credential");
  },

  async "an emulator needs no credentials"({ google }) {
    const env = { STORAGE_EMULATOR_HOST: `${google}/emulator`.replace("http://", "") };
    const answer = await latest(REGISTRY, { env, platform: LINUX });
    equal(assertReady(answer).release.tag, "v1.10.0", "newest");
  },
};
