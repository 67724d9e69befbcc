import { IntegrityError } from "../core/error.ts";

/**
 * Passes on exactly so many bytes, as they are asked for.
 *
 * @param body the bytes.
 * @param length how many there should be.
 * @param isWhole whether more are an error; otherwise the rest is let go.
 * @returns the same bytes; the stream fails with an IntegrityError when they are too few or too many.
 */
export function exactly(
  body: ReadableStream<Uint8Array>,
  length: number,
  isWhole: boolean,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = length;
  const wrong = (what: string): IntegrityError =>
    new IntegrityError(`Cannot send the artifact: its bytes are ${what} than the ${length} listed`);
  return new ReadableStream(
    {
      async pull(controller) {
        if (left === 0 && !isWhole) {
          controller.close();
          await reader.cancel();
          return;
        }
        const { done, value } = await reader.read();
        if (done) {
          if (left > 0) throw wrong("fewer");
          controller.close();
          return;
        }
        if (value.byteLength > left && isWhole) {
          reader.cancel().catch(() => {});
          throw wrong("more");
        }
        const chunk = value.subarray(0, left);
        left -= chunk.byteLength;
        controller.enqueue(chunk);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
