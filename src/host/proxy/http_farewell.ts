/**
 * How a connection that HTTP/1 is spoken over is ended without losing a request: the client is told so in an answer, or
 * it is closed between two requests. Whatever does not look like HTTP/1 is left alone.
 *
 * @module
 */

const CLOSE = "Connection: close\r\n";
const END_OF_HEAD = "\r\n\r\n";
const END_OF_LINE = "\r\n";
/** Longer heads are not looked at: what is unknown is waited for. */
const KEPT_BYTES = 2_048;
/** Longer request lines are not looked at. */
const LONGEST_LINE = 8_192;

/**
 * Tells the client that this answer is the last one of its connection.
 *
 * @param chunk the first bytes that a backend sent after the client had spoken.
 * @returns the bytes with `Connection: close`; `undefined` when they are not the head of an answer, or only an interim one.
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-9.6
 */
export function withClose(chunk: Uint8Array): Uint8Array | undefined {
  const bytes = bufferOf(chunk);
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

/** What is known of the request that a client sent last, and of its answer: enough to tell whether all has come. */
export class HttpExchange {
  readonly #request = new Message(() => 0);
  readonly #answer = new Message(finalHead);
  /** Whether the client speaks HTTP/1; after an upgrade, nobody does. */
  #isHttp = false;
  #isOther = false;

  /**
   * The client speaks.
   *
   * @param chunk some of its bytes.
   * @param isNext whether the backend spoke before.
   */
  asked(chunk: Uint8Array, isNext: boolean): void {
    if (isNext) {
      this.#request.clear();
      this.#answer.clear();
      this.#isHttp ||= isRequest(chunk);
      this.#isOther ||= isConnect(chunk);
    }
    this.#request.add(chunk);
  }

  /**
   * The backend answers.
   *
   * @param chunk some of its bytes.
   */
  answered(chunk: Uint8Array): void {
    if (this.#isHttp && statusOf(bufferOf(chunk), 0) === 101) this.#isOther = true;
    this.#answer.add(chunk);
  }

  /**
   * Tells the client that this answer is the last one of its connection.
   *
   * @param chunk the first bytes that a backend sent after the client had spoken.
   * @returns see {@link withClose}; `undefined` as well where the client does not speak HTTP/1.
   */
  withClose(chunk: Uint8Array): Uint8Array | undefined {
    return this.#isHttp && !this.#isOther ? withClose(chunk) : undefined;
  }

  /**
   * Whether the answer is certainly whole, and nothing has been asked behind it: the connection is between two requests.
   *
   * @returns false as well when it cannot be told.
   */
  get isOver(): boolean {
    if (!this.#isHttp || this.#isOther) return false;
    const request = this.#request.look();
    const answer = this.#answer.look();
    if (request === undefined || answer === undefined || !isWhole(request, 0)) return false;
    // The answer to HEAD says how long a body would be, and has none.
    const hasNoBody =
      request.head.startsWith("HEAD ") || /^HTTP\/1\.1 (?:204|304)/.test(answer.head);
    return hasNoBody ? answer.bodyBytes === 0 : isWhole(answer, Number.NaN);
  }
}

/** A message of HTTP/1, as far as it has come. */
interface SeenMessage {
  head: string;
  bodyBytes: number;
  /** Whether the last bytes were whole chunks, the last chunk of a body at their end. */
  endsInLastChunk: boolean;
}

class Message {
  readonly #headIn: (bytes: Buffer) => number | undefined;
  #first: Uint8Array | undefined;
  #bytes = 0;
  #endsInLastChunk = false;

  /** @param headIn where the head begins in the first bytes. */
  constructor(headIn: (bytes: Buffer) => number | undefined) {
    this.#headIn = headIn;
  }

  clear(): void {
    this.#first = undefined;
    this.#bytes = 0;
  }

  add(chunk: Uint8Array): void {
    const isFirst = this.#bytes === 0;
    // A copy (that of a Buffer's slice is none), so that an idle connection does not hold on to all that came with the head.
    if (isFirst) {
      this.#first =
        chunk.length > KEPT_BYTES ? Uint8Array.prototype.slice.call(chunk, 0, KEPT_BYTES) : chunk;
    }
    this.#bytes += chunk.length;
    this.#endsInLastChunk = endsLikeLastChunk(chunk) && this.#endsInChunks(chunk, isFirst);
  }

  look(): SeenMessage | undefined {
    if (this.#first === undefined) return undefined;
    const bytes = bufferOf(this.#first);
    const { start, end } = this.#head(bytes);
    if (end < 0) return undefined;
    const bodyBytes = this.#bytes - end - END_OF_HEAD.length;
    const head = bytes.toString("latin1", start, end);
    return { head, bodyBytes, endsInLastChunk: this.#endsInLastChunk };
  }

  #head(bytes: Buffer): { start: number; end: number } {
    const start = this.#headIn(bytes);
    return start === undefined
      ? { start: -1, end: -1 }
      : { start, end: bytes.indexOf(END_OF_HEAD, start) };
  }

  #endsInChunks(chunk: Uint8Array, isFirst: boolean): boolean {
    const bytes = bufferOf(chunk);
    if (!isFirst) return endsInChunks(bytes, 0);
    const { end } = this.#head(bytes);
    return end >= 0 && endsInChunks(bytes, end + END_OF_HEAD.length);
  }
}

/** @param withoutLength how long the body is where the head does not say so. */
function isWhole(
  { head, bodyBytes, endsInLastChunk }: SeenMessage,
  withoutLength: number,
): boolean {
  if (/\r\ntransfer-encoding:/i.test(head)) {
    return (
      /\r\ntransfer-encoding: *chunked *(?:\r|$)/i.test(head) && endsInLastChunk && bodyBytes > 0
    );
  }
  return bodyBytes === Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? withoutLength);
}

/** Quick: most bytes do not. */
function endsLikeLastChunk(chunk: Uint8Array): boolean {
  return chunk[chunk.length - 5] === 0x30 && chunk[chunk.length - 1] === 0x0a;
}

/**
 * Whether bytes are whole chunks with the last one at their end, without trailers. What only looks like it, such as an
 * event that ends with a 0, is none; chunks of which the beginning came before are not recognised.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-7.1
 */
function endsInChunks(bytes: Buffer, start: number): boolean {
  for (let at = start; at < bytes.length; ) {
    const end = bytes.indexOf(END_OF_LINE, at);
    const [, size] = /^([0-9a-f]{1,8})(?:;.*)?$/i.exec(bytes.toString("latin1", at, end)) ?? [];
    if (end < 0 || size === undefined) return false;
    const length = Number.parseInt(size, 16);
    if (length === 0) return bytes.toString("latin1", end) === END_OF_HEAD;
    at = end + END_OF_LINE.length + length + END_OF_LINE.length;
  }
  return false;
}

function isRequest(chunk: Uint8Array): boolean {
  const [first = 0] = chunk;
  if (first < 0x41 || first > 0x5a) return false;
  const text = bufferOf(chunk).toString("latin1", 0, LONGEST_LINE);
  // A load balancer may say first who the client is.
  return /^(?:PROXY [^\r\n]*\r\n)?[A-Z]+ [^\r\n ]+ HTTP\/1\.[01]\r\n/.test(text);
}

/** What goes through a tunnel is nobody's business. */
function isConnect(chunk: Uint8Array): boolean {
  return chunk[0] === 0x43 && bufferOf(chunk).toString("latin1", 0, 8) === "CONNECT ";
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
