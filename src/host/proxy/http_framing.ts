/// <reference types="./bare_http_parser.d.ts" />
import HttpParser from "bare-http-parser";

const { REQUEST, RESPONSE, DATA, END } = HttpParser.constants;
const NOTHING = new Uint8Array(0);
/** https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt */
const PROXY = "PROXY ";
const LONGEST_PROXY_LINE = 107;

/** HTTP/1 requests by what became of them. */
export interface ExchangeCounts {
  /** Their whole response was relayed. */
  answered: number;
  /** The connection ended before that, but not because of the client. */
  interrupted: number;
}

/**
 * Follows the HTTP/1 messages of a connection from its first byte. It stops for good at the first
 * doubt: the connection is then neither idle nor over, and its bytes pass unchanged.
 */
export class HttpFraming {
  /** A load balancer's PROXY header, which every backend needs. */
  preface: Uint8Array = NOTHING;
  #requests: HttpParser | undefined;
  #responses: HttpParser | undefined;
  #hasStopped = false;
  /** Requests whose response is not complete, oldest first. */
  readonly #pending: { isHead: boolean }[] = [];
  #isRequestComplete = false;
  #isResponseComplete = true;
  #hasSentClose = false;
  /** Requests that wait for their whole response; kept when it stops following. */
  #unanswered = 0;
  readonly #counts: ExchangeCounts;

  constructor(counts: ExchangeCounts = { answered: 0, interrupted: 0 }) {
    this.#counts = counts;
  }

  /** Whether the connection is certainly between two requests. */
  get isIdle(): boolean {
    return !this.#hasStopped && this.#isRequestComplete && this.#pending.length === 0;
  }

  /** Whether the client has the whole response with `Connection: close`. */
  get isOver(): boolean {
    return this.#hasSentClose && this.isIdle;
  }

  request(chunk: Uint8Array): void {
    if (this.#hasStopped) return;
    const bytes = this.#requests === undefined ? this.#open(chunk) : chunk;
    if (bytes?.length === 0) return;
    if (bytes === undefined || !this.#followRequests(bytes)) this.#stop();
  }

  /** Returns the bytes for the client: https://www.rfc-editor.org/rfc/rfc9112#section-9.6 */
  response(chunk: Uint8Array, close: boolean): Uint8Array {
    if (this.#hasStopped) return chunk;
    const sent = this.#followResponses(chunk, close);
    if (sent === undefined) this.#stop();
    return sent ?? chunk;
  }

  /** The backend has sent everything, which is how a response without a length ends. */
  end(): void {
    if (this.#hasStopped && this.#unanswered > 0) this.#answer();
    this.interrupt();
  }

  /** The connection ends, and not because of the client. */
  interrupt(): void {
    this.#counts.interrupted += this.#unanswered;
    this.#unanswered = 0;
  }

  #answer(): void {
    this.#unanswered -= 1;
    this.#counts.answered += 1;
  }

  /** Returns the bytes after the preface; `undefined` if this is not HTTP. */
  #open(chunk: Uint8Array): Uint8Array | undefined {
    const bytes = this.preface.length === 0 ? chunk : Buffer.concat([this.preface, chunk]);
    const length = prefaceLength(bytes);
    if (length === undefined) return undefined;
    const isComplete = length < bytes.length;
    // A copy, so that an idle connection does not retain the whole chunk.
    this.preface = length === 0 ? NOTHING : new Uint8Array(bytes.subarray(0, length));
    if (isComplete) this.#requests = new HttpParser();
    return bytes.subarray(length);
  }

  /** Returns false if there is nothing more to follow. */
  #followRequests(chunk: Uint8Array): boolean {
    this.#isRequestComplete = false;
    return follow(this.#requests, chunk, false, (event, end) => {
      if (event.type === END) this.#isRequestComplete = end === chunk.length;
      if (event.type !== REQUEST) return true;
      if (event.method === "CONNECT") return false;
      this.#unanswered += 1;
      if (endsByItself(event)) return false;
      const isHead = event.method === "HEAD";
      this.#responses ??= new HttpParser();
      if (isHead && this.#pending.length === 0) this.#responses.skipBody();
      this.#pending.push({ isHead });
      return true;
    });
  }

  /** Returns the bytes for the client; `undefined` if there is nothing more to follow. */
  #followResponses(chunk: Uint8Array, close: boolean): Uint8Array | undefined {
    // A response to no request.
    if (this.#pending.length === 0) return undefined;
    let sent = chunk;
    let isInterim = false;
    let start = this.#isResponseComplete ? 0 : undefined;
    this.#isResponseComplete = false;
    const isFollowed = follow(this.#responses, chunk, close, (event, end) => {
      if (event.type === RESPONSE) {
        isInterim = event.code < 200;
        const isHead = this.#pending[0]?.isHead ?? false;
        if (event.code === 101) this.#answer();
        // After a 101 the parser would only buffer the rest.
        if (event.code === 101 || endsByItself(event) || !hasEnd(event, isHead)) return false;
        const isLast = this.#isRequestComplete && this.#pending.length === 1;
        if (close && isLast && !isInterim && start !== undefined) {
          sent = withClose(chunk, start, end, event.headers.connection) ?? sent;
          this.#hasSentClose ||= sent !== chunk;
        }
      }
      if (event.type !== END) return true;
      if (!isInterim) {
        this.#pending.shift();
        this.#answer();
      }
      isInterim = false;
      if (this.#pending[0]?.isHead) this.#responses?.skipBody();
      start = end;
      this.#isResponseComplete = end === chunk.length;
      return this.#pending.length > 0 || this.#isResponseComplete;
    });
    return isFollowed ? sent : undefined;
  }

  #stop(): void {
    this.#hasStopped = true;
    this.#requests = undefined;
    this.#responses = undefined;
    this.preface = NOTHING;
    this.#pending.length = 0;
  }
}

/**
 * Calls back with the head and the end of each message, and with its end in the chunk. Returns
 * false if the callback did, or the bytes are not HTTP.
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
        // The parser reports no positions: take back what it has not parsed, and parse it next.
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

/** The length so far; 0 without a preface; `undefined` if this is not HTTP. */
function prefaceLength(bytes: Uint8Array): number | undefined {
  const [first = 0] = bytes;
  if (first < 0x41 || first > 0x5a) return undefined;
  const line = latin1(bytes, 0, LONGEST_PROXY_LINE);
  if (!line.startsWith(PROXY.slice(0, line.length))) return 0;
  const end = line.indexOf("\r\n");
  if (end >= 0) return /^PROXY (?:TCP[46]|UNKNOWN)[ \r]/.test(line) ? end + 2 : undefined;
  return line.length === LONGEST_PROXY_LINE ? undefined : bytes.length;
}

/** Whether the connection ends with this exchange anyway. */
function endsByItself({ version, headers }: HttpParser.Head): boolean {
  return version !== "HTTP/1.1" || /(?:^|,)\s*close\s*(?:,|$)/i.test(headers.connection ?? "");
}

/** Whether a response ends before the connection does. */
function hasEnd({ code, headers }: HttpParser.Head & { code: number }, isHead: boolean): boolean {
  const isSized = "content-length" in headers || "transfer-encoding" in headers;
  return isSized || isHead || code < 200 || code === 204 || code === 304;
}

/** Returns `undefined` if the field has another purpose, such as naming other fields. */
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
