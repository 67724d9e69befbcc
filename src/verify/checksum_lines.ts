/** A digest in a checksum file, in lower-case hex. */
export interface Checksum {
  algorithm: "sha256" | "sha512";
  hex: string;
  /** The last part of the path; absent for a digest without a name. */
  name: string | undefined;
}

const HEX = "([0-9a-f]{128}|[0-9a-f]{64})";
const SHA = "SHA(?:2-)?-?(?:256|512)";

const FORMATS: readonly { pattern: RegExp; read: (match: RegExpExecArray) => [string, string] }[] =
  [
    // sha256sum and shasum: https://www.gnu.org/software/coreutils/manual/html_node/md5sum-invocation.html
    {
      pattern: new RegExp(`^\\\\?(?:sha(?:256|512):)?${HEX}(?::?[ \\t]+\\*?(.+))?$`, "i"),
      read: ([, hex = "", name = ""]) => [hex, name],
    },
    // sha256sum --tag, the BSDs, and openssl dgst.
    {
      pattern: new RegExp(`^\\\\?${SHA} ?\\((.+)\\) ?= ?${HEX}$`, "i"),
      read: ([, name = "", hex = ""]) => [hex, name],
    },
    // Get-FileHash of PowerShell, as a table or as a list.
    {
      pattern: new RegExp(`^(?:${SHA}|Hash[ \\t]*:)[ \\t]+${HEX}(?:[ \\t]+(.+))?$`, "i"),
      read: ([, hex = "", name = ""]) => [hex, name],
    },
    // The name first.
    {
      pattern: new RegExp(`^(\\S+?):?[ \\t]+${HEX}$`, "i"),
      read: ([, name = "", hex = ""]) => [hex, name],
    },
  ];

/** The digests in a checksum file, in the spellings of the usual programs. Other lines are skipped. */
export function parseChecksums(bytes: Uint8Array): readonly Checksum[] {
  return decode(bytes)
    .split(/\r?\n/)
    .flatMap((line) => parseLine(line.trim()) ?? []);
}

function parseLine(line: string): Checksum | undefined {
  for (const { pattern, read } of FORMATS) {
    const match = pattern.exec(line);
    if (match === null) continue;
    const [hex, path] = read(match);
    return {
      algorithm: hex.length === 64 ? "sha256" : "sha512",
      hex: hex.toLowerCase(),
      name: nameOf(path),
    };
  }
  return undefined;
}

/** `sha256sum < FILE` calls it `-`. */
function nameOf(path: string): string | undefined {
  const name = path.split(/[\\/]+/).at(-1) ?? "";
  return name === "" || name === "-" ? undefined : name;
}

/** PowerShell writes UTF-16. */
function decode(bytes: Uint8Array): string {
  const isUtf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  return new TextDecoder(isUtf16 ? "utf-16le" : "utf-8").decode(bytes);
}
