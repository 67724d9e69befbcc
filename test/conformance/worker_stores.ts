/** The module of a worker that answers as below. */
export const WORKER_STORES = `
  import { answerStore } from "./test/conformance/worker_stores.ts";
  export default { fetch: answerStore };`;

const values = new Map<string, ArrayBuffer>();
/** As the bytes of HTTP/1.1. */
const responses = new Map<string, string>();

/**
 * What stands behind the KV namespace and the Cache API of workerd, which has only the clients.
 * https://github.com/cloudflare/workerd/blob/main/src/workerd/server/workerd.capnp
 */
export async function answerStore(request: Request): Promise<Response> {
  const isCache = request.url.startsWith("https://dewy.invalid/");
  return isCache ? answerCache(request) : answerKv(request);
}

async function answerKv(request: Request): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  if (request.method === "PUT") {
    const ttl = searchParams.get("expiration_ttl");
    if (ttl !== null && Number(ttl) < 60) return new Response("invalid TTL", { status: 400 });
    values.set(pathname, await request.arrayBuffer());
    return new Response();
  }
  const value = values.get(pathname);
  return value === undefined ? new Response(null, { status: 404 }) : new Response(value);
}

async function answerCache(request: Request): Promise<Response> {
  if (request.method === "PUT") {
    responses.set(request.url, await request.text());
    return new Response(null, { status: 204 });
  }
  const kept = responses.get(request.url);
  if (kept === undefined) {
    return new Response(null, { status: 504, headers: { "cf-cache-status": "MISS" } });
  }
  const [, body] = /\r\n\r\n([\s\S]*)$/.exec(kept) ?? [];
  return new Response(body, { headers: { "cf-cache-status": "HIT" } });
}
