import { describe, expect, test } from "vitest";
import { HOST_VERIFIERS } from "../src/verify/host_table.ts";
import { missingPeer } from "./peers/missing_peer.ts";
import { verifyPublished } from "./support/published.ts";
import { ARTIFACT, publish, workflows } from "./support/workflows.ts";

const all = workflows();

test("docs/publishing.md has a workflow for each kind", () => {
  const kinds = all.map(({ rule }) => rule.split("=", 1)[0]);
  // An index is signed by another kind.
  const signed = HOST_VERIFIERS.map(({ kind }) => kind).filter((kind) => kind !== "index");
  expect(signed.filter((kind) => !kinds.includes(kind))).toEqual([]);
  expect(all.filter(({ rule }) => rule === "")).toEqual([]);
});

test("a workflow is at most fifteen lines long", () => {
  const long = all.filter(({ source }) => source.split("\n").length > 16);
  expect(long.map(({ section }) => section)).toEqual([]);
});

const missing = missingPeer(["minisign", "ssh-keygen", "gpg"], "minisign openssh-client gnupg");

describe.skipIf(missing !== undefined)(
  `a workflow of docs/publishing.md (${missing ?? "run"})`,
  () => {
    const SECRETS = {
      MINISIGN_KEY: "minisign.key",
      SSH_KEY: "release",
      OPENPGP_KEY: "release.key",
    };

    test.each(all.filter(({ section }) => /^(minisign|ssh|openpgp|checksums)$/.test(section)))(
      "makes a release that dewy verifies: $section",
      async (workflow) => {
        const { release, keys } = await publish(workflow, SECRETS);
        const proof = await verifyPublished(workflow, release, keys);
        expect(proof).toMatchObject({ kind: workflow.section, checksums: "SHA256SUMS" });

        const replaced = { ...release, [ARTIFACT]: Buffer.from("another program") };
        await expect(verifyPublished(workflow, replaced, keys)).rejects.toMatchObject({
          code: "unverified",
        });
      },
    );
  },
);
