import { createHash } from "node:crypto";
import type { Subject, VerifyContext } from "../../src/verify/types.ts";
import { fakeClock } from "../fakes/clock.ts";

/** A release with these files, by name; the first is the artifact. */
export function subjectOf(files: Readonly<Record<string, string | Uint8Array>>): Subject {
  const contents = new Map(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)]));
  const [[name, artifact] = ["", Buffer.of()]] = contents;
  return {
    tag: "v1.0.0",
    name,
    sha256: sha256Hex(artifact),
    size: artifact.byteLength,
    open: () => new Blob([new Uint8Array(artifact)]).stream(),
    files: [...contents.keys()].map((file) => ({
      name: file,
      url: `https://host.example/${file}`,
    })),
    async read(file, maxBytes) {
      const bytes = contents.get(file.name);
      if (bytes === undefined || bytes.byteLength > maxBytes) throw new Error(`no ${file.name}`);
      return new Uint8Array(bytes);
    },
  };
}

export function verifyContext(context: Partial<VerifyContext> = {}): VerifyContext {
  return {
    fetch: () => Promise.reject(new Error("no network")),
    clock: fakeClock(),
    emit: () => {},
    ...context,
  };
}

export function sha256Hex(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
