import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { runDewy } from "../e2e/dewy.ts";
import { goPeerPath, missingGoPeer } from "../peers/go/peers.ts";
import { missingPeer } from "../peers/missing_peer.ts";
import { ROOT, run } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { type BareRoot, bareRoot, missingBareRoot, UNSHARE, which } from "./bare_root.ts";
import { BINARY } from "./build.ts";

const call = promisify(execFile);
/** Makes two packages of a binary. */
const COMPRESSION_MS = 300_000;
const UNIT = "usr/lib/systemd/system/dewy@.service";
const missing =
  missingBareRoot() ??
  missingPeer(["dpkg", "rpm", "systemd-analyze"], "dpkg rpm systemd") ??
  missingGoPeer("nfpm") ??
  (process.arch === "x64" ? undefined : "skipped: the packages are built for amd64 here");

describe.skipIf(missing !== undefined)(
  `the packages${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let directory: string;
    let deb: string;
    let rpm: string;
    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), "dewy-packages-"));
      await Promise.all(["deb", "rpm"].map((packager) => makePackage(packager, directory)));
      const names = await readdir(directory);
      [deb = "", rpm = ""] = names
        .sort()
        .reverse()
        .map((name) => join(directory, name));
    }, COMPRESSION_MS);
    afterAll(() => rm(directory, { recursive: true, force: true }));

    test("a .deb installs a program that runs, and is removed completely", async () => {
      const root = await debianRoot();
      await dpkg(root, "-i", deb);
      const { stdout } = await call(join(root.directory, "usr/bin/dewy"), ["--version"]);
      expect(stdout).toContain(manifest.version);
      const unit = await readFile(join(root.directory, UNIT), "utf8");
      expect(unit).toContain("ExecStart=/usr/bin/dewy");
      await writeFile(join(root.directory, "etc/dewy/app.env"), "ARGS=server\n");
      await dpkg(root, "--purge", "dewy");
      const left = await readdir(root.directory, { recursive: true });
      expect(left.filter((name) => /^usr\/.*dewy/.test(name))).toEqual([]);
      expect(await readdir(join(root.directory, "etc/dewy"))).toEqual(["app.env"]);
    });

    test("a .deb stops the apps when it is removed, not when it is upgraded", async () => {
      const root = await debianRoot();
      await mkdir(join(root.directory, "run/systemd/system"), { recursive: true });
      const systemctl = '#!/bin/sh\necho "$@" >>/calls\n';
      await writeFile(join(root.directory, "bin/systemctl"), systemctl, { mode: 0o755 });
      const calls = () => readFile(join(root.directory, "calls"), "utf8");
      await dpkg(root, "-i", deb);
      await dpkg(root, "-i", deb);
      expect(await calls()).toBe("daemon-reload\ndaemon-reload\n");
      await dpkg(root, "--remove", "dewy");
      expect(await calls()).toBe("daemon-reload\ndaemon-reload\nstop dewy@*\n");
    });

    test("an .rpm names the version and the machine", async () => {
      expect(rpm).toMatch(new RegExp(`/dewy-${manifest.version}-1\\.x86_64\\.rpm$`));
      const { stdout } = await call("rpm", ["-qp", "--list", "--scripts", rpm]);
      expect(stdout).toContain(`/${UNIT}\n`);
      expect(stdout).toContain("systemctl stop");
    });

    test("systemd finds nothing wrong with the unit", async () => {
      const directory = await tempDirectory();
      const unit = await readFile(join(ROOT, ".ci/release/dewy@.service"), "utf8");
      const path = join(directory, "dewy@.service");
      await writeFile(path, unit.replace("/usr/bin/dewy", BINARY));
      const { code, stderr } = await run("systemd-analyze", ["verify", path]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    });

    describe("dewy upgrade changes nothing, and names the command of the package's manager", () => {
      test("dpkg", async () => {
        const root = await debianRoot();
        await dpkg(root, "-i", deb);
        for (const name of ["dpkg", "dpkg-query"])
          await root.add(await which(name), `/usr/bin/${name}`);
        await expectOwner(root, "/usr/bin/dewy", {
          owner: "a Debian package",
          command: "apt-get install ./dewy_9.0.0_amd64.deb",
        });
      });

      test("rpm", async () => {
        const root = await bareRoot(BINARY);
        await root.add(await which("rpm"), "/usr/bin/rpm");
        await cp("/usr/lib/rpm", join(root.directory, "usr/lib/rpm"), { recursive: true });
        await cp(rpm, join(root.directory, "dewy.rpm"));
        const [program, ...enter] = root.enter("/usr/bin/rpm");
        await call(program, [...enter, "--install", "--nodeps", "/dewy.rpm"]);
        await expectOwner(root, "/usr/bin/dewy", {
          owner: "an RPM package",
          command: "dnf install ./dewy-9.0.0-1.x86_64.rpm",
        });
      });

      test.each([
        [
          "/home/linuxbrew/.linuxbrew/Cellar/dewy/0.1.0/bin/dewy",
          { owner: "Homebrew", command: "brew upgrade dewy" },
        ],
        ["/nix/store/8xk-dewy/bin/dewy", { owner: "Nix", command: "nix profile upgrade dewy" }],
      ])("%s", async (path, owner) => {
        const root = await bareRoot(BINARY);
        await root.add(BINARY, path);
        await expectOwner(root, path, owner);
      });
    });
  },
);

async function makePackage(packager: string, directory: string): Promise<void> {
  const env = { ...process.env, VERSION: manifest.version, ARCH: "amd64", BINARY };
  const args = ["-f", ".ci/release/nfpm.yaml", "-p", packager, "-t", `${directory}/`];
  await call(goPeerPath("nfpm"), ["package", ...args], { cwd: ROOT, env });
}

/** A root directory with dpkg's database, and a shell for the scripts of a package. */
async function debianRoot(): Promise<BareRoot> {
  const root = await bareRoot(BINARY);
  await mkdir(join(root.directory, "var/lib/dpkg/updates"), { recursive: true });
  await mkdir(join(root.directory, "var/lib/dpkg/info"));
  await writeFile(join(root.directory, "var/lib/dpkg/status"), "");
  return root;
}

/** Of dewy's dependencies, the root directory has none. */
async function dpkg(root: BareRoot, ...args: string[]): Promise<void> {
  const [program, ...unshare] = UNSHARE;
  await call(program, [...unshare, "dpkg", "--force-depends", `--root=${root.directory}`, ...args]);
}

async function expectOwner(
  root: BareRoot,
  path: string,
  { owner, command }: { owner: string; command: string },
): Promise<void> {
  const release = join(root.directory, "registry/v9.0.0");
  await mkdir(release, { recursive: true });
  await writeFile(join(release, "dewy_linux_amd64.tar.gz"), "");
  const before = await readdir(root.directory, { recursive: true });
  const upgrade = (...args: string[]) =>
    runDewy(root.enter(path), ["upgrade", "--registry", "file:///registry", ...args], {
      cwd: root.directory,
    });
  const checked = await upgrade("--check");
  expect(checked.stdout, checked.stderr).toContain(`To upgrade: ${command}`);
  const { code, stderr } = await upgrade();
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining(
      `Cannot upgrade ${path}: it belongs to ${owner}; use: ${command}`,
    ),
  });
  expect(await readdir(root.directory, { recursive: true })).toEqual(before);
}
