import type { Context } from "../core/context.ts";
import { IntegrityError } from "../core/error.ts";
import { withDeadline } from "../core/timeout.ts";
import type { Artifact, Registry } from "../core/types.ts";
import type { Candidate } from "../deploy/deployer.ts";
import { streamFile } from "../host/download/read_file.ts";
import type { Subject } from "../verify/types.ts";

const READ_TIMEOUT_MS = 30_000;

interface Source extends Pick<Context, "clock"> {
  registry: Pick<Registry, "open">;
}

/** A downloaded artifact, with the files that its release has beside it. */
export function releaseSubject(
  { release: { tag }, artifact: { name, size }, files = [], listing }: Candidate,
  { path, sha256 }: { path: string; sha256: string },
  source: Source,
  signal: AbortSignal,
): Subject {
  return {
    tag,
    name,
    sha256,
    size,
    open: () => streamFile(path),
    files,
    listing,
    read: (file, maxBytes) => readFile(file, maxBytes, source, signal),
  };
}

function readFile(
  file: Artifact,
  maxBytes: number,
  { registry, clock }: Source,
  signal: AbortSignal,
): Promise<Uint8Array> {
  return withDeadline(clock, READ_TIMEOUT_MS, signal, async (either) => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of await registry.open(file, { signal: either })) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) {
        throw new IntegrityError(`Cannot read "${file.name}": it has more than ${maxBytes} bytes`);
      }
      chunks.push(chunk);
    }
    return new Uint8Array(Buffer.concat(chunks));
  });
}
