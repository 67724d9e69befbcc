import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { systemClock } from "../src/core/clock.ts";
import { HOST_VERIFIERS } from "../src/verify/host_table.ts";
import { index } from "../src/verify/index_file/driver.ts";
import { minisign } from "../src/verify/minisign/driver.ts";
import { missingPeer } from "./peers/missing_peer.ts";
import { verifyPublished } from "./support/published.ts";
import { subjectOf, verifyContext } from "./support/subject.ts";
import { ARTIFACT, commandsOf, publish, publishBy, workflows } from "./support/workflows.ts";

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

    test("makes an index that dewy verifies, and renews it", async () => {
      const [key = ""] = commandsOf("minisign");
      const commands = commandsOf("A signed index");
      expect(commands).toHaveLength(2);
      const last = `dewy sign-index v1.1.0 app -- minisign -S -s minisign.key -m
        mkdir ../last; mv dewy-index.json* ../last`;
      const { release, checkout } = await publishBy([key, last, ...commands]);
      const made = JSON.parse(Buffer.from(release["dewy-index.json"] ?? []).toString());
      const renewed = JSON.parse(await readFile(join(checkout, "dewy-index.json"), "utf8"));
      expect(Object.keys(made.versions)).toEqual(["v1.1.0", "v1.2.0"]);
      expect(renewed.versions).toEqual(made.versions);
      expect(Date.parse(renewed.expires)).toBeGreaterThan(Date.parse(made.expires));

      const context = verifyContext({
        clock: systemClock,
        readTextFile: (path) => readFile(join(checkout, path), "utf8"),
      });
      const verifier = index.open("", context, [minisign.open("minisign.pub", context)]);
      const subject = { ...subjectOf(release), tag: "v1.2.0" };
      const { signal } = new AbortController();
      expect(await verifier.verify(subject, signal)).toMatchObject({ kind: "index" });
      const other = verifier.verify({ ...subject, tag: "v1.3.0" }, signal);
      await expect(other).rejects.toThrow("does not list");
    });
  },
);
