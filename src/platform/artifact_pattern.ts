/**
 * What `artifact=` can say: a name, or a pattern for the names of all releases.
 *
 * @module
 */

/**
 * Whether `artifact=` names a file. `*` stands for any text, `?` for one character, `[a-z]` for one of several, `{tag}`
 * for the tag and `{version}` for the tag without its `v`, with or without its build metadata.
 */
export function matchesArtifact(artifact: string, name: string, tag: string): boolean {
  return name === artifact || expand(artifact, tag).some((text) => matchesGlob(text, name));
}

/** The pattern that matches one name only, whatever characters it has. */
export function exactPattern(name: string): string {
  return name.replaceAll(/[*?[{]/g, "[$&]");
}

/** The names that `artifact=` stands for if its wildcards are taken as they are. */
export function exactNames(artifact: string, tag: string): string[] {
  return [artifact, ...expand(artifact, tag)];
}

function expand(artifact: string, tag: string): string[] {
  const version = tag.replace(/^v/, "");
  return [...new Set([version, version.replace(/\+.*$/s, "")])].map((text) =>
    artifact.replaceAll("{tag}", () => tag).replaceAll("{version}", () => text),
  );
}

function matchesGlob(glob: string, name: string): boolean {
  const source = glob.replaceAll(
    /\*+|\?|\[(!?)([^\]]+)\]|[\\^$.+(){}|[\]/-]/g,
    (token, not: string | undefined, set: string | undefined) => {
      if (token.startsWith("*")) return "[^]*";
      if (token === "?") return "[^]";
      if (set === undefined) return `\\${token}`;
      return `[${not === "!" ? "^" : ""}${set.replaceAll(/[\\\]^[]/g, "\\$&")}]`;
    },
  );
  try {
    return new RegExp(`^${source}$`).test(name);
  } catch {
    return false; // A range that runs backwards, such as [z-a].
  }
}
