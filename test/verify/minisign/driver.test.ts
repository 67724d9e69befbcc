import { createHash, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Proof } from "../../../src/core/proof.ts";
import { minisign } from "../../../src/verify/minisign/driver.ts";
import type { Subject, VerifyContext } from "../../../src/verify/types.ts";
import { missingPeer } from "../../peers/missing_peer.ts";
import { minisignKey } from "../../support/signing.ts";
import { sha256Hex, subjectOf, verifyContext } from "../../support/subject.ts";

const APP = "app_linux_amd64.tar.gz";
const signal = new AbortController().signal;
const noMinisign = missingPeer(["minisign"], "minisign");

const KEY = Buffer.concat([Buffer.from("Ed01234567"), randomBytes(32)]).toString("base64");

function verify(
  subject: Subject,
  key: string,
  context: VerifyContext = filesOf(key),
): Promise<Proof> {
  return minisign.open("minisign.pub", context).verify(subject, signal);
}

const filesOf = (text: string): VerifyContext => verifyContext({ readTextFile: async () => text });

const lineOf = (publicKey: string): string => publicKey.trim().split("\n").at(-1) ?? "";

describe.skipIf(noMinisign !== undefined)(`a signature of minisign${noMinisign ?? ""}`, () => {
  test("proves the key, and when it was made", async () => {
    const { publicKey, sign } = await minisignKey();
    const subject = subjectOf({ [APP]: "bytes", [`${APP}.minisig`]: await sign(APP, "bytes") });
    const [, id] = /minisign public key ([0-9A-F]+)/.exec(publicKey) ?? [];
    const proof = await verify(subject, publicKey);
    expect(proof).toEqual({
      kind: "minisign",
      evidence: `${APP}.minisig`,
      checksums: undefined,
      signer: id,
      signedAt: expect.any(String),
    });
    expect(Math.abs(Date.parse(proof.signedAt ?? "") - Date.now())).toBeLessThan(60_000);
    const inline = minisign.open(lineOf(publicKey), verifyContext());
    expect(await inline.verify(subject, signal)).toEqual(proof);
  });

  test("is hashed by the host, where it can", async () => {
    const { publicKey, sign } = await minisignKey();
    const subject = subjectOf({ [APP]: "bytes", [`${APP}.minisig`]: await sign(APP, "bytes") });
    const names: string[] = [];
    const context = {
      ...filesOf(publicKey),
      createHash: (name: string) => {
        names.push(name);
        return createHash(name);
      },
    };
    expect(await verify(subject, publicKey, context)).toMatchObject({ kind: "minisign" });
    expect(names.sort()).toEqual(["blake2b512", "sha256"]);
  });

  test("is taken in the legacy form for small files only", async () => {
    const { publicKey, sign } = await minisignKey();
    const releaseOf = async (size: number): Promise<Subject> => {
      const content = "x".repeat(size);
      return subjectOf({ [APP]: content, [`${APP}.minisig`]: await sign(APP, content, "-l") });
    };
    expect(await verify(await releaseOf(2 ** 20), publicKey)).toMatchObject({ kind: "minisign" });
    await expect(verify(await releaseOf(2 ** 20 + 1), publicKey)).rejects.toThrow(
      `${APP}.minisig: it is in the legacy form, which is for files of at most 1 MiB`,
    );
  });

  test("may be of a checksum file that lists the artifact", async () => {
    const { publicKey, sign } = await minisignKey();
    const verifyWith = async (checksums: string, signed = checksums): Promise<Proof> => {
      const signature = await sign("SHA256SUMS", signed);
      const files = { [APP]: "bytes", SHA256SUMS: checksums, "SHA256SUMS.minisig": signature };
      return verify(subjectOf(files), publicKey);
    };
    const line = `${sha256Hex("bytes")}  ${APP}\n`;
    expect(await verifyWith(line)).toMatchObject({
      evidence: "SHA256SUMS.minisig",
      checksums: "SHA256SUMS",
    });
    await expect(verifyWith(line, `${line}\n`)).rejects.toThrow(
      "SHA256SUMS.minisig: the signature is wrong, or of another file",
    );
    await expect(verifyWith(`${sha256Hex("other")}  ${APP}\n`)).rejects.toThrow(
      `SHA256SUMS: it has another digest for "${APP}"`,
    );
    await expect(verifyWith(`${sha256Hex("bytes")}  other\n`)).rejects.toThrow(
      `SHA256SUMS: it does not list the SHA-256 or SHA-512 of "${APP}"`,
    );
  });

  test("is refused for other bytes, another key, another name, and another tag", async () => {
    const { publicKey, sign } = await minisignKey();
    const stranger = await minisignKey();
    const released = async (signature: Uint8Array, content = "bytes"): Promise<Proof> =>
      verify(subjectOf({ [APP]: content, [`${APP}.minisig`]: signature }), publicKey);
    await expect(released(await sign(APP, "bytes"), "other")).rejects.toThrow(
      "the signature is wrong, or of another file",
    );
    await expect(released(await stranger.sign(APP, "bytes"))).rejects.toThrow(
      /: it is signed by key [0-9A-F]{1,16}, not by [0-9A-F]{1,16}; find out who has published it, or sign it again in CI: minisign -S/,
    );
    await expect(released(await sign("tool.tar.gz", "bytes"))).rejects.toThrow(
      'it was made for the file "tool.tar.gz"',
    );
    await expect(released(await sign(APP, "bytes", "-t", "tag:v0.9.0"))).rejects.toThrow(
      "it was made for the tag v0.9.0",
    );
    expect(await released(await sign(APP, "bytes", "-t", "tag:v1.0.0"))).toMatchObject({
      signedAt: undefined,
    });
  });

  test("may be by any of the keys in the file", async () => {
    const keys = [await minisignKey(), await minisignKey()];
    const file = keys.map(({ publicKey }) => publicKey).join("");
    for (const { sign } of keys) {
      const files = { [APP]: "bytes", [`${APP}.minisig`]: await sign(APP, "bytes") };
      expect(await verify(subjectOf(files), file)).toMatchObject({ kind: "minisign" });
    }
  });

  test("is refused with any byte changed, as by minisign itself", async () => {
    const { publicKey, sign, accepts } = await minisignKey();
    const line = `${sha256Hex("bytes")}  ${APP}\n`;
    const release: Readonly<Record<string, Uint8Array>> = {
      [APP]: Buffer.from("bytes"),
      SHA256SUMS: Buffer.from(line),
      "SHA256SUMS.minisig": await sign("SHA256SUMS", line),
    };
    expect(await verify(subjectOf(release), publicKey)).toMatchObject({ kind: "minisign" });
    const untrusted = Buffer.from(release["SHA256SUMS.minisig"] ?? "").indexOf("\n");
    const places = Object.entries(release).flatMap(([name, bytes]) =>
      [...bytes.keys()]
        // Nothing is proved by the untrusted comment, and minisign does not read it.
        .filter((at) => !name.endsWith(".minisig") || at >= untrusted)
        .map((at) => ({ name, at })),
    );
    const change = fc.record({
      place: fc.constantFrom(...places),
      by: fc.integer({ min: 1, max: 255 }),
    });
    const property = fc.asyncProperty(change, async ({ place: { name, at }, by }) => {
      const changed = Uint8Array.from(release[name] ?? []);
      changed[at] = (changed[at] ?? 0) ^ by;
      const subject = subjectOf({ ...release, [name]: changed });
      await expect(verify(subject, publicKey)).rejects.toMatchObject({ code: "unverified" });
    });
    await fc.assert(property, { numRuns: 500 });
    expect(await accepts("SHA256SUMS", line, release["SHA256SUMS.minisig"] ?? "")).toBe(true);
    expect(await accepts("SHA256SUMS", `${line} `, release["SHA256SUMS.minisig"] ?? "")).toBe(
      false,
    );
  });
});

describe("minisign", () => {
  test("says how to sign a release that has no signature", async () => {
    const verifier = minisign.open(KEY, verifyContext());
    await expect(verifier.verify(subjectOf({ [APP]: "bytes" }), signal)).rejects.toMatchObject({
      code: "unverified",
      retryable: true,
      message: `Cannot verify "${APP}" of v1.0.0 with minisign: the release has no *.minisig for it, nor for a checksum file that lists it; sign it in CI: minisign -S -s minisign.key -m ${APP}`,
    });
  });

  test.each(["", "RWQ", "untrusted comment: x", btoa("ED".padEnd(74))])(
    "refuses the signature %j",
    async (line) => {
      const text = `untrusted comment: x\n${line}\ntrusted comment: x\n${btoa("x".repeat(64))}\n`;
      const subject = subjectOf({ [APP]: "bytes", [`${APP}.minisig`]: text });
      await expect(verify(subject, KEY)).rejects.toThrow(
        /it is (not a signature of minisign|signed by key 2020)/,
      );
    },
  );

  test("does not verify images", async () => {
    const image = { digests: async () => [], async *signatures() {} };
    const verifier = minisign.open(KEY, verifyContext());
    await expect(
      verifier.verify({ ...subjectOf({ [APP]: "bytes" }), image }, signal),
    ).rejects.toThrow(
      "it is for files, not for images; use sigstore, sigstore-key or github instead",
    );
  });

  test.each(["", `${KEY.slice(0, -1)}=`, KEY.slice(0, 54)])("refuses the key %j", (key) => {
    expect(() => minisign.open(key, verifyContext())).toThrow(
      expect.objectContaining({ code: "config" }),
    );
  });

  test("names a key file that cannot be used, and reads it again the next time", async () => {
    let read = async (): Promise<string> => Promise.reject(new Error("it does not exist"));
    const context = verifyContext({ readTextFile: () => read() });
    const verifier = minisign.open("minisign.pub", context);
    const subject = subjectOf({ [APP]: "bytes" });
    await expect(verifier.verify(subject, signal)).rejects.toMatchObject({
      code: "unverified",
      fault: "operator",
      message: 'Cannot read "minisign.pub" for minisign: it does not exist',
    });
    read = async () => "not a key";
    await expect(verifier.verify(subject, signal)).rejects.toThrow(
      'Cannot use "minisign.pub" for minisign: it has no public key of minisign; minisign -G writes one',
    );
    read = async () => KEY;
    await expect(verifier.verify(subject, signal)).rejects.toThrow("the release has no *.minisig");
  });

  test("stops when it is aborted", async () => {
    const subject = subjectOf({ [APP]: "bytes", [`${APP}.minisig`]: "" });
    await expect(
      minisign.open(KEY, verifyContext()).verify(subject, AbortSignal.abort(new Error("stop"))),
    ).rejects.toThrow("stop");
  });
});
