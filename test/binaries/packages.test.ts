import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { goPeerPath, missingGoPeer } from "../peers/go/peers.ts";
import { missingPeer } from "../peers/missing_peer.ts";
import { ROOT, run } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { BINARY } from "./build.ts";

const call = promisify(execFile);
const UNIT = "usr/lib/systemd/system/dewy@.service";
const missing =
  missingPeer(["dpkg", "systemd-analyze"], "dpkg systemd") ??
  missingGoPeer("nfpm") ??
  (process.arch === "x64" ? undefined : "skipped: the packages are built for amd64 here");

describe.skipIf(missing !== undefined)(
  `the packages${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    async function makePackage(packager: "deb" | "rpm"): Promise<string> {
      const directory = await tempDirectory();
      const env = { ...process.env, VERSION: manifest.version, ARCH: "amd64", BINARY };
      const args = ["-f", ".ci/release/nfpm.yaml", "-p", packager, "-t", `${directory}/`];
      await call(goPeerPath("nfpm"), ["package", ...args], { cwd: ROOT, env });
      const [name = ""] = await readdir(directory);
      return join(directory, name);
    }

    test("a .deb installs a program that runs, with its unit", async () => {
      const deb = await makePackage("deb");
      const root = await tempDirectory();
      await mkdir(join(root, "var/lib/dpkg/updates"), { recursive: true });
      await mkdir(join(root, "var/lib/dpkg/info"));
      await writeFile(join(root, "var/lib/dpkg/status"), "");
      // Of its dependencies, that root has none.
      const dpkg = ["--force-depends", "--force-not-root", `--root=${root}`, "-i", deb];
      const { code, stderr } = await run("dpkg", dpkg);
      expect(code, stderr).toBe(0);
      expect((await run(join(root, "usr/bin/dewy"), ["--version"])).stdout).toContain(
        manifest.version,
      );
      expect(await readFile(join(root, UNIT), "utf8")).toContain("ExecStart=/usr/bin/dewy");
    });

    test("an .rpm names the version and the machine", async () => {
      const rpm = await makePackage("rpm");
      expect(rpm).toMatch(new RegExp(`/dewy-${manifest.version}-1\\.x86_64\\.rpm$`));
      // https://rpm-software-management.github.io/rpm/manual/format_lead.html
      expect((await readFile(rpm)).subarray(0, 4).toString("hex")).toBe("edabeedb");
    });

    test("systemd finds nothing wrong with the unit", async () => {
      const directory = await tempDirectory();
      const unit = await readFile(join(ROOT, ".ci/release/dewy@.service"), "utf8");
      const path = join(directory, "dewy@.service");
      await writeFile(path, unit.replace("/usr/bin/dewy", BINARY));
      const { code, stderr } = await run("systemd-analyze", ["verify", path]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    });
  },
);
