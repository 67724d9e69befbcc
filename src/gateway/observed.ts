/**
 * Passes bytes on and tells when that is over.
 *
 * @param body the bytes.
 * @param ended told once: how many bytes were passed on, and whether that was all of them.
 * @returns the same bytes, read as they are asked for.
 */
export function observed(
  body: ReadableStream<Uint8Array>,
  ended: (bytes: number, isComplete: boolean) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let bytes = 0;
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            bytes += value.byteLength;
            controller.enqueue(value);
            return;
          }
          ended(bytes, true);
          controller.close();
        } catch (error) {
          ended(bytes, false);
          throw error;
        }
      },
      cancel(reason) {
        ended(bytes, false);
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
