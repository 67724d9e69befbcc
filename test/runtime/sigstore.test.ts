import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { serveFetch } from "../fakes/serve.ts";
import { fakeSigstore } from "../fakes/sigstore.ts";
import { fakeTuf } from "../fakes/tuf.ts";
import { readSigstoreCases } from "../support/sigstore_cases.ts";
import { sha256Hex } from "../support/subject.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { runCase, runtimes } from "./runtimes.ts";
import type { SignedWithKey } from "./sigstore_key_case.ts";
import { bundleForEdge, startWorker } from "./workerd.ts";

const cases = readSigstoreCases().filter(({ key }) => key === undefined);

async function signedWithKey(): Promise<SignedWithKey> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const instance = await fakeSigstore();
  return {
    pem: createPublicKey(privateKey).export({ type: "spki", format: "pem" }).toString(),
    bundle: JSON.stringify(await instance.signFileWith(privateKey, "bytes")),
    trustedRoot: instance.trustedRoot,
    sha256: sha256Hex("bytes"),
  };
}

test.each(runtimes)(
  "$name passes Sigstore's conformance suite, and refreshes by TUF",
  async (runtime) => {
    const SIGSTORE_CASES = join(await tempDirectory(), "cases.json");
    const withDigests = cases.map((one) => ({ ...one, sha256: sha256Hex(one.artifact) }));
    await writeFile(SIGSTORE_CASES, JSON.stringify(withDigests));
    const tuf = fakeTuf({ "trusted_root.json": '{"mediaType":"fresh"}' });
    const server = await serveFetch(tuf.handler);
    onTestFinished(() => server.close());
    const { code, stdout, stderr } = await runCase(runtime, "test/runtime/sigstore_main.ts", {
      SIGSTORE_CASES,
      TUF_MIRROR: server.url,
      TUF_ROOT: tuf.root,
      SIGNED_WITH_KEY: JSON.stringify(await signedWithKey()),
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { outcomes, roots, key } = JSON.parse(stdout);
    expect(outcomes).toEqual(
      Object.fromEntries(cases.map(({ name, isRefused }) => [name, !isRefused])),
    );
    expect(roots).toEqual([{ mediaType: "fresh" }]);
    expect(key).toEqual(["sigstore-key", "unverified"]);
  },
);

test("workerd verifies a file that is signed with a key", async () => {
  const worker = await startWorker(
    await bundleForEdge(`
      import { sigstoreKeyCase } from "./test/runtime/sigstore_key_case.ts";
      export default {
        async fetch(request) {
          return Response.json(await sigstoreKeyCase(await request.json()));
        },
      };`),
  );
  onTestFinished(() => worker.close());
  const body = JSON.stringify(await signedWithKey());
  const response = await fetch(worker.url, { method: "POST", body });
  expect(await response.json()).toEqual(["sigstore-key", "unverified"]);
});
