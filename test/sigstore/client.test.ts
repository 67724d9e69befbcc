import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { sigstoreCase } from "../support/sigstore_cases.ts";
import { sha256Hex } from "../support/subject.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const CLIENT = fileURLToPath(new URL("client", import.meta.url));

/** Runs the client as the suite does; rejects if it exits with another code than 0. */
async function run(name: string, target: "file" | "digest", extra: string[] = []): Promise<string> {
  const one = sigstoreCase(name);
  const directory = await tempDirectory();
  const [artifact, bundle] = [join(directory, "a.txt"), join(directory, "bundle.sigstore.json")];
  await writeFile(artifact, one.artifact);
  await writeFile(bundle, one.bundle);
  await writeFile(join(directory, "key.pub"), one.key ?? "");
  await writeFile(join(directory, "root.json"), JSON.stringify(one.root));
  const signer =
    one.key === undefined
      ? ["--certificate-identity", one.identity, "--certificate-oidc-issuer", one.issuer]
      : ["--key", "key.pub"];
  const { stdout } = await promisify(execFile)(
    CLIENT,
    [
      "verify-bundle",
      ...extra,
      "--bundle",
      bundle,
      ...signer,
      ...(extra.length > 0 ? [] : ["--trusted-root", "root.json"]),
      target === "file" ? "a.txt" : `sha256:${sha256Hex(one.artifact)}`,
    ],
    { cwd: directory },
  );
  return stdout;
}

test.each(["happy-path-v0.3", "rekor2-dsse-happy-path"])("verifies %s", async (name) => {
  expect(await run(name, "file")).toContain("extremely-dangerous-oidc-beacon.yml@refs/heads/main");
});

test("verifies a digest", async () => {
  expect(await run("happy-path-v0.3", "digest")).toContain("rekor.sigstore.dev");
});

test("knows the staging instance", async () => {
  expect(await run("rekor2-dsse-happy-path", "file", ["--staging"])).toContain("sigstage.dev");
});

test.each([
  ["wrong-material_fail", "another digest"],
  ["managed-key-wrong-key_fail", "is not a public key"],
])("exits with 1 for %s", async (name, reason) => {
  await expect(run(name, "file")).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining(reason),
  });
});

test("does not sign", async () => {
  await expect(promisify(execFile)(CLIENT, ["sign-bundle", "a.txt"])).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Cannot run "sign-bundle"'),
  });
});
