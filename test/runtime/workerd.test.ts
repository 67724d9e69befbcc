import { expect, test } from "vitest";
import { echoHandler } from "../fakes/handler_echo.ts";
import { serveFetch } from "../fakes/serve.ts";
import { bundleForEdge, startWorker } from "./workerd.ts";

/** Runs a function in workerd. Its arguments are the JSON body of a request. */
async function runInWorker(
  module: string,
  name: string,
  args: readonly string[],
): Promise<string[]> {
  const worker = await startWorker(
    await bundleForEdge(`
      import { ${name} } from ${JSON.stringify(module)};
      export default {
        async fetch(request) {
          try {
            return Response.json(await ${name}(...(await request.json())));
          } catch (error) {
            return new Response(error.stack, { status: 500 });
          }
        },
      };`),
  );
  try {
    const response = await fetch(worker.url, { method: "POST", body: JSON.stringify(args) });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    return JSON.parse(text);
  } finally {
    await worker.close();
  }
}

test("workerd passes the checks of the library", async () => {
  const passed = await runInWorker("./test/runtime/library_case.ts", "libraryCase", []);
  expect(passed).toContain("newest version of a bucket, signed");
});

test("workerd verifies what a policy names", async () => {
  const passed = await runInWorker("./test/runtime/verified_case.ts", "verifiedCase", []);
  expect(passed).toContain("bytes that minisign and a checksum file cover");
});

test("workerd sends no secrets to another origin, and reports a body that ends early", async () => {
  const servers = [await serveFetch(echoHandler), await serveFetch(echoHandler)];
  try {
    const bases = servers.map(({ url }) => url);
    const passed = await runInWorker(
      "./test/runtime/redirect_worker.ts",
      "redirectInWorker",
      bases,
    );
    expect(passed).toContain("no private header follows to another origin");
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
});

test("the library without a policy contains nothing that verifies", async () => {
  const [without, withPolicy] = await Promise.all(
    ["./mod.ts", "./src/registries/verified/mod.ts"].map((entry) =>
      bundleForEdge(`export * from "${entry}";`),
    ),
  );
  const parts = /src\/verify\/|@noble\/hashes/;
  expect(withPolicy).toMatch(parts);
  expect(without).not.toMatch(parts);
});
