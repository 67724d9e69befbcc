import type { Socket } from "node:net";
import { Duplex } from "node:stream";

/** Frames other than responses within a second; servers send a few for each call. */
const MAX_CONTROL_FRAMES = 100;
const FRAME_HEAD_BYTES = 9;
const [DATA, HEADERS] = [0, 1];

/** The native code of Deno 2.9 corrupts its memory in a flood, then crashes or never returns. */
export function withoutFloods(socket: Socket): Duplex {
  const frames = new ControlFrames();
  const duplex = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, _encoding, done) => void socket.write(chunk, done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on("data", (chunk: Buffer) => {
    if (frames.count(chunk) > MAX_CONTROL_FRAMES) socket.destroy(flooded());
    else if (!duplex.push(chunk)) socket.pause();
  });
  socket.on("end", () => duplex.push(null));
  socket.on("error", (error) => duplex.destroy(error));
  socket.on("close", () => duplex.destroy());
  return duplex;
}

/** https://www.rfc-editor.org/rfc/rfc9113#section-4.1 */
class ControlFrames {
  #head: number[] = [];
  #payloadLeft = 0;
  #count = 0;
  #since = 0;

  /** Returns the number of frames within this second that are not part of a response. */
  count(chunk: Buffer): number {
    const now = performance.now();
    if (now - this.#since > 1_000) {
      this.#since = now;
      this.#count = 0;
    }
    let at = 0;
    while (at < chunk.length) {
      const skipped = Math.min(this.#payloadLeft, chunk.length - at);
      this.#payloadLeft -= skipped;
      at += skipped;
      const missing = FRAME_HEAD_BYTES - this.#head.length;
      this.#head.push(...chunk.subarray(at, at + missing));
      at += missing;
      if (this.#head.length < FRAME_HEAD_BYTES) break;
      const [a = 0, b = 0, c = 0, type] = this.#head;
      this.#head = [];
      this.#payloadLeft = a * 65_536 + b * 256 + c;
      if (this.#payloadLeft === 0 || (type !== DATA && type !== HEADERS)) this.#count += 1;
    }
    return this.#count;
  }
}

function flooded(): Error {
  const message = "Flooding was detected in this HTTP/2 session, and it must be closed";
  return Object.assign(new Error(message), { code: "ERR_HTTP2_ERROR" });
}
