/** Responses of the admin server. They are private to this origin and not stored. */

const PRIVATE = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
} as const;

type ExtraHeaders = Readonly<Record<string, string>>;

export function json(value: unknown): Response {
  return whole(200, `${JSON.stringify(value)}\n`, { "content-type": "application/json" });
}

export function text(status: number, body: string, headers: ExtraHeaders = {}): Response {
  return whole(status, `${body}\n`, { "content-type": "text/plain; charset=utf-8", ...headers });
}

/** https://prometheus.io/docs/instrumenting/exposition_formats/ */
export function metricsText(body: string): Response {
  const type = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
  return whole(200, body, { "content-type": type });
}

/** @param nonce Allows the page's own style and script. */
export function page(body: string, nonce: string): Response {
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "img-src data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return whole(200, body, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": policy,
  });
}

export function eventStream(body: ReadableStream<Uint8Array>): Response {
  const headers = {
    ...PRIVATE,
    "content-type": "text/event-stream",
    // Otherwise nginx would hold events back.
    "x-accel-buffering": "no",
  };
  return new Response(body, { headers });
}

/** A response to a HEAD request: that to GET, without its body. */
export async function withoutBody(response: Response): Promise<Response> {
  await response.body?.cancel();
  return new Response(null, response);
}

function whole(status: number, body: string, headers: ExtraHeaders): Response {
  const bytes = new TextEncoder().encode(body);
  const length = String(bytes.byteLength);
  return new Response(bytes, {
    status,
    headers: { ...PRIVATE, "content-length": length, ...headers },
  });
}
