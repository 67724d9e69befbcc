import { cp, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { makeSigners, policy, type Signers, trustedRoot } from "../attacks/signers.ts";
import { WORKFLOW } from "../fakes/sigstore.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { ARTIFACT, makeArtifact } from "./archive.ts";
import { cliRuntimes, liveVersion, runDewy } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";

const [node] = cliRuntimes;
const NODE = node?.command ?? [process.execPath];

let signers: Signers;
beforeAll(async () => {
  signers = await makeSigners();
});

/** A machine that polls with these flags, and a registry in which v1.0.0 is signed. */
async function scene(flags: readonly string[]) {
  const publisher = await filePublisher();
  const cwd = await tempDirectory();
  const publish = async (tag: string, isSigned: boolean): Promise<void> => {
    const artifact = await makeArtifact(tag);
    const subject = `${WORKFLOW}@refs/tags/${tag}`;
    const bundle = JSON.stringify(await signers.ours.signFile(artifact, { subject }));
    if (isSigned) {
      const name = `${ARTIFACT}.sigstore.json`;
      await publisher.publish(tag, new Uint8Array(Buffer.from(bundle)), name);
    }
    await publisher.publish(tag, artifact);
  };
  await publish("v1.0.0", true);
  const args = ["assets", "--once", "--registry", publisher.url, ...flags];
  const env = { DEWY_RUNTIME_DIR: await tempDirectory() };
  return {
    cwd,
    publish,
    poll: (command = NODE) => runDewy(command, args, { cwd, env }),
    dewy: (...more: string[]) => runDewy(NODE, more, { cwd, env }),
  };
}

test("a version without a signature is refused, and v1.0.0 stays live", async () => {
  const { poll, publish, cwd } = await scene(await policy(signers));
  expect(await poll()).toMatchObject({ code: 0, stderr: "" });
  await publish("v1.1.0", false);
  const { code, stderr } = await poll();
  expect(code).toBe(2);
  expect(stderr).toMatch(/v1\.1\.0 with sigstore: the release has no Sigstore bundle.*cosign sign/);
  expect(await liveVersion(cwd)).toBe("v1.0.0");
  expect(await readdir(join(cwd, "releases"))).toHaveLength(1);
});

test("without a flag, the next version must have the same signer, or be accepted", async () => {
  const { poll, publish, dewy, cwd } = await scene(await trustedRoot(signers));
  await poll();
  await publish("v1.1.0", false);
  const { code, stderr } = await poll();
  expect(code).toBe(2);
  expect(stderr).toMatch(/no sigstore signature.*release\.yml.*dewy trust accept v1\.1\.0/);
  expect(await liveVersion(cwd)).toBe("v1.0.0");
  const accept = ["trust", "accept", "v1.1.0", "--directory", cwd, "--message", "made by hand"];
  const { code: accepted, stderr: refusal } = await dewy(...accept);
  expect({ accepted, refusal }).toEqual({ accepted: 0, refusal: "" });
  expect((await poll()).code).toBe(0);
  expect(await liveVersion(cwd)).toBe("v1.1.0");
});

test("without a flag, packages that are gone do not make signatures optional", async () => {
  const { poll, publish, cwd } = await scene(await trustedRoot(signers));
  const withoutPackages = [process.execPath, await installedWithoutSigstore()] as const;
  await poll();
  await publish("v1.1.0", true);
  const { code, stderr } = await poll(withoutPackages);
  expect(code).toBe(2);
  expect(stderr).toMatch(/v1\.1\.0.*npm install @sigstore/);
  expect(await liveVersion(cwd)).toBe("v1.0.0");
  expect((await poll()).code).toBe(0);
  expect(await liveVersion(cwd)).toBe("v1.1.0");
});

/** Returns the command line program of dewy, installed without the packages of Sigstore. */
async function installedWithoutSigstore(): Promise<string> {
  const modules = join(await tempDirectory(), "node_modules");
  const own = join(modules, "dewy");
  const packages = join(ROOT, "node_modules");
  await mkdir(own, { recursive: true });
  await cp(join(ROOT, "dist"), join(own, "dist"), { recursive: true });
  await cp(join(ROOT, "package.json"), join(own, "package.json"));
  const isNeeded = (name: string): boolean => !/^\.|^dewy$|^@sigstore$|^@tufjs$/.test(name);
  const names = (await readdir(packages)).filter(isNeeded);
  await Promise.all(names.map((name) => symlink(join(packages, name), join(modules, name))));
  await writeFile(join(modules, "..", "package.json"), '{ "type": "module" }');
  return join(own, "dist", "cli.js");
}
