import type { ListedVersion, Version, VersionsOptions } from "../core/types.ts";
import { compilePolicy } from "../version/load_constraint.ts";
import { compareParsed, NewestTag, parseVersion } from "../version/version.ts";
import type { Policy, ReleaseSource } from "./resolve.ts";

/** Lists the versions within the policy, newest first; of equal ones, as listed. Each release is read when it is its turn. */
export async function* listVersions(
  source: Pick<ReleaseSource, "tags"> & Partial<Pick<ReleaseSource, "release">>,
  policy: Omit<Policy, "platform" | "graceMs">,
  { exclude = [], signal }: VersionsOptions,
): AsyncGenerator<ListedVersion> {
  const judge = new NewestTag({ ...policy, exclude: [...exclude] }, await compilePolicy(policy));
  const fits = (tag: string, preRelease: boolean | undefined): boolean =>
    ["newest", "older"].includes(judge.offer(tag, preRelease));
  const found: { version: Version; isMarked: boolean | undefined }[] = [];
  for await (const { tag, preRelease, unusable } of source.tags(signal)) {
    const version = parseVersion(tag, policy);
    if (version === undefined || unusable !== undefined || !fits(tag, preRelease)) continue;
    found.push({ version, isMarked: preRelease });
  }
  found.sort((a, b) => compareParsed(b.version, a.version));
  for (const { version, isMarked } of found) {
    signal?.throwIfAborted();
    const tag = version.original;
    const release = await source.release?.(tag, signal);
    if (source.release !== undefined && release === undefined) continue;
    const preRelease = release?.preRelease ?? isMarked ?? false;
    if (!fits(tag, preRelease)) continue;
    yield {
      tag,
      version,
      preRelease: preRelease || version.preRelease !== "",
      publishedAt: release?.createdAt,
      notes: release?.notes,
      url: release?.page,
    };
  }
}
