// The registries that the attacks go through. An attacker may change everything in them.
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import { FakeGitHub } from "../fakes/github.ts";
import { fetchOf } from "../fakes/handler.ts";
import { fakeS3 } from "../fakes/s3.ts";
import type { Radosgw } from "../peers/radosgw.ts";
import { tempDirectory } from "../support/temp_directory.ts";

export type Content = string | Uint8Array<ArrayBuffer>;
export type Files = Readonly<Record<string, Content>>;

/** A registry of files for those who can publish to it. */
export interface Courier {
  /** The value of `--registry`. */
  url: string;
  env: Readonly<Record<string, string>>;
  /** Replaces the network; absent if there is none. */
  fetch?: typeof globalThis.fetch;
  /** Publishes a version with exactly these files, in place of those that it had. */
  publish(tag: string, files: Files): Promise<void>;
  withdraw(tag: string): Promise<void>;
}

async function fileCourier(): Promise<Courier> {
  const directory = await tempDirectory();
  const withdraw = async (tag: string): Promise<void> =>
    rmSync(join(directory, tag), { recursive: true, force: true });
  return {
    url: `file://${directory}`,
    env: {},
    withdraw,
    async publish(tag, files) {
      await withdraw(tag);
      mkdirSync(join(directory, tag), { recursive: true });
      for (const [name, content] of Object.entries(files)) {
        writeFileSync(join(directory, tag, name), content);
      }
    },
  };
}

async function githubCourier(): Promise<Courier> {
  const github = new FakeGitHub({ clock: systemClock });
  const withdraw = async (tag: string): Promise<void> => {
    github.deleteRelease(tag);
    github.tags.delete(tag);
  };
  return {
    url: `ghr://${github.repo}`,
    env: { GITHUB_API_URL: github.urls.api, GITHUB_TOKEN: "ghp_writer" },
    fetch: github.fetch,
    withdraw,
    async publish(tag, files) {
      await withdraw(tag);
      const assets = Object.entries(files).map(([name, bytes]) => ({ name, bytes }));
      github.publish(tag, assets);
    },
  };
}

async function s3Courier(): Promise<Courier> {
  const server = fakeS3("releases", Date.now);
  const withdraw = async (tag: string): Promise<void> => server.remove(`app/${tag}/`);
  return {
    url: "s3://us-east-1/releases/app?endpoint=http://s3.test",
    env: { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" },
    fetch: fetchOf(server.handler),
    withdraw,
    async publish(tag, files) {
      await withdraw(tag);
      for (const [name, content] of Object.entries(files)) {
        server.store(`app/${tag}/${name}`, content);
      }
    },
  };
}

/** A new bucket in a real S3 server. */
export async function radosgwCourier(gateway: Radosgw): Promise<Courier> {
  const bucket = `attack-${randomUUID()}`;
  const client = await gateway.createBucket(bucket);
  const withdraw = async (tag: string): Promise<void> => {
    for await (const page of client.list({ prefix: `app/${tag}/` })) {
      for (const { key } of page.objects) await gateway.send("DELETE", bucket, key);
    }
  };
  return {
    url: `s3://default/${bucket}/app`,
    env: gateway.env,
    fetch: globalThis.fetch,
    withdraw,
    async publish(tag, files) {
      await withdraw(tag);
      for (const [name, content] of Object.entries(files)) {
        await client.put(`app/${tag}/${name}`, content, "application/octet-stream");
      }
    },
  };
}

export const COURIERS: Readonly<Record<"ghr" | "s3" | "file", () => Promise<Courier>>> = {
  ghr: githubCourier,
  s3: s3Courier,
  file: fileCourier,
};
