/** The longest answer that is read, in bytes; a real one has a few hundred. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** Redirects are not followed, and an answer without end is not read to it. */
export function waryFetch(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return async (input, init) => {
    // workerd does not support redirect: "error". A redirect is then refused as a malformed response.
    const response = await fetch(input, { ...init, redirect: "manual" });
    if (response.body === null) return response;
    const { status, statusText, headers } = response;
    const body = response.body.pipeThrough(atMost(MAX_ANSWER_BYTES));
    return new Response(body, { status, statusText, headers });
  };
}

function atMost(limit: number): TransformStream<Uint8Array, Uint8Array> {
  let received = 0;
  return new TransformStream({
    transform(chunk, controller) {
      received += chunk.byteLength;
      if (received > limit) throw new RangeError(`the answer has more than ${limit} bytes`);
      controller.enqueue(chunk);
    },
  });
}
