import { createHash } from "node:crypto";
import fc from "fast-check";
import { createMessage, generateKey, readKeys, revokeKey, sign } from "openpgp";
import { describe, expect, test } from "vitest";
import type { Proof } from "../../../src/core/proof.ts";
import { openpgp } from "../../../src/verify/openpgp/driver.ts";
import type { Subject, VerifyContext } from "../../../src/verify/types.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { missingPeer } from "../../peers/missing_peer.ts";
import { gpgKey } from "../../support/signing.ts";
import { sha256Hex, subjectOf, verifyContext } from "../../support/subject.ts";

const APP = "app_linux_amd64.tar.gz";
const signal = new AbortController().signal;
const noGpg = missingPeer(["gpg"], "gnupg");

/** GnuPG signs now, by the clock of the machine. */
const contextOf = (keys: string, afterMs = 60_000): VerifyContext =>
  verifyContext({
    readTextFile: async () => keys,
    createHash,
    clock: fakeClock({ now: Date.now() + afterMs }),
  });

const verify = (subject: Subject, keys: string, afterMs?: number): Promise<Proof> =>
  openpgp.open("keys.asc", contextOf(keys, afterMs)).verify(subject, signal);

const release = (signature: string | Uint8Array, content: string | Uint8Array = "bytes"): Subject =>
  subjectOf({ [APP]: content, [`${APP}.asc`]: signature });

describe.skipIf(noGpg !== undefined)(`a signature of GnuPG ${noGpg ?? ""}`, () => {
  test.each([
    [".asc", ["--armor"]],
    [".sig", []],
    [".gpg", []],
  ])("in *%s proves the key, and when it was made", async (suffix, flags) => {
    const { publicKey, sign } = await gpgKey();
    const signature = await sign(APP, "bytes", ...flags);
    const subject = subjectOf({ [APP]: "bytes", [APP + suffix]: signature });
    const proof = await verify(subject, publicKey);
    expect(proof).toEqual({
      kind: "openpgp",
      evidence: APP + suffix,
      checksums: undefined,
      signer: expect.stringMatching(/^[0-9A-F]{40}$/),
      signedAt: expect.any(String),
    });
    expect(Math.abs(Date.parse(proof.signedAt ?? "") - Date.now())).toBeLessThan(60_000);
  });

  test.each(["rsa2048", "nistp256"])("is verified for a key of %s", async (algorithm) => {
    const { publicKey, sign } = await gpgKey(algorithm);
    const content = new Uint8Array(300_000);
    const signature = await sign(APP, content);
    expect(await verify(release(signature, content), publicKey)).toMatchObject({ kind: "openpgp" });
    await expect(verify(release(signature, content.slice(1)), publicKey)).rejects.toThrow(
      "the signature is wrong, or of another file",
    );
  });

  test("may be of a checksum file that lists the artifact", async () => {
    const { publicKey, sign } = await gpgKey();
    const verifyWith = async (checksums: string): Promise<Proof> => {
      const signature = await sign("SHA256SUMS", checksums);
      const files = { [APP]: "bytes", SHA256SUMS: checksums, "SHA256SUMS.gpg": signature };
      return verify(subjectOf(files), publicKey);
    };
    expect(await verifyWith(`${sha256Hex("bytes")}  ${APP}\n`)).toMatchObject({
      evidence: "SHA256SUMS.gpg",
      checksums: "SHA256SUMS",
    });
    await expect(verifyWith(`${sha256Hex("other")}  ${APP}\n`)).rejects.toThrow("another digest");
  });

  test("is refused for other bytes, and by other keys", async () => {
    const [{ publicKey, sign }, stranger] = [await gpgKey(), await gpgKey()];
    await expect(verify(release(await sign(APP, "bytes"), "other"), publicKey)).rejects.toThrow(
      `${APP}.asc: the signature is wrong, or of another file; find out who has published it, or sign it again in CI: gpg --batch --armor --detach-sign ${APP}`,
    );
    await expect(verify(release(await stranger.sign(APP, "bytes")), publicKey)).rejects.toThrow(
      /: it is signed by key [0-9A-F]{16}, which is not in the file/,
    );
  });

  test("may be by any of the keys in the file", async () => {
    const [{ publicKey, sign }, stranger] = [await gpgKey(), await gpgKey()];
    for (const { signature } of [
      { signature: await sign(APP, "bytes") },
      { signature: await stranger.sign(APP, "bytes") },
    ]) {
      const proof = await verify(release(signature), publicKey + stranger.publicKey);
      expect(proof).toMatchObject({ kind: "openpgp" });
    }
  });

  test("may be made with a subkey, and proves its primary key", async () => {
    const { publicKey, sign } = await gpgKey("ed25519", "rsa2048");
    const keys = await readKeys({ armoredKeys: publicKey });
    const proof = await verify(release(await sign(APP, "bytes")), publicKey);
    expect(proof.signer).toBe(keys[0]?.getFingerprint().toUpperCase());
    expect(keys[0]?.getSubkeys()).toHaveLength(1);
  });

  test("must be of the bytes, beside the file, and with a strong hash", async () => {
    const { publicKey, sign } = await gpgKey();
    const refusal = async (...flags: string[]): Promise<unknown> =>
      verify(release(await sign(APP, "bytes\n", ...flags), "bytes\n"), publicKey);
    await expect(refusal("--textmode")).rejects.toThrow("it is of a text, not of the bytes");
    await expect(refusal("--clear-sign")).rejects.toThrow("it has the text in it");
    await expect(refusal("--digest-algo", "SHA1")).rejects.toThrow("algorithm too weak");
  });

  test("is refused before it was made, and after it has expired", async () => {
    const { publicKey, sign } = await gpgKey();
    const subject = release(await sign(APP, "bytes"));
    await expect(verify(subject, publicKey, -3_600_000)).rejects.toThrow(
      "it is from the future, if the clock of this machine is right",
    );
    const expiring = release(await sign(APP, "bytes", "--default-sig-expire", "1d"));
    expect(await verify(expiring, publicKey)).toMatchObject({ kind: "openpgp" });
    await expect(verify(expiring, publicKey, 2 * 86_400_000)).rejects.toThrow(
      "signature is expired",
    );
  });

  test("is compared with the bytes that were hashed before", async () => {
    const { publicKey, sign } = await gpgKey();
    const subject = release(await sign(APP, "bytes"));
    const changed = { ...subject, open: () => new Blob(["other"]).stream() };
    await expect(verify(changed, publicKey)).rejects.toThrow("the file has changed");
  });

  test("stops when it is aborted", async () => {
    const { publicKey, sign } = await gpgKey();
    const subject = release(await sign(APP, "bytes"));
    const verifier = openpgp.open("keys.asc", contextOf(publicKey));
    await expect(verifier.verify(subject, AbortSignal.abort(new Error("stop")))).rejects.toThrow(
      "stop",
    );
  });

  test("is refused with any byte changed", async () => {
    const { publicKey, sign } = await gpgKey();
    const line = `${sha256Hex("bytes")}  ${APP}\n`;
    const files: Readonly<Record<string, Uint8Array>> = {
      [APP]: Buffer.from("bytes"),
      SHA256SUMS: Buffer.from(line),
      "SHA256SUMS.sig": await sign("SHA256SUMS", line),
    };
    const proof = await verify(subjectOf(files), publicKey);
    const places = Object.entries(files).flatMap(([name, bytes]) =>
      [...bytes.keys()].map((at) => ({ name, at })),
    );
    const change = fc.record({
      place: fc.constantFrom(...places),
      by: fc.integer({ min: 1, max: 255 }),
    });
    const property = fc.asyncProperty(change, async ({ place: { name, at }, by }) => {
      const changed = Uint8Array.from(files[name] ?? []);
      changed[at] = (changed[at] ?? 0) ^ by;
      const result = await verify(subjectOf({ ...files, [name]: changed }), publicKey).catch(
        ({ code }) => code,
      );
      // OpenPGP does not sign its framing: lengths, and the area for hints such as the key's id.
      if (name.endsWith(".sig")) expect([proof, "unverified"]).toContainEqual(result);
      else expect(result).toBe("unverified");
    });
    await fc.assert(property, { numRuns: 300 });
  });
});

describe("openpgp", () => {
  test("refuses a key that is revoked in the file", async () => {
    const { privateKey, publicKey, revocationCertificate } = await generateKey({
      userIDs: [{ email: "release@example.com" }],
      format: "object",
    });
    const message = await createMessage({ binary: Buffer.from("bytes") });
    const signature = await sign({ message, signingKeys: privateKey, detached: true });
    expect(await verify(release(signature), publicKey.armor())).toMatchObject({ kind: "openpgp" });
    const revoked = await revokeKey({ key: publicKey, revocationCertificate, format: "object" });
    await expect(verify(release(signature), revoked.publicKey.armor())).rejects.toThrow(
      "primary key is revoked",
    );
  });

  test.each(["", "not a key", "-----BEGIN PGP PRIVATE KEY BLOCK-----"])(
    "cannot use the file %j",
    async (text) => {
      await expect(verify(subjectOf({ [APP]: "bytes" }), text)).rejects.toMatchObject({
        code: "unverified",
        fault: "operator",
        message:
          'Cannot use "keys.asc" for openpgp: it has no public keys in ASCII armor; gpg --armor --export KEYID writes them',
      });
    },
  );

  test("names a file with a broken key", async () => {
    const block =
      "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n";
    await expect(verify(subjectOf({ [APP]: "bytes" }), block)).rejects.toThrow(
      'Cannot use "keys.asc" for openpgp: ',
    );
  });

  test("needs a file", () => {
    expect(() => openpgp.open("", verifyContext())).toThrow(
      expect.objectContaining({ code: "config" }),
    );
  });

  test("is in auto of no release: its signer is not remembered", () => {
    expect(openpgp.offered).toBeUndefined();
  });
});
