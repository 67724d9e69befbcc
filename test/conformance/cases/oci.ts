import { explain, latest, type RegistryOptions } from "../../../mod.ts";
import { equal } from "../../runtime/check.ts";
import type { Cases } from "../case.ts";
import { assertReady, LINUX, rejects } from "../check.ts";

function optionsOf(password: string): RegistryOptions {
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
