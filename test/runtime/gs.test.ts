import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FakeGcs, fakeGcs } from "../fakes/gcs.ts";
import { fakeIdentity, serviceAccountKey } from "../fakes/gcs_auth.ts";
import { type Served, serveFetch } from "../fakes/serve.ts";
import { runCase, runtimes } from "./runtimes.ts";
import { bundleForEdge, startWorker } from "./workerd.ts";

const RECORD = "my app/v1.10.0/shipped_to_edge_assets_at_19700101T000000.000000000Z.txt";
const CHECK = "a bucket is read with a signed token";

let storage: FakeGcs;
let served: Served;

beforeEach(async () => {
  const google = fakeIdentity(Date.now);
  const publish = (server: FakeGcs): FakeGcs => {
    for (const tag of ["v1.2.0", "v1.10.0", "v1.9.0"]) {
      server.put(`my app/${tag}/app_linux_amd64 ä%2F+?#.tar.gz`, { body: "0123456789" });
    }
    return server;
  };
  storage = publish(fakeGcs({ tokens: google.tokens, pageSize: 2 }));
  const emulator = publish(fakeGcs());
  served = await serveFetch(async (request) => {
    const { pathname, search } = new URL(request.url);
    const [, host = "", path = ""] = /^\/([^/]+)(\/.*)$/.exec(pathname) ?? [];
    const asked = new Request(`https://${host}${path}${search}`, request);
    if (host === "storage.googleapis.com") return storage.handler(asked);
    return host === "emulator" ? emulator.handler(asked) : google.handler(asked);
  });
});

afterEach(() => served.close());

describe.each(runtimes)("$name", (runtime) => {
  test("reads and writes a bucket of GCS", async () => {
    const env = { BASE: served.url, KEY: JSON.stringify(serviceAccountKey()) };
    const { code, stdout, stderr } = await runCase(runtime, "test/runtime/gs_main.ts", env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toContain(CHECK);
    expect([...storage.objects.keys()]).toContain(RECORD);
  });
});

test("workerd reads and writes a bucket of GCS", async () => {
  const args = [served.url, JSON.stringify(serviceAccountKey())].map((arg) => JSON.stringify(arg));
  const worker = await startWorker(
    await bundleForEdge(`
      import { gsCase } from "./test/runtime/gs_case.ts";
      export default {
        async fetch() {
          try {
            return Response.json(await gsCase(${args.join(", ")}));
          } catch (error) {
            return new Response(error.stack, { status: 500 });
          }
        },
      };`),
  );
  try {
    const text = await (await fetch(worker.url)).text();
    expect(text).toContain(CHECK);
    expect([...storage.objects.keys()]).toContain(RECORD);
  } finally {
    await worker.close();
  }
});
