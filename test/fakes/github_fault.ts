import { ConnectionReset } from "./serve.ts";

/** Gets the real response on demand, and returns the one to send. */
export type Fault = (answer: () => Promise<Response>) => Promise<Response>;

/** Answers with a status instead, such as 503, or 429 with `retry-after`. */
export function status(code: number, headers: Record<string, string> = {}): Fault {
  return async () => Response.json({ message: `fault ${code}` }, { status: code, headers });
}

/** Closes the connection instead of answering. */
export function reset(): Fault {
  return async () => {
    const cause = Object.assign(new ConnectionReset("reset"), { code: "ECONNRESET" });
    throw Object.assign(new TypeError("fetch failed"), { cause });
  };
}

/** Closes the connection after some bytes of the body. */
export function cutAfter(bytes: number): Fault {
  return (answer) =>
    withBody(answer, (sent) => {
      if (sent >= bytes) throw new ConnectionReset("cut");
      return bytes - sent;
    });
}

/** Stalls after some bytes of the body, without closing the connection. */
export function stallAfter(bytes: number): Fault {
  return (answer) =>
    withBody(answer, (sent) => (sent >= bytes ? new Promise<number>(() => {}) : bytes - sent));
}

/** Sends the body in chunks of so many bytes, with pauses in between. */
export function drip(bytes: number, pause: () => Promise<void>): Fault {
  return (answer) => withBody(answer, (sent) => (sent === 0 ? bytes : pause().then(() => bytes)));
}

/** Changes the first byte of the body. */
export function tamper(): Fault {
  return async (answer) => {
    const response = await answer();
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (bytes.length > 0) bytes[0] = (bytes[0] ?? 0) ^ 0xff;
    return new Response(bytes, response);
  };
}

async function withBody(
  answer: () => Promise<Response>,
  next: (sent: number) => number | Promise<number>,
): Promise<Response> {
  const response = await answer();
  const bytes = new Uint8Array(await response.arrayBuffer());
  const headers = new Headers(response.headers);
  headers.set("content-length", String(bytes.length));
  let sent = 0;
  const body = new ReadableStream(
    {
      async pull(controller) {
        if (sent === bytes.length) return controller.close();
        const size = await next(sent);
        controller.enqueue(bytes.slice(sent, sent + size));
        sent = Math.min(bytes.length, sent + size);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status: response.status, headers });
}
