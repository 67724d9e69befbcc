import { expect, test } from "vitest";
import { IntegrityError } from "../../src/core/error.ts";
import { createHttpClient } from "../../src/http/client.ts";
import { openRange, type RangeOptions } from "../../src/http/range.ts";
import { fakeClock } from "../fakes/clock.ts";
import { type Handler, strictFake } from "../fakes/handler.ts";

const URL_A = "https://files.test/a";

async function download(
  range: number | RangeOptions,
  respond: Handler | Response,
): Promise<string> {
  const options = typeof range === "number" ? { offset: range } : range;
  const fake = strictFake().on(`GET ${URL_A}`, respond);
  const http = createHttpClient({ fetch: fake.fetch, clock: fakeClock(), emit: () => {} });
  const text = new Response(await openRange(http, { url: URL_A }, options)).text();
  fake.verify();
  return text;
}

function partial(body: string | null, range: string, status = 206): Response {
  return new Response(body, { status, headers: { "content-range": range } });
}

test("requests no range from the start", async () => {
  const all: Handler = (request) => {
    expect(request.headers.get("range")).toBeNull();
    expect(request.headers.get("accept-encoding")).toBe("identity");
    return new Response("0123456789");
  };
  expect(await download(0, all)).toBe("0123456789");
});

test("requests and checks a range", async () => {
  const rest: Handler = (request) => {
    expect(request.headers.get("range")).toBe("bytes=4-");
    return partial("456789", "bytes 4-9/10");
  };
  expect(await download(4, rest)).toBe("456789");
});

test("skips the known bytes if the server does not support ranges", async () => {
  const chunks = ["01", "2345", "6", "789"].map((text) => new TextEncoder().encode(text));
  const all = (): Response =>
    new Response(
      new ReadableStream({
        pull(controller) {
          const chunk = chunks.shift();
          if (chunk === undefined) controller.close();
          else controller.enqueue(chunk);
        },
      }),
    );
  expect(await download(4, all)).toBe("456789");
});

test("returns an empty stream at the end of the file", async () => {
  expect(await download(10, partial(null, "bytes */10", 416))).toBe("");
});

test.each([
  ["a range other than the requested one", partial("56789", "bytes 5-9/10")],
  ["a part without Content-Range", new Response("456789", { status: 206 })],
  ["a file shorter than the offset", partial(null, "bytes */3", 416)],
  ["the whole of a shorter file", new Response("012")],
])("%s is an IntegrityError", async (_, response) => {
  await expect(download(4, response)).rejects.toBeInstanceOf(IntegrityError);
});

/** The validator of a response with these headers. */
async function validatorOf(headers: Record<string, string>): Promise<string | undefined> {
  const found: (string | undefined)[] = [];
  const onValidator = (validator: string | undefined): void => void found.push(validator);
  await download({ onValidator }, new Response("0123456789", { headers }));
  expect(found).toHaveLength(1);
  return found[0];
}

test("a strong entity tag is a validator, or a date a minute before the response", async () => {
  const modified = "Tue, 15 Nov 2026 12:45:26 GMT";
  const later = { "last-modified": modified, date: "Tue, 15 Nov 2026 12:46:26 GMT" };
  expect(await validatorOf({ etag: '"a"', ...later })).toBe('"a"');
  expect(await validatorOf(later)).toBe(modified);
});

test("weak entity tags, recent dates and decoded bodies are not validators", async () => {
  const modified = { "last-modified": "Tue, 15 Nov 2026 12:45:26 GMT" };
  const later = { ...modified, date: "Tue, 15 Nov 2026 13:45:26 GMT" };
  for (const headers of [
    {},
    modified,
    { ...modified, date: "Tue, 15 Nov 2026 12:46:25 GMT" },
    { etag: 'W/"a"', ...later },
    { etag: '"a"', "content-encoding": "gzip" },
  ] as Record<string, string>[]) {
    expect(await validatorOf(headers)).toBeUndefined();
  }
});

const RESUMED = { offset: 4, size: 10, validator: '"a"' };

test("requests a range only if the file has not changed", async () => {
  const rest: Handler = (request) => {
    expect(request.headers.get("range")).toBe("bytes=4-");
    expect(request.headers.get("if-range")).toBe('"a"');
    return new Response("456789", {
      status: 206,
      headers: { "content-range": "bytes 4-9/10", etag: '"a"' },
    });
  };
  expect(await download(RESUMED, rest)).toBe("456789");
});

test("skips the known bytes only if the file has not changed", async () => {
  const all = new Response("0123456789", { headers: { etag: '"a"' } });
  expect(await download(RESUMED, all)).toBe("456789");
});

test.each([
  ["a part", { status: 206, headers: { "content-range": "bytes 4-9/10" } }, "456789"],
  ["the whole file", { headers: { etag: '"a"' } }, "0123456789"],
])("a resumed download reports its validator again for %s", async (_, init, body) => {
  const found: (string | undefined)[] = [];
  const onValidator = (validator: string | undefined): void => void found.push(validator);
  expect(await download({ ...RESUMED, onValidator }, new Response(body, init))).toBe("456789");
  expect(found).toEqual(['"a"']);
});

const PART = { "content-range": "bytes 4-9/10" };

test.each([
  ["the whole of a changed file", new Response("0123456789", { headers: { etag: '"b"' } })],
  ["the whole of a file without a validator", new Response("0123456789")],
  [
    "a part of another file",
    new Response("456789", { status: 206, headers: { ...PART, etag: '"b"' } }),
  ],
  ["a part of a file of another size", partial("456789", "bytes 4-9/11")],
  [
    "a file of another size",
    new Response("0", { headers: { etag: '"a"', "content-length": "1" } }),
  ],
])("%s is an IntegrityError", async (_, response) => {
  await expect(download(RESUMED, response)).rejects.toBeInstanceOf(IntegrityError);
});

test("refuses a response of another length than the file", async () => {
  const page = new Response("sign in", { headers: { "content-length": "7" } });
  await expect(download({ size: 10 }, page)).rejects.toThrow(
    "the server sends a file of 7 bytes, but the registry states 10",
  );
  expect(await download({}, new Response("7 bytes"))).toBe("7 bytes");
});
