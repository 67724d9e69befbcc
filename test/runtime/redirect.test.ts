import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { echoHandler } from "../fakes/handler_echo.ts";
import { type Served, serveFetch } from "../fakes/serve.ts";
import { redirectCase } from "./redirect_case.ts";
import { runCase, runtimes } from "./runtimes.ts";

let servers: Served[] = [];
beforeAll(async () => {
  servers = [await serveFetch(echoHandler), await serveFetch(echoHandler)];
});
afterAll(() => Promise.all(servers.map((server) => server.close())));

const bases = (): [string, string] => [servers[0]?.url ?? "", servers[1]?.url ?? ""];

test("redirects send no secrets to another origin, in this process", async () => {
  expect(await redirectCase(globalThis.fetch, ...bases())).not.toEqual([]);
});

describe.each(runtimes)("$name", (runtime) => {
  test("redirects send no secrets to another origin, and a body that ends early is an error", async () => {
    const [HERE, THERE] = bases();
    const output = await runCase(runtime, "test/runtime/redirect_main.ts", { HERE, THERE });
    expect(output).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(output.stdout)).toContain("no private header follows to another origin");
  });
});
