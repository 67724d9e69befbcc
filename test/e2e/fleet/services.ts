/**
 * What a fleet shares, in a process of its own: a registry (a GitHub fake) and a bucket (an S3 fake), which count what they
 * are asked. Prints their URLs; then answers each line on standard input, a command in JSON, with a line.
 *
 * @module
 */
import { createInterface } from "node:readline";
import { systemClock } from "../../../src/core/clock.ts";
import { FakeGitHub } from "../../fakes/github.ts";
import type { Handler } from "../../fakes/handler.ts";
import { fakeS3 } from "../../fakes/s3.ts";
import { serveFetch } from "../../fakes/serve.ts";
import { ARTIFACT, makeArtifact } from "../archive.ts";

export const BUCKET = "fleet";

/** What has been asked since the last count. */
export interface Counts {
  /** When the registry was asked for its releases, in milliseconds since the epoch. */
  polls: number[];
  /** All requests to the registry but downloads. */
  calls: number;
  /** The tag of each artifact that was downloaded from the registry. */
  downloads: string[];
  /** Requests to the bucket by kind: `GET rollout`, `PUT member`. */
  operations: Record<string, number>;
  /** Bodies that the bucket has received and sent. */
  bytes: number;
}

export type ServicesCommand =
  /** Adds a release. Without `isGood` its artifact is not an archive. */
  | { do: "publish"; tag: string; isGood: boolean }
  | { do: "count" }
  /** The bucket answers 503 until further notice. */
  | { do: "bucket"; isUp: boolean }
  /** The text of an object, or `null`. */
  | { do: "read"; key: string };

const github = new FakeGitHub({
  clock: systemClock,
  limits: { token: 1_000_000_000, anonymous: 60 },
});
/** The tags of artifacts, by the path of their downloads. */
const tags = new Map<string, string>();
const bucket = fakeS3(BUCKET, Date.now);
let isUp = true;
let counts = noCounts();

const registry: Handler = (request) => {
  const { pathname } = new URL(request.url);
  const tag = tags.get(pathname);
  if (tag !== undefined) counts.downloads.push(tag);
  else counts.calls += 1;
  if (pathname.endsWith("/releases")) counts.polls.push(Date.now());
  return github.handler(request);
};

const store: Handler = async (request) => {
  const kind = kindOf(request);
  counts.operations[kind] = (counts.operations[kind] ?? 0) + 1;
  counts.bytes += Number(request.headers.get("content-length") ?? 0);
  if (!isUp) return new Response("<Error><Code>SlowDown</Code></Error>", { status: 503 });
  const response = await bucket.handler(request);
  response.headers.set("date", new Date().toUTCString());
  const body = new Uint8Array(await response.arrayBuffer());
  counts.bytes += body.length;
  bucket.calls.length = 0;
  const { status, headers } = response;
  return new Response(status === 204 ? null : body, { status, headers });
};

/** The method, and the first part of the key that tells objects apart. */
function kindOf({ method, url }: Request): string {
  const { pathname, searchParams } = new URL(url);
  const [, , ...key] = pathname.split("/");
  if (key.join("") === "") return `LIST ${searchParams.get("prefix")?.split("/").at(-2) ?? ""}`;
  const [, name = ""] =
    /(rollout|members|registry-cache|artifacts|claims|dewy-probe)/.exec(pathname) ?? [];
  return `${method} ${name}`;
}

function noCounts(): Counts {
  return { polls: [], calls: 0, downloads: [], operations: {}, bytes: 0 };
}

async function obey(command: ServicesCommand): Promise<unknown> {
  switch (command.do) {
    case "publish": {
      const bytes = command.isGood
        ? await makeArtifact(command.tag)
        : new TextEncoder().encode("not an archive");
      const { assets } = github.publish(command.tag, [{ name: ARTIFACT, bytes }]);
      for (const { id } of assets) tags.set(`/storage/${id}`, command.tag);
      return null;
    }
    case "bucket":
      isUp = command.isUp;
      return null;
    case "read": {
      const found = bucket.objects.get(command.key);
      return found === undefined ? null : new TextDecoder().decode(found.body);
    }
    case "count": {
      const counted = counts;
      counts = noCounts();
      return counted;
    }
  }
}

const [api, storage, s3] = await Promise.all([registry, registry, store].map(serveFetch));
const urls = { api: api?.url ?? "", storage: storage?.url ?? "", bucket: s3?.url ?? "" };
github.urls = { ...urls, uploads: urls.api };
console.log(JSON.stringify(urls));
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await obey(JSON.parse(line) as ServicesCommand)));
}
process.exit();
