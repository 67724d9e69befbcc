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
  #parsers: { requests: HttpParser; responses: HttpParser } | undefined;
  #hasGivenUp = false;
  /** Requests whose response is not complete, oldest first. */
  readonly #pending: { isHead: boolean }[] = [];
  #isRequestComplete = false;
  #isResponseComplete = true;
  #hasSaidClose = false;

  /** Whether the connection is certainly between two requests. */
  get isIdle(): boolean {
    return this.#parsers !== undefined && this.#isRequestComplete && this.#pending.length === 0;
  }

  /** Whether the client has the whole response that told it to close the connection. */
  get isOver(): boolean {
    return this.#hasSaidClose && this.isIdle;
  }

  /** Call with the bytes that the client sends. */
  request(chunk: Uint8Array): void {
    if (this.#hasGivenUp) return;
    try {
      const bytes = this.#parsers === undefined ? this.#open(chunk) : chunk;
      if (bytes.length > 0) this.#followRequests(bytes);
    } catch {
      this.#giveUp();
    }
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
    try {
      return this.#followResponses(chunk, saysClose);
    } catch {
      this.#giveUp();
      return chunk;
    }
  }

  /** @returns the bytes behind the preface; none as long as that is not complete. */
  #open(chunk: Uint8Array): Uint8Array {
    const bytes = this.preface.length === 0 ? chunk : Buffer.concat([this.preface, chunk]);
    const start = prefaceLength(bytes);
    // A copy, so that an idle connection does not hold on to all that came with it.
    this.preface = start === 0 ? NOTHING : new Uint8Array(bytes.subarray(0, start));
    if (start === undefined) return NOTHING;
    this.#parsers = { requests: new HttpParser(), responses: new HttpParser() };
    return bytes.subarray(start);
  }

  #followRequests(chunk: Uint8Array): void {
    const { requests, responses } = this.#followed();
    this.#isRequestComplete = false;
    follow(requests, chunk, (event, end) => {
      if (event.type === END) this.#isRequestComplete = end === chunk.length;
      if (event.type !== REQUEST) return;
      if (event.method === "CONNECT" || endsByItself(event)) throw new Error("nothing to follow");
      const isHead = event.method === "HEAD";
      if (isHead && this.#pending.length === 0) responses.skipBody();
      this.#pending.push({ isHead });
    });
  }

  #followResponses(chunk: Uint8Array, saysClose: boolean): Uint8Array {
    const { responses } = this.#followed();
    let sent = chunk;
    let isInterim = false;
    let start = this.#isResponseComplete ? 0 : undefined;
    this.#isResponseComplete = false;
    if (this.#pending.length === 0) throw new Error("a response to no request");
    follow(responses, chunk, (event, end) => {
      if (event.type === RESPONSE) {
        isInterim = event.code < 200;
        const isEndless = !this.#pending[0]?.isHead && !hasEnd(event);
        if (isEndless || endsByItself(event)) throw new Error("nothing to follow");
        const isLast = saysClose && this.#isRequestComplete && this.#pending.length === 1;
        if (isLast && !isInterim && start !== undefined) {
          sent = withClose(chunk, start, end, event.headers.connection) ?? sent;
          this.#hasSaidClose ||= sent !== chunk;
        }
      }
      if (event.type !== END) return;
      if (!isInterim) this.#pending.shift();
      isInterim = false;
      if (this.#pending[0]?.isHead) responses.skipBody();
      start = end;
      this.#isResponseComplete = end === chunk.length;
      if (this.#pending.length === 0 && !this.#isResponseComplete) throw new Error("too much");
    });
    return sent;
  }

  #followed(): { requests: HttpParser; responses: HttpParser } {
    if (this.#parsers === undefined) throw new Error("the backend speaks first");
    return this.#parsers;
  }

  #giveUp(): void {
    this.#hasGivenUp = true;
    this.#parsers = undefined;
    this.preface = NOTHING;
    this.#pending.length = 0;
  }
}

/** Calls back with the start and the end of each message, and with where in the chunk it was. */
function follow(
  parser: HttpParser,
  chunk: Uint8Array,
  onEvent: (event: HttpParser.Event, end: number) => void,
): void {
  for (let end = 0; end < chunk.length; ) {
    let left = 0;
    for (const event of parser.push(chunk.subarray(end))) {
      if (event.type === DATA) continue;
      // The parser does not report positions: what it has not parsed is taken back, and parsed next.
      left = Math.max(left, parser.drain().length);
      onEvent(event, chunk.length - left);
    }
    end = chunk.length - left;
  }
}

/** @returns `undefined` while it is not complete; 0 where there is none. */
function prefaceLength(bytes: Uint8Array): number | undefined {
  const line = latin1(bytes, 0, LONGEST_PROXY_LINE);
  if (!line.startsWith(PROXY.slice(0, line.length))) return 0;
  const end = line.indexOf("\r\n");
  if (end >= 0 && /^PROXY (?:TCP[46]|UNKNOWN)[ \r]/.test(line)) return end + 2;
  if (end >= 0 || line.length === LONGEST_PROXY_LINE) throw new Error("not the PROXY protocol");
  return undefined;
}

/** Whether the connection ends with this exchange, without anybody's doing. */
function endsByItself({ version, headers }: HttpParser.Head): boolean {
  return version !== "HTTP/1.1" || /(?:^|,)\s*close\s*(?:,|$)/i.test(headers.connection ?? "");
}

/** Whether a response ends before the connection does, and what comes then is HTTP. */
function hasEnd({ code, headers }: HttpParser.Head & { code: number }): boolean {
  if (code === 101) return false;
  const isSized = "content-length" in headers || "transfer-encoding" in headers;
  return isSized || code < 200 || code === 204 || code === 304;
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
