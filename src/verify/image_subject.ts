import type { ImageEvidence } from "../core/proof.ts";
import type { Artifact } from "../core/types.ts";
import type { Subject } from "./types.ts";

/** An image with what its registry has beside it. Nothing signs a digest that is not SHA-256. */
export function imageSubject(
  tag: string,
  { name, digest = "" }: Pick<Artifact, "name" | "digest">,
  image: ImageEvidence,
): Subject {
  return {
    tag,
    name,
    sha256: digest.replace(/^sha256:/, ""),
    files: [],
    image,
    read: (file) => Promise.reject(new Error(`An image has no file ${file.name}`)),
  };
}
