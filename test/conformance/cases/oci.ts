import { type EntryOptions, explain, latest, versions } from "dewy/oci";
import { equal } from "../../runtime/check.ts";
import type { Cases } from "../case.ts";
import { assertReady, LINUX, listOf, rejects, tagsOf } from "../check.ts";

function optionsOf(password: string): EntryOptions<"registryLogin"> {
  return { platform: LINUX, registryLogin: { username: "dewy", password }, env: {} };
}

/** An OCI registry: challenges, tokens, redirects of blobs, and digests. */
export const oci: Cases = {
  async "an image is chosen for the platform, with a token"({ oci }) {
    const answer = await latest(`img://${oci}/o/app`, optionsOf("secret"));
    const { release, artifact } = assertReady(answer);
    equal([release.tag, release.slot], ["v1.10.0_blue", "blue"], "newest");
    equal(release.createdAt?.toISOString(), "2026-01-02T03:04:05.000Z", "created");
    equal(artifact.url, `img://${oci}/o/app:v1.10.0_blue`, "url");
    equal(artifact.digest?.length, 71, "digest");
  },

  async "tags are listed as versions, and one that is there is unchanged"({ oci }) {
    const listed = await listOf(versions(`img://${oci}/o/app`, optionsOf("secret")));
    equal(tagsOf(listed), ["v1.10.0_blue", "v1.9.0", "v1.2.0"], "tags");
    const options = { ...optionsOf("secret"), since: "v1.10.0_blue" };
    const answer = await latest(`img://${oci}/o/app`, options);
    equal(answer.kind === "none" && answer.reason, "unchanged", "reason");
  },

  async "every platform of the index is explained"({ oci }) {
    const { artifacts } = await explain(`img://${oci}/o/app`, optionsOf("secret"));
    const chosen = artifacts.map(({ name, chosen }) => `${name} ${chosen}`);
    equal(chosen, ["linux/arm64/v8 false", "linux/amd64 true"], "artifacts");
  },

  async "a wrong password is refused"({ oci }) {
    await rejects(latest(`img://${oci}/o/app`, optionsOf("wrong")), "credential");
  },

  async "an unknown repository is an error"({ oci }) {
    await rejects(latest(`img://${oci}/o/none`, optionsOf("secret")), "not-found");
  },
};
