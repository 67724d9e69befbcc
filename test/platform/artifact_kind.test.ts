import { describe, expect, test } from "vitest";
import { selectArtifact } from "../../src/platform/artifact_choice.ts";
import { isChecksumList } from "../../src/platform/artifact_kind.ts";
import { chooseArtifact } from "../../src/platform/artifact_reasons.ts";

const LINUX = { os: "linux", arch: "amd64" };
const reasonOf = (name: string): string | undefined =>
  chooseArtifact([name], LINUX).explained[0]?.reason;

const suffixes = (...all: string[]): string[] => all.map((suffix) => `app_linux_amd64${suffix}`);

describe("a file that is not a program is known by its name", () => {
  test.each([
    [
      "a checksum file",
      [
        ...suffixes(".sha1", ".sha256", ".sha384", ".sha512", ".sha256sum", ".sha256sums"),
        ...suffixes(".sha512sum", ".sha512sums", ".md5", ".b3", ".blake3", "_checksum"),
        ...suffixes("_checksum.txt", "_checksums", "_checksums.txt"),
        ...["SHA256SUMS", "SHA256SUMS.txt", "sha512sums"],
      ],
    ],
    [
      "a signature",
      suffixes(
        ...[".sig", ".asc", ".minisig", ".pem", ".cert", ".crt", ".gpg", ".sigstore"],
        ...[".sigstore.json", ".bundle"],
      ),
    ],
    [
      "an SBOM",
      [
        ...suffixes(".sbom", ".spdx", ".cdx", ".cyclonedx", ".bom", ".sbom.json", ".cdx.xml"),
        ...suffixes(".spdx.txt", ".spdx.rdf"),
      ],
    ],
    ["an attestation", suffixes(".att", ".intoto.jsonl", ".provenance", ".jsonl")],
    [
      "a system package",
      suffixes(
        ...[".deb", ".rpm", ".apk", ".AppImage", ".snap", ".flatpak", ".pkg.tar.zst"],
        ...[".pkg.tar.xz", ".dmg", ".pkg", ".msi", ".msix", ".exe.blockmap"],
      ),
    ],
    ["debug symbols", suffixes(".pdb", ".dSYM", ".debug")],
    [
      "neither an archive nor an executable; artifact= can name any file",
      suffixes(".txt", ".json", ".7z", ".jar"),
    ],
  ])("%s", (reason, names) => {
    expect(names.filter((name) => reasonOf(name) !== reason)).toEqual([]);
  });

  test.each([
    ...["my.sig_linux_amd64.zip", "my.sha256_linux_amd64.zip", "my.sbom_linux_amd64.zip"],
    ...["my.att_linux_amd64.zip", "my.deb_linux_amd64.zip", "my.dmg_linux_amd64.zip"],
    ...["my.msi_linux_amd64.zip", "my.debug_linux_amd64.zip", "sums_linux_amd64.zip"],
    ...["checksum-tool_linux_amd64.zip", "my.pemtool_linux_amd64.zip"],
  ])("and not because such a suffix is in the middle of %s", (name) => {
    expect(selectArtifact([name], LINUX)).toBe(name);
  });
});

describe("the part after the last dot of a bare executable", () => {
  test.each([
    ...["app-linux-amd64-1.2.10", "app-linux-amd64-1.2.3rc", "app-linux-amd64-1.2.3rc12"],
    ...["app-linux-amd64-v1.0.20beta2", "app.linux.amd64", "app-1.2-linux.x86_64"],
  ])("belongs to the version or the platform: %s", (name) => {
    expect(selectArtifact([name], LINUX)).toBe(name);
  });

  test.each(["app-linux-amd64.x1", "app-linux-amd64.1x", "app-linux-amd64.3rcx"])(
    "is a suffix: %s",
    (name) => {
      expect(selectArtifact([name], LINUX)).toBeUndefined();
    },
  );
});

describe("a list of the checksums of all files", () => {
  test.each([
    ...["checksum", "checksums", "checksums.txt", "checksum.txt", "app_1.2.3_checksums.txt"],
    ...["app_checksums_sha256.txt", "checksums_sha512", "SHA256SUMS", "SHA256SUMS.txt"],
    ...["app-1.2.3.sums", "sha256sum.txt", "sha256.sum", "sha512sum", "MD5SUMS"],
  ])("is %s", (name) => {
    expect(isChecksumList(name)).toBe(true);
  });

  test.each([
    ...["app.tar.gz.sha256", "app.tar.gz.sha256sum", "checksums.txt.sig", "checksums-tool.zip"],
    ...["sums.json", "sha256sum.txt.asc", "app.tar.gz", "checksums_sha256.zip", "my-sha256sum"],
  ])("is not %s", (name) => {
    expect(isChecksumList(name)).toBe(false);
  });
});
