import type { Handler } from "./handler.ts";
import { ConnectionReset } from "./serve.ts";

/**
 * A server for testing a client: `/echo` returns the request, `/redirect?status=&to=` redirects,
 * `/short` announces more bytes than it sends, `/gzip` sends a compressed body with its length,
 * `/range` supports ranges, `/silent…` never answers, and `/stall` stops in the middle of the body.
 */
export const echoHandler: Handler = async (request) => {
  const url = new URL(request.url);
  if (url.pathname.startsWith("/silent")) return new Promise(() => {});
  switch (url.pathname) {
    case "/echo":
      return Response.json({
        method: request.method,
        headers: Object.fromEntries(request.headers),
        body: await request.text(),
      });
    case "/redirect":
      return new Response("elsewhere", {
        status: Number(url.searchParams.get("status") ?? 302),
        headers: { location: url.searchParams.get("to") ?? "/echo" },
      });
    case "/short":
      return new Response(cutShort("half"), { headers: { "content-length": "8" } });
    case "/stall":
      return new Response(
        new ReadableStream({ start: (body) => body.enqueue(new TextEncoder().encode("half")) }),
      );
    case "/gzip": {
      const zipped = await new Response(
        new Blob(["z"]).stream().pipeThrough(new CompressionStream("gzip")),
      ).arrayBuffer();
      const headers = { "content-encoding": "gzip", "content-length": String(zipped.byteLength) };
      return new Response(zipped, { headers });
    }
    case "/range": {
      const start = Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
      const status = start === 0 ? 200 : 206;
      const headers: Record<string, string> =
        start === 0 ? {} : { "content-range": `bytes ${start}-9/10` };
      return new Response("0123456789".slice(start), { status, headers });
    }
    default:
      return new Response("no such path", { status: 404 });
  }
};

function cutShort(text: string): ReadableStream<Uint8Array> {
  let sent = false;
  return new ReadableStream({
    pull(controller) {
      if (sent) return controller.error(new ConnectionReset("cut"));
      sent = true;
      controller.enqueue(new TextEncoder().encode(text));
    },
  });
}
