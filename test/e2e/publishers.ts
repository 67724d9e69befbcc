import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tempDirectory } from "../host/temp_directory.ts";
import { ARTIFACT } from "./archive.ts";

/** A registry that releases can be published in. */
export interface Publisher {
  /** What `--registry` gets. */
  url: string;
  /** What the environment gets. */
  env: Readonly<Record<string, string>>;
  /** Publishes a version with one artifact. */
  publish(tag: string, bytes: Uint8Array<ArrayBuffer>, name?: string): Promise<void>;
}

/** A directory. */
export async function filePublisher(): Promise<Publisher & { directory: string }> {
  const directory = await tempDirectory();
  return {
    directory,
    url: `file://${directory}`,
    env: {},
    publish: async (tag, bytes, name = ARTIFACT) => {
      await mkdir(join(directory, tag), { recursive: true });
      await writeFile(join(directory, tag, `.${name}`), bytes);
      await rename(join(directory, tag, `.${name}`), join(directory, tag, name));
    },
  };
}
