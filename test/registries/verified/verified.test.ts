import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { AbortedError, VerificationError } from "../../../src/core/error.ts";
import type { ReadyResolution, Registry } from "../../../src/core/types.ts";
import type { SplitUrl } from "../../../src/core/url.ts";
import type { RegistryDriver } from "../../../src/registries/driver.ts";
import { FILE_OPTIONS, readRegistryQuery } from "../../../src/registries/driver.ts";
import {
  latest,
  openArtifact,
  UnsupportedError,
  type VerifyOptions,
} from "../../../src/registries/verified/mod.ts";
import { parseVersion } from "../../../src/version/version.ts";
import { sshKey } from "../../support/signing.ts";
import { sha256Hex } from "../../support/subject.ts";

type Files = Readonly<Record<string, string | Uint8Array>>;

const CHUNK = "0123456789";
const BYTES = CHUNK.repeat(5);
const sums = (content: string): string => `${sha256Hex(content)}  app\n`;

/** The answer about a release with these files, the artifact `app` among them. */
function answerOf(files: Files, more: Partial<ReadyResolution["artifact"]> = {}): ReadyResolution {
  const version = parseVersion("v1.0.0");
  if (version === undefined) throw new Error("no version");
  const listed = Object.keys(files).map((name) => ({ name, url: `https://host.example/${name}` }));
  const artifact = { name: "app", url: "https://host.example/app", ...more };
  return { kind: "ready", release: { id: "1", tag: "v1.0.0", version }, artifact, files: listed };
}

/** Serves files, the artifact in chunks of ten bytes, and counts the requests for each. */
function serve(files: Files): VerifyOptions & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    fetch: async (input) => {
      const name = new URL(String(input instanceof Request ? input.url : input)).pathname.slice(1);
      asked.push(name);
      return new Response(
        name === "app" ? chunked(files.app ?? "") : Buffer.from(files[name] ?? ""),
      );
    },
  };
}

/** In chunks of ten bytes, and an empty one at the end. */
function chunked(content: string | Uint8Array): ReadableStream<Uint8Array> {
  const bytes = Buffer.from(content);
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at > bytes.byteLength + 10) return controller.close();
      controller.enqueue(new Uint8Array(bytes.subarray(at, at + 10)));
      at += 10;
    },
  });
}

async function read(
  stream: ReadableStream<Uint8Array>,
): Promise<{ text: string; error?: unknown }> {
  let text = "";
  try {
    for await (const chunk of stream) text += Buffer.from(chunk).toString();
    return { text };
  } catch (error) {
    return { text, error };
  }
}

function open(files: Files, verify: VerifyOptions["verify"], more: object = {}) {
  const { asked, ...options } = serve(files);
  const stream = openArtifact(answerOf(files, more), { ...options, verify });
  return { stream, asked };
}

describe("openArtifact", () => {
  test("streams what holds", async () => {
    const { stream } = open({ app: BYTES, SHA256SUMS: sums(BYTES) }, "checksums");
    expect(await read(await stream)).toEqual({ text: BYTES });
  });

  test("holds the last chunk back, and fails instead of it", async () => {
    const { stream } = open({ app: BYTES, SHA256SUMS: sums("other") }, "checksums");
    const { text, error } = await read(await stream);
    expect(text).toBe(CHUNK.repeat(4));
    expect(error).toBeInstanceOf(VerificationError);
  });

  test("gives nothing away of an artifact in one chunk, or of an empty one", async () => {
    for (const app of [CHUNK, ""]) {
      const { stream } = open({ app, SHA256SUMS: sums("other") }, "checksums");
      expect(await read(await stream)).toMatchObject({ text: "", error: { code: "unverified" } });
    }
  });

  test.each([
    [{ digest: `sha256:${sha256Hex("other")}` }, "the registry states sha256:"],
    [{ size: 49 }, "the registry states 49 bytes"],
  ])("compares the bytes with what the registry states: %j", async (stated, reason) => {
    const { stream } = open({ app: BYTES, SHA256SUMS: sums(BYTES) }, "checksums", stated);
    const { text, error } = await read(await stream);
    expect(text).toBe(CHUNK.repeat(4));
    expect(error).toMatchObject({ code: "integrity", message: expect.stringContaining(reason) });
  });

  test("downloads an artifact with an SSH signature once", async () => {
    const { publicKey, sign } = await sshKey();
    const files = { app: BYTES, "app.sig": await sign("app", BYTES) };
    const { stream, asked } = open(files, `ssh=${publicKey}`);
    expect(await read(await stream)).toEqual({ text: BYTES });
    expect(asked.sort()).toEqual(["app", "app.sig"]);
  });

  test("downloads it again for a hash that nothing announces, and compares both", async () => {
    const sha512 = createHash("sha512").update(BYTES).digest("hex");
    const files = { app: BYTES, SHA512SUMS: `${sha512}  app\n` };
    const { stream, asked } = open(files, "checksums");
    expect(await read(await stream)).toEqual({ text: BYTES });
    expect(asked.sort()).toEqual(["SHA512SUMS", "app", "app"]);

    let served = 0;
    const swapped: VerifyOptions = {
      verify: "checksums",
      fetch: async (input) =>
        String(input).endsWith("/app")
          ? new Response(served++ === 0 ? "evil" : BYTES)
          : new Response(files.SHA512SUMS),
    };
    const outcome = await read(await openArtifact(answerOf(files), swapped));
    expect(outcome).toMatchObject({ text: "", error: { code: "unverified" } });
  });

  test("uses the hashes of the host", async () => {
    const names: string[] = [];
    const files = { app: BYTES, SHA256SUMS: sums(BYTES) };
    const { asked: _, ...options } = serve(files);
    const stream = await openArtifact(answerOf(files), {
      ...options,
      verify: "checksums",
      createHash: (name) => {
        names.push(name);
        return createHash(name);
      },
    });
    expect(await read(stream)).toEqual({ text: BYTES });
    expect(names).toEqual(["sha256"]);
  });

  test("knows the artifact's own checksum file, even if only that is listed", async () => {
    const files = { app: BYTES, "app.sha256": sha256Hex(BYTES) };
    const { asked: _, ...options } = serve(files);
    const { release, artifact, files: all = [] } = answerOf(files);
    const answer = { release, artifact, files: all.filter(({ name }) => name !== "app") };
    const stream = await openArtifact(answer, { ...options, verify: "checksums" });
    expect(await read(stream)).toEqual({ text: BYTES });
  });

  test("without a policy, streams as it is", async () => {
    for (const verify of [undefined, "none", []]) {
      const { stream } = open({ app: BYTES }, verify);
      expect(await read(await stream)).toEqual({ text: BYTES });
    }
  });

  test("obeys the signal", async () => {
    const files = { app: BYTES, SHA256SUMS: sums(BYTES) };
    const { asked: _, ...options } = serve(files);
    const signal = AbortSignal.abort(new AbortedError("stop"));
    const reading = openArtifact(answerOf(files), { ...options, verify: "checksums", signal });
    expect(await reading.then(read, (error) => ({ error }))).toMatchObject({
      error: { code: "aborted" },
    });
  });
});

/** A registry that answers with one release. */
function shelf(answer: ReadyResolution, more: Partial<Registry> = {}): VerifyOptions {
  const registry: Registry = {
    resolve: async () => answer,
    open: () => Promise.reject(new Error("not here")),
    ...more,
  };
  const driver = {
    scheme: "shelf",
    name: "Shelf",
    syntax: "shelf://name",
    example: "shelf://name",
    options: FILE_OPTIONS,
    environment: [],
    features: "digest" in more ? ["digest"] : [],
    parse: (url: SplitUrl) => readRegistryQuery("shelf", url, FILE_OPTIONS).common,
    open: () => registry,
  } as unknown as RegistryDriver;
  return { registries: { shelf: driver } };
}

describe("latest", () => {
  const digest = `sha256:${sha256Hex(BYTES)}`;

  async function ask(files: Files, verify: string | string[], stated?: string, more = {}) {
    const answer = answerOf(files, stated === undefined ? {} : { digest: stated });
    const { asked, ...options } = serve(files);
    const resolution = await latest("shelf://a", { ...options, ...shelf(answer, more), verify });
    if (resolution.kind !== "ready") throw new Error(resolution.kind);
    const { proofs, unproved } = resolution;
    return { kinds: proofs.map(({ kind }) => kind), unproved, asked };
  }

  test("proves by the digest that the registry states, without a download", async () => {
    const files = { app: BYTES, SHA256SUMS: sums(BYTES) };
    expect(await ask(files, "checksums", digest)).toEqual({
      kinds: ["checksums"],
      unproved: [],
      asked: ["SHA256SUMS"],
    });
  });

  test("asks the registry for the digest, if it can tell it", async () => {
    const files = { app: BYTES, SHA256SUMS: sums(BYTES) };
    const known = { digest: async () => digest };
    expect(await ask(files, "checksums", undefined, known)).toMatchObject({
      kinds: ["checksums"],
    });
  });

  test("leaves to the download what needs the bytes", async () => {
    const { publicKey, sign } = await sshKey();
    const rule = `ssh=${publicKey}`;
    const files = { app: BYTES, "app.sig": await sign("app", BYTES), SHA256SUMS: sums(BYTES) };
    expect(await ask(files, ["checksums", rule], digest)).toMatchObject({
      kinds: ["checksums"],
      unproved: [rule.trim()],
    });
    expect(await ask(files, ["checksums", rule])).toMatchObject({
      kinds: [],
      unproved: ["checksums", rule.trim()],
    });
  });

  test("rejects what does not hold", async () => {
    const files = { app: BYTES, SHA256SUMS: sums("other") };
    await expect(ask(files, "checksums", digest)).rejects.toBeInstanceOf(VerificationError);
  });

  test("rejects a kind that needs a host, before any request", async () => {
    const error = await ask({ app: BYTES }, "openpgp=key.asc").catch((thrown) => thrown);
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error).toMatchObject({
      name: "UnsupportedError",
      code: "config",
      message: expect.stringContaining('"openpgp"'),
    });
  });
});
