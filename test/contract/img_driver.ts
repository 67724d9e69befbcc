import type { ContractDriver, ContractRelease } from "./registry.ts";

/** An image for a platform stands in for a file. */
const PLATFORM_OF: Readonly<Record<string, string>> = {
  "app_linux_amd64.tar.gz": "linux/amd64",
  "app_darwin_arm64.tar.gz": "darwin/arm64",
  "notes.txt": "linux/s390x",
};

/**
 * The platforms of the images that stand in for a release's files, as `os/architecture`, in the
 * order of the files.
 */
export function platformsOf(release: ContractRelease): string[] {
  return Object.keys(release.files ?? {}).map(platformOf);
}

function platformOf(file: string): string {
  return PLATFORM_OF[file] ?? file;
}

/** What image registries do not support, and how they name things. */
export const IMAGES: Pick<ContractDriver, "oddNames" | "nameOf"> & {
  skip: NonNullable<ContractDriver["skip"]>;
} = {
  oddNames: [],
  nameOf: platformOf,
  skip: {
    files: "an image is pulled by a container runtime, and has no files",
    digest: "the digest is that of a manifest",
    replacing: "the bytes are pulled by digest; test/registry/img.test.ts has the revision",
    records: "images have no audit records",
    leftovers: "images have no audit records",
  },
};
