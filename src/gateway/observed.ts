/**
 * Passes bytes on and reports when that is over.
 *
 * @param body the bytes.
 * @param length how many there should be; `undefined` where that is not known.
 * @param ended called once: how many bytes were passed on, and whether that was all of them.
 * @returns the same bytes, read as they are asked for.
 */
export function observed(
  body: ReadableStream<Uint8Array>,
  length: number | undefined,
  ended: (bytes: number, isComplete: boolean) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let bytes = 0;
  let isOver = false;
  const end = (isComplete: boolean): void => {
    if (isOver) return;
    isOver = true;
    ended(bytes, isComplete);
  };
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
          end(true);
          controller.close();
        } catch (error) {
          end(false);
          throw error;
        }
      },
      cancel(reason) {
        // A client that has everything may close before the end is read.
        end(bytes === length);
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
