/// <reference types="./bare_http_parser.d.ts" />
import HttpParser from "bare-http-parser";

const { REQUEST, RESPONSE, DATA, END } = HttpParser.constants;
const NOTHING = new Uint8Array(0);
/** https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt */
const PROXY = "PROXY ";
const LONGEST_PROXY_LINE = 107;

/**
 * Follows the HTTP/1 messages of a connection from its first byte. At the first doubt, and where there is nothing to
 * follow, it gives up for good: the connection is then neither idle nor over, and none of its bytes is changed.
 */
export class HttpFraming {
  /** What came before the first request: a load balancer's word on who the client is, which every backend needs. */
  preface: Uint8Array = NOTHING;
  #requests: HttpParser | undefined;
  #responses: HttpParser | undefined;
  #hasGivenUp = false;
  /** Requests whose response is not complete, oldest first. */
  readonly #pending: { isHead: boolean }[] = [];
  #isRequestComplete = false;
  #isResponseComplete = true;
  #hasSaidClose = false;

  /** Whether the connection is certainly between two requests. */
  get isIdle(): boolean {
    return !this.#hasGivenUp && this.#isRequestComplete && this.#pending.length === 0;
  }

  /** Whether the client has the whole response that told it to close the connection. */
  get isOver(): boolean {
    return this.#hasSaidClose && this.isIdle;
  }

  /** Call with the bytes that the client sends. */
  request(chunk: Uint8Array): void {
    if (this.#hasGivenUp) return;
    const bytes = this.#requests === undefined ? this.#open(chunk) : chunk;
    if (bytes?.length === 0) return;
    if (bytes === undefined || !this.#followRequests(bytes)) this.#giveUp();
  }

  /**
   * Call with the bytes that the backend sends.
   *
   * @param saysClose whether the client should close the connection after this response.
   * @returns the bytes for the client: the same, or with `Connection: close` in the head of a final response.
   * @see https://www.rfc-editor.org/rfc/rfc9112#section-9.6
   */
  response(chunk: Uint8Array, saysClose: boolean): Uint8Array {
    if (this.#hasGivenUp) return chunk;
    const sent = this.#followResponses(chunk, saysClose);
    if (sent === undefined) this.#giveUp();
    return sent ?? chunk;
  }

  /** @returns the bytes behind the preface, none as long as that is not complete; `undefined` where it is not HTTP. */
  #open(chunk: Uint8Array): Uint8Array | undefined {
    const bytes = this.preface.length === 0 ? chunk : Buffer.concat([this.preface, chunk]);
    const length = prefaceLength(bytes);
    if (length === undefined) return undefined;
    const isComplete = length < bytes.length;
    // A copy, so that an idle connection does not hold on to all that came with it.
    this.preface = length === 0 ? NOTHING : new Uint8Array(bytes.subarray(0, length));
    if (isComplete) this.#requests = new HttpParser();
    return bytes.subarray(length);
  }

  /** @returns false when there is nothing more to follow. */
  #followRequests(chunk: Uint8Array): boolean {
    this.#isRequestComplete = false;
    return follow(this.#requests, chunk, false, (event, end) => {
      if (event.type === END) this.#isRequestComplete = end === chunk.length;
      if (event.type !== REQUEST) return true;
      if (event.method === "CONNECT" || endsByItself(event)) return false;
      const isHead = event.method === "HEAD";
      this.#responses ??= new HttpParser();
      if (isHead && this.#pending.length === 0) this.#responses.skipBody();
      this.#pending.push({ isHead });
      return true;
    });
  }

  /** @returns what the client gets; `undefined` when there is nothing more to follow. */
  #followResponses(chunk: Uint8Array, saysClose: boolean): Uint8Array | undefined {
    // A response to no request.
    if (this.#pending.length === 0) return undefined;
    let sent = chunk;
    let isInterim = false;
    let start = this.#isResponseComplete ? 0 : undefined;
    this.#isResponseComplete = false;
    const isFollowed = follow(this.#responses, chunk, saysClose, (event, end) => {
      if (event.type === RESPONSE) {
        isInterim = event.code < 200;
        const isHead = this.#pending[0]?.isHead ?? false;
        // After a 101 the parser would only collect what follows.
        if (event.code === 101 || endsByItself(event) || !hasEnd(event, isHead)) return false;
        const isLast = this.#isRequestComplete && this.#pending.length === 1;
        if (saysClose && isLast && !isInterim && start !== undefined) {
          sent = withClose(chunk, start, end, event.headers.connection) ?? sent;
          this.#hasSaidClose ||= sent !== chunk;
        }
      }
      if (event.type !== END) return true;
      if (!isInterim) this.#pending.shift();
      isInterim = false;
      if (this.#pending[0]?.isHead) this.#responses?.skipBody();
      start = end;
      this.#isResponseComplete = end === chunk.length;
      return this.#pending.length > 0 || this.#isResponseComplete;
    });
    return isFollowed ? sent : undefined;
  }

  #giveUp(): void {
    this.#hasGivenUp = true;
    this.#requests = undefined;
    this.#responses = undefined;
    this.preface = NOTHING;
    this.#pending.length = 0;
  }
}

/**
 * Calls back with the head and the end of each message.
 *
 * @param needsHeads whether the position of a head's end is needed; that of a message's end always is.
 * @param onEvent takes an event and where in the chunk it ended; returns false to stop.
 * @returns false when it was stopped, or the bytes are not HTTP.
 */
function follow(
  parser: HttpParser | undefined,
  chunk: Uint8Array,
  needsHeads: boolean,
  onEvent: (event: HttpParser.Event, end: number) => boolean,
): boolean {
  if (parser === undefined) return false;
  try {
    for (let end = 0; end < chunk.length; ) {
      let left = 0;
      for (const event of parser.push(end === 0 ? chunk : chunk.subarray(end))) {
        if (event.type === DATA) continue;
        // The parser does not report positions: what it has not parsed is taken back, and parsed next.
        if (needsHeads || event.type === END) left = Math.max(left, parser.drain().length);
        if (!onEvent(event, chunk.length - left)) return false;
      }
      end = chunk.length - left;
    }
    return true;
  } catch {
    return false;
  }
}

/** @returns all of it while it is not complete; 0 where there is none; `undefined` where it is not HTTP. */
function prefaceLength(bytes: Uint8Array): number | undefined {
  const [first = 0] = bytes;
  if (first < 0x41 || first > 0x5a) return undefined;
  const line = latin1(bytes, 0, LONGEST_PROXY_LINE);
  if (!line.startsWith(PROXY.slice(0, line.length))) return 0;
  const end = line.indexOf("\r\n");
  if (end >= 0) return /^PROXY (?:TCP[46]|UNKNOWN)[ \r]/.test(line) ? end + 2 : undefined;
  return line.length === LONGEST_PROXY_LINE ? undefined : bytes.length;
}

/** Whether the connection ends with this exchange, without anybody's doing. */
function endsByItself({ version, headers }: HttpParser.Head): boolean {
  return version !== "HTTP/1.1" || /(?:^|,)\s*close\s*(?:,|$)/i.test(headers.connection ?? "");
}

/** Whether a response ends before the connection does. */
function hasEnd({ code, headers }: HttpParser.Head & { code: number }, isHead: boolean): boolean {
  const isSized = "content-length" in headers || "transfer-encoding" in headers;
  return isSized || isHead || code < 200 || code === 204 || code === 304;
}

/** @returns `undefined` where the field is used for something else, such as naming other fields. */
function withClose(
  chunk: Uint8Array,
  start: number,
  end: number,
  connection: string | undefined,
): Uint8Array | undefined {
  if (connection !== undefined && !/^keep-alive$/i.test(connection)) return undefined;
  const fields = latin1(chunk, start, end - 2).replace(/\r\nconnection:[^\r]*/i, "");
  const head = Buffer.from(`${fields}Connection: close\r\n\r\n`, "latin1");
  return Buffer.concat([chunk.subarray(0, start), head, chunk.subarray(end)]);
}

function latin1(
  { buffer, byteOffset, byteLength }: Uint8Array,
  start: number,
  end: number,
): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("latin1", start, end);
}
