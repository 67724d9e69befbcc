import { type EntryOptions, explain, latest, openArtifact, openRegistry, versions } from "dewy/s3";
import { equal } from "../../runtime/check.ts";
import type { Cases, Peers } from "../case.ts";
import { assertReady, LINUX, listOf, rejects, tagsOf, textOf } from "../check.ts";

const REGISTRY = "s3://eu-west-1/releases/app";

function optionsOf({ s3 }: Peers, env = KEYS): EntryOptions<"endpoint"> {
  return { platform: LINUX, endpoint: s3, env };
}

const KEYS: Record<string, string> = {
  AWS_ACCESS_KEY_ID: "id",
  AWS_SECRET_ACCESS_KEY: "secret",
  AWS_SESSION_TOKEN: "token",
};

/** A bucket, with the runtime's signatures. */
export const s3: Cases = {
  async "the newest version of a bucket is found and read, with signed requests"(peers) {
    const { release, artifact } = assertReady(await latest(REGISTRY, optionsOf(peers)));
    equal([release.tag, artifact.name], ["v1.10.0", "app ä+&_linux_amd64.tar.gz"], "newest");
    const registry = openRegistry(REGISTRY, optionsOf(peers));
    equal(await textOf(await registry.open(artifact)), "0123456789", "bytes");
    const options = { ...optionsOf(peers), offset: 4 };
    equal(await textOf(await openArtifact(artifact.url, options)), "456789", "rest");
  },

  async "versions of a bucket are listed, and one that is there is unchanged"(peers) {
    const listed = await listOf(versions(REGISTRY, optionsOf(peers)));
    equal(tagsOf(listed), ["v1.10.0", "v1.9.0", "v1.2.0"], "tags");
    const answer = await latest(REGISTRY, { ...optionsOf(peers), since: "v1.10.0" });
    equal(answer.kind === "none" && answer.reason, "unchanged", "reason");
  },

  async "why a version of a bucket was chosen"(peers) {
    const { tags } = await explain(REGISTRY, optionsOf(peers));
    const chosen = tags.map(({ tag, chosen }) => `${tag} ${chosen}`);
    equal(chosen, ["v1.10.0 true", "v1.9.0 false", "v1.2.0 false"], "tags");
  },

  async "a bucket of 2,500 versions is read page by page"(peers) {
    const answer = await latest("s3://eu-west-1/releases/many", optionsOf(peers));
    equal(assertReady(answer).release.tag, "v1.2499.0", "newest");
  },

  async "a bucket that does not exist is an error with the server's words"(peers) {
    const answer = latest("s3://eu-west-1/other/app", optionsOf(peers));
    await rejects(answer, "not-found", /NoSuchBucket|bucket/);
  },

  async "missing credentials are named"(peers) {
    await rejects(latest(REGISTRY, optionsOf(peers, {})), "credential", /AWS_ACCESS_KEY_ID/);
  },
};
