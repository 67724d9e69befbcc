import { describe, expect, test } from "vitest";
import { openRegistry, type RegistryOptions } from "../../../mod.ts";
import { findIndex } from "../../../src/verify/index_file/find.ts";
import { readFilesOf } from "../../../src/verify/read_files.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { fakeGcs } from "../../fakes/gcs.ts";
import { fakeIdentity, serviceAccountKey } from "../../fakes/gcs_auth.ts";
import { fetchOf } from "../../fakes/handler.ts";
import { fakeS3 } from "../../fakes/s3.ts";

const signal = new AbortController().signal;
const clock = fakeClock();
const platform = { os: "linux", arch: "amd64" };

interface Bucket {
  url: string;
  options: RegistryOptions;
  put(name: string, body: string): void;
}

function s3(): Bucket {
  const server = fakeS3("releases", clock.now);
  return {
    url: "s3://us-east-1/releases/my/app?endpoint=http://s3.test",
    options: {
      env: { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" },
      fetch: fetchOf(server.handler),
    },
    put: (name, body) => server.store(name, body, {}),
  };
}

function gs(): Bucket {
  const google = fakeIdentity(clock.now);
  const server = fakeGcs({ bucket: "releases", tokens: google.tokens });
  const isStorage = (request: Request): boolean =>
    new URL(request.url).hostname === "storage.googleapis.com";
  return {
    url: "gs://releases/my/app",
    options: {
      env: { GOOGLE_APPLICATION_CREDENTIALS: JSON.stringify(serviceAccountKey()) },
      fetch: fetchOf((request) =>
        isStorage(request) ? server.handler(request) : google.handler(request),
      ),
    },
    put: (name, body) => server.put(name, { body }),
  };
}

describe.each([
  ["s3", s3],
  ["gs", gs],
])("the index beside the releases of %s", (_, open) => {
  async function find({ url, options }: Bucket) {
    const registry = openRegistry(url, { ...options, clock, platform });
    const answer = await registry.resolve();
    if (answer.kind !== "ready") throw new Error(answer.kind);
    const { release, artifact, files = [] } = answer;
    const read = readFilesOf({ registry, clock, signal });
    const subject = { tag: release.tag, name: artifact.name, sha256: "", files, read };
    const found = await findIndex(subject, signal);
    return found && { text: new TextDecoder().decode(found.bytes), files: found.subject.files };
  }

  test("is found with its signatures", async () => {
    const bucket = open();
    bucket.put("my/app/v1.0.0/app.tar.gz", "bytes");
    bucket.put("my/app/dewy-index.json", "{}");
    bucket.put("my/app/dewy-index.json.minisig", "signature");
    const { text, files } = (await find(bucket)) ?? {};
    expect(text).toBe("{}");
    expect(files?.map(({ name }) => name)).toEqual(["dewy-index.json", "dewy-index.json.minisig"]);
  });

  test("yields to that of the release", async () => {
    const bucket = open();
    bucket.put("my/app/v1.0.0/app.tar.gz", "bytes");
    bucket.put("my/app/v1.0.0/dewy-index.json", "own");
    bucket.put("my/app/dewy-index.json", "{}");
    expect((await find(bucket))?.text).toBe("own");
  });

  test("may be missing", async () => {
    const bucket = open();
    bucket.put("my/app/v1.0.0/app.tar.gz", "bytes");
    bucket.put("my/dewy-index.json", "of other apps");
    expect(await find(bucket)).toBeUndefined();
  });
});
