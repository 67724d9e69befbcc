import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fakeOci } from "../fakes/oci.ts";
import { type Served, serveFetch } from "../fakes/serve.ts";
import { runCase, runtimes } from "./runtimes.ts";
import { bundleForEdge, startWorker } from "./workerd.ts";

const CHECK = "an image is chosen for the platform, with a token";

let served: Served;

beforeEach(async () => {
  const users = { dewy: "secret" };
  const registry = fakeOci({ auth: "bearer", users, pageSize: 2, now: Date.now });
  for (const tag of ["v1.2.0", "latest", "v1.9.0"]) registry.push(tag);
  registry.push("v1.10.0_blue", {
    created: "2026-01-02T03:04:05Z",
    platforms: [
      { os: "linux", architecture: "arm64", variant: "v8" },
      { os: "linux", architecture: "amd64" },
    ],
  });
  served = await serveFetch((request) => {
    const { pathname, search } = new URL(request.url);
    const [, host = "", path = ""] = /^\/([^/]+)(\/.*)$/.exec(pathname) ?? [];
    return registry.handler(new Request(`https://${host}${path}${search}`, request));
  });
});

afterEach(() => served.close());

describe.each(runtimes)("$name", (runtime) => {
  test("queries an OCI registry", async () => {
    const env = { BASE: served.url };
    const { code, stdout, stderr } = await runCase(runtime, "test/runtime/img_main.ts", env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toContain(CHECK);
  });
});

test("workerd queries an OCI registry", async () => {
  const worker = await startWorker(
    await bundleForEdge(`
      import { imgCase } from "./test/runtime/img_case.ts";
      export default {
        async fetch() {
          try {
            return Response.json(await imgCase(${JSON.stringify(served.url)}));
          } catch (error) {
            return new Response(error.stack, { status: 500 });
          }
        },
      };`),
  );
  try {
    expect(await (await fetch(worker.url)).text()).toContain(CHECK);
  } finally {
    await worker.close();
  }
});
