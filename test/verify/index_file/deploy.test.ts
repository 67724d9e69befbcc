import { execFile } from "node:child_process";
import { mkdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { run } from "../../../src/cli/run.ts";
import { fakeProcess } from "../../cli/process.ts";
import { missingPeer } from "../../peers/missing_peer.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const execute = promisify(execFile);
const noMinisign = missingPeer(["minisign"], "minisign");

/** A directory of releases with an index beside them, and a machine that deploys from it. */
async function publisher() {
  const root = await tempDirectory();
  const [releases, machine] = [join(root, "releases"), join(root, "machine")];
  const [key, index] = [join(root, "key"), join(releases, "dewy-index.json")];
  await mkdir(machine);
  await execute("minisign", ["-G", "-W", "-p", `${key}.pub`, "-s", key]);
  const minisign = (await readFile(`${key}.pub`, "utf8")).trim().split("\n").at(-1);
  const signer = ["minisign", "-S", "-s", key, "-m"];
  const policy = ["--verify", `minisign=${minisign}`, "--verify", "index"];
  const dewy = async (...argv: string[]): Promise<string> => {
    const io = fakeProcess();
    await run(argv, io);
    return io.out() + io.err();
  };
  const signIndex = (...argv: string[]): Promise<string> =>
    dewy("sign-index", "--index", index, ...argv, "--", ...signer);
  return {
    signIndex,
    async publish(tag: string): Promise<void> {
      const directory = join(releases, tag);
      const file = join(directory, "app.txt");
      await mkdir(directory, { recursive: true });
      await writeFile(file, tag);
      await execute("minisign", [...signer.slice(1), file]);
      await signIndex(tag, file);
    },
    remove: (tag: string): Promise<void> => rm(join(releases, tag), { recursive: true }),
    /** Returns the files of the live version, and what dewy has printed. */
    async deploy(...flags: string[]) {
      const place = ["--registry", `file://${releases}?artifact=app.txt`, "--directory"];
      const text = await dewy("assets", "--once", ...place, machine, ...policy, ...flags);
      const current = join(machine, "current");
      const live = await readlink(current).then(
        () => readFile(join(current, "app.txt"), "utf8"),
        () => undefined,
      );
      return { live, text };
    },
    /** What a command that deploys nothing prints. */
    ask: (command: string, ...flags: string[]): Promise<string> =>
      dewy(command, `file://${releases}?artifact=app.txt`, ...policy, ...flags),
    tamper: (change: (text: string) => string) =>
      readFile(index, "utf8").then((text) => writeFile(index, change(text))),
  };
}

describe.skipIf(noMinisign !== undefined)(`a deploy with --verify index${noMinisign ?? ""}`, () => {
  test("takes what dewy sign-index and minisign have made", async () => {
    const { publish, deploy } = await publisher();
    await publish("v1.0.0");
    expect(await deploy()).toMatchObject({ live: "v1.0.0" });
    await publish("v1.1.0");
    expect(await deploy()).toMatchObject({ live: "v1.1.0" });
  });

  test("refuses what a registry shows that hides a newer version", async () => {
    const { publish, remove, deploy, ask } = await publisher();
    for (const tag of ["v1.0.0", "v1.1.0", "v1.2.0"]) await publish(tag);
    await remove("v1.2.0");
    const { live, text } = await deploy();
    expect(live).toBeUndefined();
    const reason = "it has v1.2.0, which the registry does not list: it may be hidden";
    expect(text).toContain(reason);
    expect((await deploy("--dry-run")).text).toContain(reason);
    for (const command of ["check", "explain", "verify"]) {
      expect(await ask(command), command).toContain(reason);
    }
    expect(await ask("verify", "--tag", "v1.1.0")).not.toContain(reason);
  });

  test("refuses an index that has expired, until it is renewed", async () => {
    const { publish, signIndex, deploy } = await publisher();
    await publish("v1.0.0");
    await signIndex("--expires", "1ms");
    expect((await deploy()).text).toContain("the registry may be frozen");
    await signIndex();
    expect(await deploy()).toMatchObject({ live: "v1.0.0" });
  });

  test("refuses an index that was changed, and the version serves on", async () => {
    const { publish, deploy, tamper } = await publisher();
    await publish("v1.0.0");
    await deploy();
    await publish("v1.1.0");
    await tamper((text) => text.replace("v1.0.0", "v1.0.1"));
    const { live, text } = await deploy();
    expect(live).toBe("v1.0.0");
    expect(text).toContain("the signature is wrong");
  });

  test("does not go back to an older version that is signed as well", async () => {
    const { publish, remove, deploy } = await publisher();
    await publish("v1.0.0");
    await publish("v1.1.0");
    await deploy();
    await remove("v1.1.0");
    const { live } = await deploy("--log-level", "info");
    expect(live).toBe("v1.1.0");
  });
});
