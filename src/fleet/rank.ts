/** The hosts in the order in which they take the version: stable, and different for each version. */
export function rankHosts(hosts: readonly string[], tag: string): string[] {
  return [...new Set(hosts)]
    .map((host) => ({ host, hash: hashText(`${tag}\n${host}`) }))
    .sort((a, b) => a.hash - b.hash || (a.host < b.host ? -1 : 1))
    .map(({ host }) => host);
}

/** FNV-1a, then mixed so that names that differ in their last digit are far apart. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
