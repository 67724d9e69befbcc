import { systemClock } from "../../src/core/clock.ts";
import { createHandler } from "../../src/handler/mod.ts";
import { type FakeGcs, fakeGcs } from "../fakes/gcs.ts";
import { fakeIdentity, serviceAccountKey } from "../fakes/gcs_auth.ts";
import { FakeGitHub } from "../fakes/github.ts";
import { serveGrpc } from "../fakes/grpc.ts";
import type { Handler } from "../fakes/handler.ts";
import { echoHandler } from "../fakes/handler_echo.ts";
import { fakeOci } from "../fakes/oci.ts";
import { fakeS3 } from "../fakes/s3.ts";
import { type Served, serveFetch } from "../fakes/serve.ts";
import type { Peers, RuntimeKind } from "./case.ts";
import { SIGNED_FILES } from "./signed_release.ts";

const TAGS = ["v1.2.0", "v1.10.0", "v1.9.0"];
const ANSWER = { id: "id-1", tag: "v1.2.3", artifactUrl: "https://example.test/app" };
const BYTES = "0123456789";
/**
 * The headers that browsers may send to each, as docs/library.md names them. GitHub's:
 * https://docs.github.com/rest/using-the-rest-api/using-cors-and-jsonp-to-make-cross-origin-requests
 */
const ALLOWED = {
  github: "Authorization, Content-Type, If-None-Match, User-Agent, X-GitHub-Api-Version",
  s3: "Authorization, If-Match, X-Amz-Checksum-Mode, X-Amz-Content-Sha256, X-Amz-Date, X-Amz-Security-Token",
  google: "Authorization, Content-Type",
  oci: "Accept, Authorization",
  any: "*, Authorization",
};

export interface ServedPeers {
  peers: Peers;
  /** Requests that must not be, and those that are missing. */
  complaints(): string[];
  close(): Promise<void>;
}

/** Starts fakes of everything that the cases ask. Each runtime gets its own. */
export async function servePeers(kind: RuntimeKind): Promise<ServedPeers> {
  const served: Served[] = [];
  const serve = async (handler: Handler): Promise<string> => {
    const server = await serveFetch(handler);
    served.push(server);
    return server.url;
  };

  const github = new FakeGitHub({ clock: systemClock });
  for (const tag of TAGS) github.publish(tag, [{ name: "app_linux_amd64.tar.gz", bytes: BYTES }]);
  const api = await serve(withCors(github.handler, ALLOWED.github));
  github.urls = { api, uploads: api, storage: await serve(withCors(github.handler)) };

  const bucket = fakeS3("releases", Date.now);
  for (const tag of TAGS) bucket.store(`app/${tag}/app ä+&_linux_amd64.tar.gz`, BYTES);
  for (let minor = 0; minor < 2_500; minor += 1) {
    bucket.store(`many/v1.${minor}.0/app_linux_amd64`, "");
  }
  for (const [name, content] of Object.entries(SIGNED_FILES)) {
    bucket.store(`signed/v1.1.0/${name}`, content);
    bucket.store(`changed/v1.1.0/${name}`, name.endsWith(".gz") ? "bYtes" : content);
  }

  const google = fakeIdentity(Date.now);
  const publish = (server: FakeGcs): FakeGcs => {
    for (const tag of TAGS) {
      server.put(`my app/${tag}/app_linux_amd64 ä%2F+?#.tar.gz`, { body: BYTES });
    }
    return server;
  };
  const storage = publish(fakeGcs({ tokens: google.tokens, pageSize: 2 }));
  const emulator = publish(fakeGcs());
  const googleHosts: Handler = (request) => {
    const { pathname, search } = new URL(request.url);
    const [, host = "", path = ""] = /^\/([^/]+)(\/.*)$/.exec(pathname) ?? [];
    const asked = new Request(`https://${host}${path}${search}`, request);
    if (host === "storage.googleapis.com") return storage.handler(asked);
    return host === "emulator" ? emulator.handler(asked) : google.handler(asked);
  };

  const oci = await serveOci(serve);
  const [connect, grpc] = await Promise.all([
    serveGrpc({ http1: true, current: async () => ANSWER }),
    serveGrpc(),
  ]);

  const reports: string[] = [];
  const versions = createHandler({
    registries: { app: "ghr://acme/app" },
    env: { GITHUB_API_URL: api },
    token: "ghp_reader",
    reportToken: "report-t0ken",
    onReport: ({ tag }) => void reports.push(tag),
  });

  const peers: Peers = {
    kind,
    github: api,
    s3: await serve(withCors(bucket.handler, ALLOWED.s3)),
    google: await serve(withCors(googleHosts, ALLOWED.google)),
    googleKey: JSON.stringify(serviceAccountKey()),
    oci,
    handler: new URL(await serve(versions)).host,
    connect: connect.target,
    grpc: grpc.target,
    here: await serve(withCors(echoHandler, ALLOWED.any)),
    there: await serve(withCors(echoHandler)),
    refused: await unusedUrl(),
  };
  const record = "my app/v1.10.0/shipped_to_edge_assets_at_19700101T000000.000000000Z.txt";
  return {
    peers,
    complaints: () => [
      ...github.violations,
      ...(storage.objects.has(record) ? [] : ["Cloud Storage has no audit record"]),
      ...(reports.join() === "v1.10.0" ? [] : [`reports to the handler: ${reports}`]),
      ...(connect.reports.length === 3 ? [] : [`${connect.reports.length} reports over Connect`]),
      ...(connect.asked.every(({ headers }) => headers.get("authorization") === "Bearer s3cr3t")
        ? []
        : ["Connect without a token"]),
    ],
    close: async () => {
      await Promise.all([...served, connect, grpc].map((server) => server.close()));
    },
  };
}

async function unusedUrl(): Promise<string> {
  const { url, close } = await serveFetch(echoHandler);
  await close();
  return url;
}

async function serveOci(serve: (handler: Handler) => Promise<string>): Promise<string> {
  let answer: Handler = () => new Response(null, { status: 503 });
  const [registry, tokens, blobs] = await Promise.all(
    [ALLOWED.oci, ALLOWED.oci, undefined].map((headers) =>
      serve(withCors((request) => answer(request), headers)),
    ),
  );
  const host = new URL(registry ?? "").host;
  const fake = fakeOci({
    host,
    auth: "bearer",
    users: { dewy: "secret" },
    pageSize: 2,
    now: Date.now,
    realm: `${tokens}/token`,
    blobs,
  });
  for (const tag of ["v1.2.0", "latest", "v1.9.0"]) fake.push(tag);
  fake.push("v1.10.0_blue", {
    created: "2026-01-02T03:04:05Z",
    platforms: [
      { os: "linux", architecture: "arm64", variant: "v8" },
      { os: "linux", architecture: "amd64" },
    ],
  });
  answer = fake.handler;
  return host;
}

/**
 * Lets browsers read from another origin, as far as `headers` allows; without them it refuses
 * preflights, as file storages do. https://fetch.spec.whatwg.org/#http-cors-protocol
 */
function withCors(handler: Handler, headers?: string): Handler {
  return async (request) => {
    if (request.method === "OPTIONS") {
      if (headers === undefined) return new Response("no preflights", { status: 403 });
      return new Response(null, {
        status: 204,
        headers: {
          "access-control-allow-origin": "*",
          "access-control-allow-headers": headers,
          "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        },
      });
    }
    const response = await handler(request);
    const answer = new Response(response.body, response);
    answer.headers.set("access-control-allow-origin", "*");
    answer.headers.set("access-control-expose-headers", "*");
    return answer;
  };
}
