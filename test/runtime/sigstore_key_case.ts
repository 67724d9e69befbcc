// Verifies a file that is signed with a key, and a changed one: the same on Node, Deno, Bun and workerd.
import { sigstoreKey } from "../../src/verify/sigstore_key/driver.ts";

export interface SignedWithKey {
  pem: string;
  bundle: string;
  trustedRoot: object;
  sha256: string;
}

/** Returns the verdict on the file, and on one that has changed. */
export async function sigstoreKeyCase(signed: SignedWithKey): Promise<string[]> {
  const { pem, bundle, trustedRoot, sha256 } = signed;
  const verifier = sigstoreKey.open(pem, {
    fetch,
    clock: { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() },
    emit: () => {},
    sigstoreRoots: async () => [trustedRoot],
  });
  const verify = (digest: string): Promise<string> =>
    verifier
      .verify(
        {
          tag: "v1.0.0",
          name: "app",
          sha256: digest,
          files: [{ name: "app.sigstore.json", url: "" }],
          read: async () => new TextEncoder().encode(bundle),
        },
        new AbortController().signal,
      )
      .then(
        ({ kind }) => kind,
        ({ code }) => code,
      );
  return [await verify(sha256), await verify("0".repeat(64))];
}
