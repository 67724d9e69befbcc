import { parseDigest } from "../../core/digest.ts";
import { bytesToHex } from "../../core/encoding.ts";
import { IntegrityError } from "../../core/error.ts";
import type { ReadyResolution } from "../../core/types.ts";
import { portableHashes } from "../../verify/signed_file.ts";
import type { Bytes, CreateHash, HashName, Subject } from "../../verify/types.ts";
import { type OpenPolicy, openFile, openPolicy, type VerifyOptions } from "./policy.ts";

/**
 * Streams the artifact of an answer, and verifies it on the way. The last chunk is held back until everything holds:
 * use the bytes only after the stream has ended without an error.
 *
 * @param answer The answer of {@link latest}: the artifact, and the files of its release.
 * @param options As for `openArtifact` of `dewy`, and the policy. A part of an artifact cannot be verified, so there is
 *   no `offset`.
 * @returns The bytes. Reading fails with a `VerificationError` if the policy does not hold, and with an `IntegrityError`
 *   if they are not those that the registry states.
 * @throws {UnsupportedError} If the policy needs a host.
 * @throws {DewyError} If access is refused, or the artifact is missing.
 *
 * @example
 * ```ts
 * import { type latest, openArtifact } from "dewy/verify";
 *
 * const files = {
 *   "https://example.com/app.tar.gz": "bytes",
 *   "https://example.com/SHA256SUMS":
 *     "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9  app.tar.gz\n",
 * };
 * const answer = {
 *   kind: "ready" as const,
 *   release: {
 *     id: "1",
 *     tag: "v1.0.0",
 *     version: { original: "v1.0.0", v: "v" as const, segments: [1, 0, 0], preRelease: "", buildMetadata: "" },
 *   },
 *   artifact: { name: "app.tar.gz", url: "https://example.com/app.tar.gz" },
 *   files: [{ name: "SHA256SUMS", url: "https://example.com/SHA256SUMS" }],
 * };
 * const stream = await openArtifact(answer, {
 *   verify: "checksums",
 *   fetch: async (input) => new Response(new Map(Object.entries(files)).get(String(input))),
 * });
 * if ((await new Response(stream).text()) !== "bytes") throw new Error("unexpected");
 * ```
 */
export async function openArtifact(
  answer: Pick<ReadyResolution, "release" | "artifact" | "files">,
  options: VerifyOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  const policy = openPolicy(options);
  const { verify: _, createHash: __, ...plain } = options;
  const open = () => openFile(answer.artifact, plain);
  const stream = await open();
  if (policy.rules.length === 0) return stream;
  const signal = options.signal ?? new AbortController().signal;
  const known = { ...policy.describe(answer, signal), open: () => reopened(open) };
  const hashes = hashesOf(policy, policy.createHash ?? (await portableHashes()));
  const prove = async (size: number): Promise<void> => {
    const { sha256, ...others } = digested(hashes);
    requireStated(answer, size, bytesToHex(sha256));
    const subject: Subject = { ...known, sha256: bytesToHex(sha256), hashes: others };
    for (const rule of policy.rules) await rule.verify(subject, signal);
  };
  return stream.pipeThrough(lastChunkAfter(hashes, prove));
}

type Hashes = ReadonlyMap<HashName, ReturnType<CreateHash>>;

/** The hashes that the rules may need. A rule that needs another one has the artifact downloaded again. */
function hashesOf({ rules }: OpenPolicy, createHash: CreateHash): Hashes {
  const names = new Set<HashName>(["sha256"]);
  if (rules.some(({ kind }) => kind === "minisign")) names.add("blake2b512");
  if (rules.some(({ kind }) => kind === "ssh")) names.add("sha512");
  return new Map([...names].map((name) => [name, createHash(name)]));
}

function digested(hashes: Hashes): { sha256: Bytes } & NonNullable<Subject["hashes"]> {
  const all = [...hashes].map(([name, hash]) => [name, new Uint8Array(hash.digest())] as const);
  return Object.fromEntries(all) as { sha256: Bytes };
}

/** Passes on all bytes but the last chunk, which waits for the proof. */
function lastChunkAfter(
  hashes: Hashes,
  prove: (size: number) => Promise<void>,
): TransformStream<Uint8Array, Uint8Array> {
  let held: Uint8Array | undefined;
  let size = 0;
  return new TransformStream({
    transform(chunk, controller) {
      if (chunk.byteLength === 0) return;
      for (const hash of hashes.values()) hash.update(chunk);
      size += chunk.byteLength;
      if (held !== undefined) controller.enqueue(held);
      held = chunk;
    },
    async flush(controller) {
      await prove(size);
      if (held !== undefined) controller.enqueue(held);
    },
  });
}

function requireStated(
  { artifact: { name, size, digest = "" } }: Pick<ReadyResolution, "artifact">,
  actualSize: number,
  actual: string,
): void {
  const stated = parseDigest(digest);
  const isSame = stated?.algorithm !== "sha256" || stated.hex === actual;
  if (isSame && (size === undefined || size === actualSize)) return;
  throw new IntegrityError(
    `Cannot use "${name}": it has ${actualSize} bytes with the digest sha256:${actual}, but the registry states ${digest || `${size} bytes`}; the download was changed or cut off`,
  );
}

/** The same bytes again: a verifier compares their SHA-256 with that of the first time. */
function reopened(open: () => Promise<ReadableStream<Uint8Array>>): ReadableStream<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  open().then(
    (stream) => stream.pipeTo(writable).catch(() => {}),
    (error) => writable.abort(error),
  );
  return readable;
}
