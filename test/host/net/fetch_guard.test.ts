import { expect, onTestFinished, test } from "vitest";
import { ConfigError } from "../../../src/core/error.ts";
import { createHostIo } from "../../../src/host/io.ts";
import { createHttpClient } from "../../../src/http/client.ts";
import { serveFetch } from "../../fakes/serve.ts";

async function site(): Promise<{ url: string; asked(): number }> {
  let asked = 0;
  const served = await serveFetch(() => {
    asked += 1;
    return new Response("hello");
  });
  onTestFinished(served.close);
  return { url: served.url.replace("127.0.0.1", "localhost"), asked: () => asked };
}

test("a guarded fetch connects to addresses that pass the check", async () => {
  const { url } = await site();
  const io = await createHostIo({ env: {} });
  const shown: [string, readonly string[]][] = [];
  const guarded = await io.guardFetch?.(io.fetch, (...what) => void shown.push(what));
  expect(await (await guarded?.(url))?.text()).toBe("hello");
  expect(shown).toEqual([["localhost", expect.arrayContaining(["127.0.0.1"])]]);
});

test("a guarded fetch does not connect to addresses that the check refuses, and does not retry", async () => {
  const { url, asked } = await site();
  const io = await createHostIo({ env: {} });
  let checks = 0;
  const fetch = await io.guardFetch?.(io.fetch, () => {
    checks += 1;
    throw new ConfigError("that is this machine");
  });
  const client = createHttpClient({ ...io, fetch: fetch ?? io.fetch });
  await expect(client.text({ url })).rejects.toMatchObject({
    code: "remote",
    retryable: false,
    message: `Cannot GET ${url}/: that is this machine`,
  });
  expect([checks, asked()]).toEqual([1, 0]);
});

test("other fetch functions are not replaced", async () => {
  const io = await createHostIo({ env: {} });
  const own: typeof fetch = async () => new Response("mine");
  expect(await io.guardFetch?.(own, () => {})).toBe(own);
  expect((await createHostIo({ env: {}, fetch: own })).guardFetch).toBeUndefined();
});
