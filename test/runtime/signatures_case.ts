// Verifies a release with each of its signatures, and a changed one: the same on Node, Deno, Bun and workerd.
import type { CreateHash, VerifierDriver } from "../../src/verify/types.ts";

export interface SignedRelease {
  /** By name, in hex; the first is the artifact. */
  files: Readonly<Record<string, string>>;
  sha256: string;
  /** The value of the rule by the kind of the signature: the key itself. */
  keys: Readonly<Record<string, string>>;
}

/** Returns the verdicts on the release, and on one that has changed, by kind. */
export async function signaturesCase(
  drivers: readonly VerifierDriver[],
  { files, sha256, keys }: SignedRelease,
  createHash?: CreateHash,
): Promise<Record<string, string[]>> {
  const contents = new Map(Object.entries(files).map(([name, hex]) => [name, bytesOf(hex)]));
  const [[name, artifact] = ["", new Uint8Array()]] = contents;
  const context = {
    fetch,
    clock: { now: () => Date.now() + 60_000, monotonic: () => 0, sleep: () => Promise.resolve() },
    emit: () => {},
    createHash,
  };
  const subject = {
    tag: "v1.0.0",
    name,
    sha256,
    open: () => new Blob([artifact]).stream(),
    files: [...contents.keys()].map((file) => ({ name: file, url: "" })),
    read: async (file: { name: string }) => contents.get(file.name) ?? new Uint8Array(),
  };
  const changed = { ...subject, open: () => new Blob([artifact.slice(1)]).stream() };
  const verdicts: Record<string, string[]> = {};
  for (const driver of drivers) {
    const verifier = driver.open(keys[driver.kind] ?? "", context);
    verdicts[driver.kind] = await Promise.all(
      [subject, changed].map((release) =>
        verifier.verify(release, new AbortController().signal).then(
          () => "proved",
          ({ code, message }) => (code === "unverified" ? code : message),
        ),
      ),
    );
  }
  return verdicts;
}

const bytesOf = (hex: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
