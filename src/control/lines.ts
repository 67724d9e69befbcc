import type { Socket } from "node:net";

/** The longest line that either side accepts. */
const MAX_LINE_BYTES = 1024 * 1024;

/**
 * Calls `onLine` with each complete line of a socket, and `onTooLong` once if a line exceeds the limit. What follows the
 * last newline is dropped.
 */
export function readLines(
  socket: Socket,
  { onLine, onTooLong }: { onLine(line: string): void; onTooLong(): void },
): void {
  const decoder = new TextDecoder();
  let parts: Uint8Array[] = [];
  let size = 0;
  socket.on("data", (chunk: Uint8Array) => {
    let rest = chunk;
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      parts.push(rest.subarray(0, end));
      if (size + end > MAX_LINE_BYTES) return onTooLong();
      const line = decoder.decode(Buffer.concat(parts));
      parts = [];
      size = 0;
      rest = rest.subarray(end + 1);
      onLine(line);
    }
    size += rest.length;
    if (size > MAX_LINE_BYTES) return onTooLong();
    if (rest.length > 0) parts.push(rest);
  });
}

const NEWLINE = 0x0a;
