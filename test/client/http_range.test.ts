import { expect, test } from "vitest";
import { createHttpClient } from "../../src/client/http.ts";
import { openRange } from "../../src/client/http_range.ts";
import { IntegrityError } from "../../src/core/error.ts";
import { fakeClock } from "../fakes/clock.ts";
import { type Handler, strictFake } from "../fakes/handler.ts";

const URL_A = "https://files.test/a";

async function download(offset: number, respond: Handler | Response): Promise<string> {
  const fake = strictFake().on(`GET ${URL_A}`, respond);
  const http = createHttpClient({ fetch: fake.fetch, clock: fakeClock(), emit: () => {} });
  const text = new Response(await openRange(http, { url: URL_A }, offset)).text();
  fake.verify();
  return text;
}

function partial(body: string | null, range: string, status = 206): Response {
  return new Response(body, { status, headers: { "content-range": range } });
}

test("from the start, no range is asked for", async () => {
  const all: Handler = (request) => {
    expect(request.headers.get("range")).toBeNull();
    expect(request.headers.get("accept-encoding")).toBe("identity");
    return new Response("0123456789");
  };
  expect(await download(0, all)).toBe("0123456789");
});

test("a part is asked for and checked", async () => {
  const rest: Handler = (request) => {
    expect(request.headers.get("range")).toBe("bytes=4-");
    return partial("456789", "bytes 4-9/10");
  };
  expect(await download(4, rest)).toBe("456789");
});

test("a server without ranges sends everything, and what is there is skipped", async () => {
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

test("nothing is left at the very end", async () => {
  expect(await download(10, partial(null, "bytes */10", 416))).toBe("");
});

test.each([
  ["another part than asked for", partial("56789", "bytes 5-9/10")],
  ["a part without saying which", new Response("456789", { status: 206 })],
  ["a shorter file than what is there", partial(null, "bytes */3", 416)],
  ["all of a shorter file", new Response("012")],
])("%s is an IntegrityError", async (_, response) => {
  await expect(download(4, response)).rejects.toBeInstanceOf(IntegrityError);
});
