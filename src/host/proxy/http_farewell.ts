/**
 * How a connection that HTTP/1 is spoken over is ended without losing a request: the client is told so in an answer, or
 * it is closed between two requests. Whatever does not look like HTTP/1 is left alone.
 *
 * @module
 */

const CLOSE = "Connection: close\r\n";
const END_OF_HEAD = "\r\n\r\n";
/** Longer heads are not looked at: what is unknown is waited for. */
const KEPT_BYTES = 2_048;
/** The last piece of a chunked body without trailers. https://www.rfc-editor.org/rfc/rfc9112#section-7.1 */
const LAST_CHUNK = "0\r\n\r\n";

/**
 * Tells the client that this answer is the last one of its connection.
 *
 * @param chunk the first bytes that a backend sent after the client had spoken.
 * @returns the bytes with `Connection: close`; `undefined` when they are not the head of an answer, or only an interim one.
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-9.6
 */
export function withClose(chunk: Uint8Array): Uint8Array | undefined {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  const start = finalHead(bytes);
  const end = start === undefined ? -1 : bytes.indexOf(END_OF_HEAD, start);
  if (start === undefined || end < 0) return undefined;
  const [status = "", ...fields] = bytes.toString("latin1", start, end).split("\r\n");
  const others = fields.filter((field) => !/^(?:connection|keep-alive) *:/i.test(field));
  const head = `${[status, ...others].join("\r\n")}\r\n${CLOSE}\r\n`;
  const after = bytes.subarray(end + END_OF_HEAD.length);
  return Buffer.concat([bytes.subarray(0, start), Buffer.from(head, "latin1"), after]);
}

/** Where the head of the answer begins, behind interim ones such as 100 Continue; never that of an upgrade. */
function finalHead(bytes: Buffer): number | undefined {
  for (let start = 0; ; ) {
    const status = statusOf(bytes, start);
    if (status === undefined || status === 101) return undefined;
    if (status >= 200) return start;
    const end = bytes.indexOf(END_OF_HEAD, start);
    if (end < 0) return undefined;
    start = end + END_OF_HEAD.length;
  }
}

function statusOf(bytes: Buffer, start: number): number | undefined {
  const found = /^HTTP\/1\.1 (\d{3})[ \r]/.exec(bytes.toString("latin1", start, start + 13));
  return found === null ? undefined : Number(found[1]);
}

/** What is known of the answer that a backend gave last: enough to tell whether all of it has come. */
export class LastAnswer {
  #head: Uint8Array | undefined;
  #bytes = 0;
  #endsLikeChunks = false;
  #isOfHead = false;

  /**
   * The client asks, after the backend has spoken.
   *
   * @param chunk its first bytes.
   */
  asked(chunk: Uint8Array): void {
    this.#head = undefined;
    this.#bytes = 0;
    // "HEAD ": its answer says how long a body would be, and has none.
    this.#isOfHead = chunk[0] === 0x48 && chunk[1] === 0x45 && chunk[2] === 0x41;
  }

  /**
   * The backend answers.
   *
   * @param chunk some of its bytes.
   */
  add(chunk: Uint8Array): void {
    // A copy, so that an idle connection does not hold on to all that came with the head.
    if (this.#bytes === 0) {
      this.#head = chunk.length > KEPT_BYTES ? chunk.slice(0, KEPT_BYTES) : chunk;
    }
    this.#bytes += chunk.length;
    this.#endsLikeChunks = chunk[chunk.length - 5] === 0x30 && chunk[chunk.length - 1] === 0x0a;
  }

  /**
   * Whether the answer is certainly whole: the connection is between two requests.
   *
   * @returns false as well when it cannot be told.
   */
  get isWhole(): boolean {
    const head = this.#head;
    if (head === undefined) return false;
    const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
    const start = finalHead(bytes);
    const end = start === undefined ? -1 : bytes.indexOf(END_OF_HEAD, start);
    if (start === undefined || end < 0) return false;
    const body = this.#bytes - end - END_OF_HEAD.length;
    const status = statusOf(bytes, start);
    if (this.#isOfHead || status === 204 || status === 304) return body === 0;
    const text = bytes.toString("latin1", start, end);
    if (/\r\ntransfer-encoding: *chunked/i.test(text)) {
      return this.#endsLikeChunks && body >= LAST_CHUNK.length;
    }
    return body === Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? Number.NaN);
  }
}
