/**
 * Whether a file matches `artifact=`: `*` is any text, `?` one character, `[a-z]` a set, `{tag}` the tag and `{version}`
 * the tag without its `v`, with or without build metadata.
 */
export function matchesArtifact(artifact: string, name: string, tag: string): boolean {
  return name === artifact || expand(artifact, tag).some((text) => matchesGlob(text, name));
}

/** Escapes a name as a pattern that matches only this name. */
export function exactPattern(name: string): string {
  return name.replaceAll(/[*?[{]/g, "[$&]");
}

/** The names that `artifact=` stands for if its wildcards are read literally. */
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
    return false; // An inverted range, such as [z-a].
  }
}
