import { beforeEach, describe, expect, test } from "vitest";
import { NotFoundError } from "../../../src/core/error.ts";
import type { Proof } from "../../../src/core/proof.ts";
import { openGate } from "../../../src/verify/gate.ts";
import { HOST_VERIFIERS } from "../../../src/verify/host_table.ts";
import { parsePolicy } from "../../../src/verify/policy.ts";
import type { Subject } from "../../../src/verify/types.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { missingPeer } from "../../peers/missing_peer.ts";
import { minisignKey, type SigningKey } from "../../support/signing.ts";
import { sha256Hex, subjectOf, verifyContext } from "../../support/subject.ts";

const APP = "app.tar.gz";
const INDEX = "dewy-index.json";
const DAY = 86_400_000;
const NOW = Date.now();
const never = new AbortController().signal;
const noMinisign = missingPeer(["minisign"], "minisign");

const at = (ms: number): string => new Date(ms).toISOString();
const digest = (content: string): string => `sha256:${sha256Hex(content)}`;

interface Case {
  index?: string;
  issued?: string;
  expires?: string;
  versions?: Record<string, Record<string, string>>;
  content?: string;
}

describe.skipIf(noMinisign !== undefined)(`a signed index${noMinisign ?? ""}`, () => {
  let key: SigningKey;
  let line = "";

  beforeEach(async () => {
    key = await minisignKey();
    line = key.publicKey.trim().split("\n").at(-1) ?? "";
  });

  const textOf = ({ issued, expires, versions, index }: Case): string =>
    index ??
    JSON.stringify({
      format: 1,
      issued: issued ?? at(NOW - DAY),
      expires: expires ?? at(NOW + DAY),
      versions: versions ?? { "v1.0.0": { [APP]: digest("bytes") } },
    });

  async function signed(one: Case = {}, signer = key): Promise<Subject> {
    const index = textOf(one);
    return subjectOf({
      [APP]: one.content ?? "bytes",
      [`${APP}.minisig`]: await signer.sign(APP, one.content ?? "bytes"),
      [INDEX]: index,
      [`${INDEX}.minisig`]: await signer.sign(INDEX, index),
    });
  }

  function verify(subject: Subject, flags = [`minisign=${line}`, "index"]): Promise<Proof[]> {
    const context = verifyContext({ clock: fakeClock({ now: NOW }) });
    const gate = openGate(parsePolicy(flags), HOST_VERIFIERS, context);
    return gate.verify(subject, never).then((proofs) => [...proofs]);
  }

  test("holds if another rule holds for it, whatever their order", async () => {
    const subject = await signed();
    for (const flags of [
      [`minisign=${line}`, "index"],
      ["index", `minisign=${line}`],
    ]) {
      expect((await verify(subject, flags))[1]).toEqual({
        kind: "index",
        evidence: `${INDEX}, minisign in ${INDEX}.minisig`,
        signedAt: at(NOW - DAY),
      });
    }
  });

  test.each<[string, Case, string]>([
    ["has expired", { expires: at(NOW) }, "it has expired at"],
    ["comes from the future", { issued: at(NOW + 3_600_000) }, "is this machine's clock right?"],
    ["lacks the version", { versions: {} }, `it does not list "${APP}" of v1.0.0`],
    ["lacks the file", { versions: { "v1.0.0": {} } }, `it does not list "${APP}" of v1.0.0`],
    ["has other bytes", { content: "others" }, `it has another digest for "${APP}"`],
    ["is not JSON", { index: "{" }, "it is not JSON"],
    ["has no format", { index: "{}" }, "format"],
    ["has an unknown format", { index: '{"format":2}' }, "a format that this dewy does not know"],
    ["has no such time", { expires: "2026-02-30T25:00:00Z" }, "time"],
    ["has an MD5", { versions: { "v1.0.0": { [APP]: "md5:00" } } }, "versions"],
  ])("does not hold if it %s", async (_, one, reason) => {
    await expect(verify(await signed(one))).rejects.toMatchObject({
      name: "VerificationError",
      message: expect.stringContaining(reason),
    });
  });

  test("must be there, and the error says how to make it", async () => {
    const subject = subjectOf({
      [APP]: "bytes",
      [`${APP}.minisig`]: await key.sign(APP, "bytes"),
    });
    await expect(verify(subject)).rejects.toThrow(
      `there is no ${INDEX} in the release, nor beside the releases; make one in CI: dewy sign-index v1.0.0 ${APP} -- minisign -S`,
    );
  });

  test("must be signed, and by the key of the policy", async () => {
    const subject = await signed();
    const files = subject.files.filter(({ name }) => name !== `${INDEX}.minisig`);
    await expect(verify({ ...subject, files })).rejects.toThrow(`Cannot verify "${INDEX}"`);
    const other = await signed({}, await minisignKey());
    await expect(verify(other)).rejects.toThrow("it is signed by key");
    const [swapped, own] = [await signed({}, await minisignKey()), await signed()];
    const read: Subject["read"] = (file, most) =>
      (file.name.startsWith(INDEX) ? swapped : own).read(file, most);
    await expect(verify({ ...own, read })).rejects.toThrow(`Cannot verify "${INDEX}"`);
  });

  test("does not hold if one of its bytes was changed", async () => {
    const subject = await signed();
    const read: Subject["read"] = async (file, most) => {
      const bytes = await subject.read(file, most);
      if (file.name === INDEX) bytes[20] = (bytes[20] ?? 0) ^ 1;
      return bytes;
    };
    await expect(verify({ ...subject, read })).rejects.toThrow("the signature is wrong");
  });

  describe("that has newer versions", () => {
    const versions = {
      "v1.0.0": { [APP]: digest("bytes") },
      "v0.9.0": { [APP]: digest("old") },
      "v1.1.0": { [APP]: digest("new") },
    };

    test("does not hold if the registry does not list them", async () => {
      const listing = { tags: new Set(["v1.0.0"]), calver: "" };
      await expect(verify({ ...(await signed({ versions })), listing })).rejects.toThrow(
        "it has v1.1.0, which the registry does not list: it may be hidden",
      );
    });

    test("holds if dewy has passed over them, or an operator has chosen the version", async () => {
      const subject = await signed({ versions });
      const listing = { tags: new Set(["v1.1.0", "v1.0.0"]), calver: "" };
      expect(await verify({ ...subject, listing })).toHaveLength(2);
      expect(await verify(subject)).toHaveLength(2);
    });
  });

  describe("beside the releases", () => {
    /** A bucket that has the release and the index in the directory above. */
    async function bucket(scheme: string, suffix = ".minisig"): Promise<Subject> {
      const subject = await signed();
      const files = subject.files
        .filter(({ name }) => !name.startsWith(INDEX))
        .map((file) => ({ ...file, url: `${scheme}://eu/bucket/app/v1.0.0/${file.name}?a=b` }));
      const root = `${scheme}://eu/bucket/app/`;
      const read: Subject["read"] = async (file, most) => {
        const isIndex = file.name.startsWith(INDEX);
        if (isIndex && file.url !== `${root}${file.name}?a=b`) throw new Error(file.url);
        if (isIndex && file.name !== INDEX && !file.name.endsWith(suffix)) {
          throw new NotFoundError("404");
        }
        return subject.read(file, most);
      };
      return { ...subject, files, read };
    }

    test.each(["file", "s3", "gs"])("is found in %s://", async (scheme) => {
      expect(await verify(await bucket(scheme))).toHaveLength(2);
    });

    test("is not looked for where releases are not directories", async () => {
      await expect(verify(await bucket("ghr"))).rejects.toThrow(`there is no ${INDEX}`);
    });

    test("must be signed there", async () => {
      await expect(verify(await bucket("s3", ".none"))).rejects.toThrow("has no *.minisig");
    });

    test("does not count as missing if it cannot be read", async () => {
      const subject = await bucket("s3");
      const read: Subject["read"] = async (file, most) => {
        if (file.name.startsWith(INDEX)) throw new Error("403");
        return subject.read(file, most);
      };
      await expect(verify({ ...subject, read })).rejects.toThrow("403");
    });
  });
});

describe("--verify index", () => {
  const open = (...flags: string[]): unknown =>
    openGate(parsePolicy(flags), HOST_VERIFIERS, verifyContext());

  test("needs a rule about its signature", () => {
    expect(() => open("index")).toThrow("needs a rule about its signature beside it");
    expect(() => open("index", "checksums")).toThrow("needs a rule about its signature");
  });

  test("has no value", () => {
    expect(() => open("index=x", "ssh=y")).toThrow("index has no value");
  });

  test("does not hold for images", async () => {
    const image = { digests: async () => [], signatures: async function* () {} };
    const index = HOST_VERIFIERS.find(({ kind }) => kind === "index");
    const rule = { kind: "ssh", verify: () => Promise.reject(new Error("not asked")) } as const;
    const verifier = index?.open("", verifyContext(), [rule]);
    const subject = { ...subjectOf({ image: "manifest" }), image };
    await expect(verifier?.verify(subject, never)).rejects.toThrow("with index: it is for files");
  });
});
