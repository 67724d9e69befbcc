import { latest, openArtifact, UnsupportedError, type VerifyOptions } from "dewy/verify";
import { equal } from "../../runtime/check.ts";
import type { Cases, Peers } from "../case.ts";
import { assertReady, LINUX, rejects, textOf } from "../check.ts";
import { MINISIGN_KEY } from "../signed_release.ts";

const SIGNED = "s3://eu-west-1/releases/signed";
const CHANGED = "s3://eu-west-1/releases/changed";
const MINISIGN = `minisign=${MINISIGN_KEY}`;

function optionsOf({ s3 }: Peers, verify: string | string[]): VerifyOptions {
  const env = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" };
  return { platform: LINUX, endpoint: s3, env, verify };
}

/** `dewy/verify`: signatures and checksums. */
export const verify: Cases = {
  async "bytes that minisign and a checksum file cover are proved"(peers) {
    const options = optionsOf(peers, [MINISIGN, "checksums"]);
    const answer = assertReady(await latest(SIGNED, options));
    equal(answer.unproved, [MINISIGN, "checksums"], "what needs a download");
    equal(await textOf(await openArtifact(answer, options)), "bytes", "bytes");
  },

  async "changed bytes are refused before their end"(peers) {
    for (const rule of [MINISIGN, "checksums"]) {
      const options = optionsOf(peers, rule);
      const answer = assertReady(await latest(CHANGED, options));
      await rejects(openArtifact(answer, options).then(textOf), "unverified");
    }
  },

  async "kinds that need a host are refused by name"(peers) {
    for (const rule of ["openpgp=key.asc", "sigstore=a,b", "github=o/r", "index", "auto"]) {
      const error = await latest(SIGNED, optionsOf(peers, rule)).catch((thrown) => thrown);
      equal([error instanceof UnsupportedError, error.name], [true, "UnsupportedError"], rule);
    }
  },
};
