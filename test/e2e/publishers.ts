import { randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { type FakeGitHub, serveGitHub } from "../fakes/github.ts";
import type { Radosgw } from "../peers/radosgw.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { ARTIFACT } from "./archive.ts";

/** A registry that a test publishes to. */
export interface Publisher {
  /** The value of `--registry`. */
  url: string;
  /** Variables for dewy's environment. */
  env: Readonly<Record<string, string>>;
  /** Publishes a version with one artifact. */
  publish(tag: string, bytes: Uint8Array<ArrayBuffer>, name?: string): Promise<void>;
  /** Deletes a version. */
  withdraw(tag: string): Promise<void>;
  /** The names of all files of a version, including audit records. */
  audits(tag: string): Promise<string[]>;
}

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
    withdraw: (tag) => rm(join(directory, tag), { recursive: true }),
    audits: (tag) => readdir(join(directory, tag)),
  };
}

/** A repository of the GitHub fake, over HTTP. */
export async function githubPublisher(
  options: { isPrivate?: boolean } = {},
): Promise<Publisher & { github: FakeGitHub }> {
  const { github, url, close } = await serveGitHub({ clock: systemClock, ...options });
  onTestFinished(async () => {
    await close();
    expect(github.violations).toEqual([]);
  });
  return {
    github,
    url: `ghr://${github.repo}`,
    env: { GITHUB_API_URL: url, GITHUB_TOKEN: "ghp_writer" },
    publish: async (tag, bytes, name = ARTIFACT) => {
      github.publish(tag, [{ name, bytes }]);
    },
    withdraw: async (tag) => {
      github.deleteRelease(tag);
      github.tags.delete(tag);
    },
    audits: async (tag) => github.release(tag).assets.map((asset) => asset.name),
  };
}

/** A new bucket in a real S3 server. */
export async function s3Publisher(gateway: Radosgw): Promise<Publisher> {
  const bucket = `e2e-${randomUUID()}`;
  const client = await gateway.createBucket(bucket);
  const keys = async (tag: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const page of client.list({ prefix: `app/${tag}/` })) {
      found.push(...page.objects.map(({ key }) => key));
    }
    return found;
  };
  return {
    url: `s3://default/${bucket}/app`,
    env: gateway.env,
    publish: async (tag, bytes, name = ARTIFACT) => {
      await client.put(`app/${tag}/${name}`, bytes, "application/gzip");
    },
    withdraw: async (tag) => {
      for (const key of await keys(tag)) await gateway.send("DELETE", bucket, key);
    },
    audits: keys,
  };
}
