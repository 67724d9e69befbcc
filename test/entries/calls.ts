import { create, toBinary } from "@bufbuild/protobuf";
import type * as library from "../../mod.ts";
import { CurrentResponseSchema } from "../../src/gen/dewy_pb.ts";
import type * as handlers from "../../src/handler/mod.ts";
import { fakeClock } from "../fakes/clock.ts";
import { fakeGcs } from "../fakes/gcs.ts";
import { FakeGitHub } from "../fakes/github.ts";
import { fetchOf } from "../fakes/handler.ts";
import { fakeOci } from "../fakes/oci.ts";
import { fakeS3 } from "../fakes/s3.ts";

/** Calls one function of an entry, with a server that answers. */
export type EdgeCall = (entry: typeof library) => Promise<void>;

const PLATFORM = { os: "linux", arch: "amd64" };
const NOW = Date.UTC(2026, 5, 1);
const FILE = "app_linux_amd64.tar.gz";

/** `latest()` as most callers use it: no options but credentials, and a release that fits. */
export const LATEST: Readonly<Record<"ghr" | "s3" | "gs" | "img" | "grpc", EdgeCall>> = {
  ghr: (entry) => ask(entry, "ghr://acme/app", githubOptions()),
  s3: (entry) => {
    const server = fakeS3("releases", () => NOW);
    server.store(`app/v1.0.0/${FILE}`, "bytes");
    return ask(entry, "s3://eu-west-1/releases/app", {
      env: { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" },
      endpoint: "http://s3.test",
      fetch: fetchOf(server.handler),
    });
  },
  gs: (entry) => {
    const server = fakeGcs({ bucket: "releases", tokens: new Set(["ya29"]) });
    server.put(`app/v1.0.0/${FILE}`, { body: "bytes" });
    return ask(entry, "gs://releases/app", { token: "ya29", fetch: fetchOf(server.handler) });
  },
  img: (entry) => {
    const fake = fakeOci({ auth: "bearer", anonymous: true, now: () => NOW });
    fake.push("v1.0.0", { platforms: [{ os: "linux", architecture: "amd64" }] });
    return ask(entry, "img://registry.example/o/app", { fetch: fake.fetch });
  },
  grpc: (entry) => {
    const answer = toBinary(
      CurrentResponseSchema,
      create(CurrentResponseSchema, {
        id: "1",
        tag: "v1.0.0",
        artifactUrl: `https://example.com/${FILE}`,
      }),
    );
    const headers = { "content-type": "application/proto" };
    return ask(entry, "grpc://registry.example:443", {
      protocol: "connect",
      fetch: async () => new Response(answer, { headers }),
    });
  },
};

/** A handler that answers for a repository on GitHub. */
export const handleGitHub = async (entry: object): Promise<void> => {
  const { createHandler } = entry as typeof handlers;
  const registries = { app: "ghr://acme/app" };
  const handler = createHandler({ ...githubOptions(), registries, platform: PLATFORM });
  const response = await handler(new Request("https://versions.example.com/app/latest"));
  if (response.status !== 200) throw new Error(await response.text());
};

function githubOptions(): Pick<library.RegistryOptions, "token" | "env" | "fetch"> {
  const github = new FakeGitHub({ clock: fakeClock({ now: NOW }) });
  github.publish("v1.0.0", [{ name: FILE }]);
  return { token: "ghp_reader", env: { GITHUB_API_URL: github.urls.api }, fetch: github.fetch };
}

async function ask(
  { latest }: typeof library,
  url: string,
  options: library.RegistryOptions,
): Promise<void> {
  const answer = await latest(url, {
    platform: PLATFORM,
    env: {},
    clock: fakeClock({ now: NOW }),
    ...options,
  });
  if (answer.kind !== "ready") throw new Error(`${url}: ${JSON.stringify(answer)}`);
}
