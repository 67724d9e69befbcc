import {
  chown,
  lchown,
  mkdir,
  readdir,
  readFile,
  readlink,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, liveVersion, runDewy } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const why = isRoot ? "" : " [skipped: only root can give files to another user]";

/** A working directory of another user, and a directory and a file of root's. */
async function attacked(): Promise<{
  cwd: string;
  victim: string;
  file: string;
  plant(name: string, target: string, uid?: number): Promise<void>;
  untouched(): Promise<void>;
}> {
  const cwd = await tempDirectory();
  const victim = await tempDirectory();
  const file = join(await tempDirectory(), "secret");
  await mkdir(join(victim, "20200101T000000Z"), { recursive: true });
  await writeFile(join(victim, "20200101T000000Z", "keep"), "precious");
  await writeFile(join(victim, "app.tar.gz.part.json"), "{}");
  await writeFile(file, "precious", { mode: 0o600 });
  await chown(cwd, NOBODY, NOBODY);
  return {
    cwd,
    victim,
    file,
    plant: async (name, target, uid = NOBODY) => {
      const path = join(cwd, name);
      await mkdir(dirname(path), { recursive: true });
      if (dirname(path) !== cwd) await chown(dirname(path), uid, uid);
      await symlink(target, path);
      await lchown(path, uid, uid);
    },
    untouched: async () => {
      expect((await readdir(victim)).sort()).toEqual(["20200101T000000Z", "app.tar.gz.part.json"]);
      expect(await readdir(join(victim, "20200101T000000Z"))).toEqual(["keep"]);
      expect(await readFile(file, "utf8")).toBe("precious");
    },
  };
}

describe.skipIf(!isRoot).each(cliRuntimes)(`dewy as root on $name${why}`, ({ command }) => {
  it.each([".dewy", "releases", ".dewy/cache"])(
    "refuses a link of another user in the place of %s, and touches nothing behind it",
    async (name) => {
      const { cwd, victim, plant, untouched } = await attacked();
      const publisher = await filePublisher();
      await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
      await plant(name, victim);
      const args = ["assets", "--registry", publisher.url, "--once"];
      const { code, stderr } = await runDewy(command, args, { cwd });
      expect(code, stderr).toBe(3);
      expect(stderr).toContain(
        `Cannot use ${join(cwd, name)}: it is a symbolic link that user ${NOBODY} made`,
      );
      expect(await liveVersion(cwd)).toBeUndefined();
      await untouched();
    },
  );

  it("writes and removes nothing through links in place of its files", async () => {
    const { cwd, victim, file, plant, untouched } = await attacked();
    const publisher = await filePublisher();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    for (const name of ["lock", "state.json", "state.json.tmp", "run"]) {
      await plant(`.dewy/${name}`, name === "run" ? victim : file);
    }
    const args = ["assets", "--registry", publisher.url, "--once"];
    const { code, stderr } = await runDewy(command, args, { cwd });
    expect(code, stderr).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    await untouched();
  });
});

const [node] = cliRuntimes;
const nodeCommand = node?.command ?? ["node"];

describe.skipIf(!isRoot)(`dewy as root${why}`, () => {
  it("downloads into its own directory behind a link created by root, and removes nothing else there", async () => {
    const { cwd, victim, plant } = await attacked();
    const publisher = await filePublisher();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    await plant(".dewy/cache", victim, 0);
    const args = ["assets", "--registry", publisher.url, "--once"];
    const { code, stderr } = await runDewy(nodeCommand, args, { cwd });
    expect(code, stderr).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    const [own = "", ...others] = (await readdir(victim)).filter((name) =>
      /^[0-9a-f]{16}$/.test(name),
    );
    expect(others).toEqual([]);
    expect(await readdir(join(victim, own))).toEqual([]);
    expect(await readFile(join(victim, "20200101T000000Z", "keep"), "utf8")).toBe("precious");
    expect(await readFile(join(victim, "app.tar.gz.part.json"), "utf8")).toBe("{}");
  });

  it("keeps releases behind a link created by root", async () => {
    const { cwd, victim, plant } = await attacked();
    const publisher = await filePublisher();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    await plant("releases", victim, 0);
    const args = ["assets", "--registry", publisher.url, "--once"];
    const { code, stderr } = await runDewy(nodeCommand, args, { cwd });
    expect(code, stderr).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    expect(await readlink(join(cwd, "releases"))).toBe(victim);
  });

  it("warns at startup if another user can write to its directories", async () => {
    const publisher = await filePublisher();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const args = ["assets", "--registry", publisher.url, "--once"];
    const { cwd } = await attacked();
    const warned = await runDewy(nodeCommand, args, { cwd });
    expect(warned.code, warned.stderr).toBe(0);
    expect(warned.stderr.match(/Other users can write to directories/g)).toHaveLength(1);
    expect(warned.stderr).toContain(`${cwd} (owner ${NOBODY})`);
    const safe = await runDewy(nodeCommand, args, { cwd: await tempDirectory() });
    expect(safe).toMatchObject({ code: 0, stderr: "" });
  });
});
