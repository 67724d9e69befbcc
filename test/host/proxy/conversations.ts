import fc from "fast-check";

/** Something that one side sends. Bytes are written as a string, one character each. */
export interface Step {
  from: "client" | "backend";
  bytes: string;
}

/** A part of what the client or the backend sends, by positions among all of its bytes. */
export interface Span {
  start: number;
  end: number;
}

/** An exchange of HTTP/1 that keeps its connection open. */
export interface Exchange {
  request: Span;
  /** The head of the final response. */
  head: Span;
  response: Span;
}

/** What two sides say to each other, and what a proxy may conclude. */
export interface Conversation {
  steps: readonly Step[];
  /** The exchanges that a proxy may rely on, in order; those behind them belong to another protocol. */
  exchanges: readonly Exchange[];
}

/** Bodies, and what other protocols say: much of it looks like HTTP. */
const words = fc.constantFrom(
  "",
  "a",
  "0\r\n\r\n",
  "\r\n",
  "\r\n\r\n",
  "5\r\nhello\r\n",
  "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
  "HTTP/1.1 101 Switching Protocols\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
  "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n",
  "\u00ff\u0000\u0016\u0003\u0001",
  "x".repeat(300),
);
const text = fc.array(words, { maxLength: 4 }).map((parts) => parts.join(""));

interface Message {
  fields: readonly string[];
  /** The body in pieces, as it is sent. */
  body: readonly string[];
}

const ext = fc.constantFrom("", ";a=b", ';q="x y"');
const trailers = fc.constantFrom("", "X-Sum: 1\r\n", "X-Sum: 1\r\nX-More: a, b\r\n");
const none: fc.Arbitrary<Message> = fc.constant({ fields: [], body: [] });
const sized: fc.Arbitrary<Message> = fc.array(text, { maxLength: 3 }).map((body) => ({
  fields: [`Content-Length: ${body.join("").length}`],
  body,
}));
const chunked: fc.Arbitrary<Message> = fc
  .tuple(fc.array(fc.tuple(text, ext), { maxLength: 3 }), ext, trailers)
  .map(([chunks, last, end]) => ({
    fields: ["Transfer-Encoding: chunked"],
    body: [
      ...chunks
        .filter(([chunk]) => chunk !== "")
        .map(([chunk, extension]) => `${chunk.length.toString(16)}${extension}\r\n${chunk}\r\n`),
      `0${last}\r\n${end}\r\n`,
    ],
  }));

const someFields = fc.array(
  fc.constantFrom("X: y", "Set-Cookie: a=b", "Set-Cookie: c=d", "Empty:", "X-Bytes: \u00e9\u00ff"),
  { maxLength: 3 },
);
const persistent = fc.constantFrom(
  [],
  ["Connection: keep-alive"],
  ["connection: Keep-Alive", "Keep-Alive: timeout=5"],
  ["Connection: keep-alive, X"],
  ["Connection: X-Hop"],
);
const interim = fc.array(
  fc.constantFrom(
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\n",
  ),
  { maxLength: 2 },
);

interface Planned {
  /** Its head, then its body in pieces. */
  request: readonly string[];
  interim: readonly string[];
  head: string;
  body: readonly string[];
  /** Whether the response begins before all of the request has come. */
  isDuplex: boolean;
}

const planned: fc.Arbitrary<Planned> = fc
  .record({
    method: fc.constantFrom("GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE"),
    asked: fc.oneof(none, sized, chunked),
    status: fc.constantFrom(200, 201, 204, 304, 404, 413, 503),
    answered: fc.oneof(sized, chunked),
    askedFields: fc.tuple(someFields, persistent).map((all) => all.flat()),
    answeredFields: fc.tuple(someFields, persistent, someFields).map((all) => all.flat()),
    interim,
    isDuplex: fc.boolean(),
  })
  .map(({ method, asked, status, answered, askedFields, answeredFields, ...rest }) => {
    const hasNoBody = method === "HEAD" || status === 204 || status === 304;
    return {
      ...rest,
      request: [
        head(`${method} /p HTTP/1.1`, ["Host: a", ...askedFields, ...asked.fields]),
        ...asked.body,
      ],
      head: head(`HTTP/1.1 ${status} Fine`, [...answeredFields, ...answered.fields]),
      body: hasNoBody ? [] : answered.body,
    };
  });

function head(line: string, fields: readonly string[]): string {
  return `${[line, ...fields].join("\r\n")}\r\n\r\n`;
}

/** How a conversation continues after its exchanges, in a way that allows no conclusion. */
const tunnel = fc.array(
  fc.record({ from: fc.constantFrom<Step["from"]>("client", "backend"), bytes: text }),
  { maxLength: 6 },
);
const client = (bytes: string): Step => ({ from: "client", bytes });
const backend = (bytes: string): Step => ({ from: "backend", bytes });
const upgrade = fc
  .tuple(interim, tunnel)
  .map(([before, after]) => [
    client("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
    backend(before.join("")),
    backend("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
    ...after,
  ]);
const connect = tunnel.map((after) => [
  client("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n"),
  backend("HTTP/1.1 200 Connected\r\n\r\n"),
  ...after,
]);
/** Requests and responses that leave in doubt where they end, or that end their connection. */
const doubtful = fc
  .tuple(
    fc.constantFrom(
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      "GET / HTTP/1.1\nHost: a\n\n",
      "GET page:1\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 30\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
    ),
    tunnel,
  )
  .map(([first, after]) => [client(first), ...after]);
const ended = fc
  .tuple(
    fc.constantFrom(
      "HTTP/1.1 200 OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nconnection: x, Close\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n",
      "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n folded\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    ),
    tunnel,
  )
  .map(([first, after]) => [client("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), backend(first), ...after]);
/** A response to no request. */
const unasked = fc
  .tuple(fc.constantFrom("HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 4"), tunnel)
  .map(([first, after]) => [backend(first), ...after]);
const other = fc.tuple(fc.boolean(), words, tunnel).map(([isClientFirst, greeting, after]) => {
  const first = isClientFirst ? client(`\u0016${greeting}`) : backend(`+OK ${greeting}`);
  return [first, ...after];
});

const preface = fc.constantFrom(
  "",
  "",
  "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
  "PROXY UNKNOWN\r\n",
);

/** Whole exchanges one after the other, or pipelined, and then something else. */
const http = (rest: fc.Arbitrary<readonly Step[]>): fc.Arbitrary<Conversation> =>
  fc
    .record({
      preface,
      plans: fc.array(planned, { minLength: 1, maxLength: 4 }),
      isPipelined: fc.boolean(),
      rest,
    })
    .map(({ preface: first, plans, isPipelined, rest: after }) => {
      const conversation = new Recording();
      conversation.say(client(first));
      const asked: Span[] = [];
      if (isPipelined) for (const plan of plans) asked.push(conversation.ask(plan.request));
      const exchanges = plans.map((plan, index) => {
        const known = asked[index];
        return known === undefined ? conversation.exchange(plan) : conversation.answer(plan, known);
      });
      for (const step of after) conversation.say(step);
      return { steps: conversation.steps, exchanges };
    });

class Recording {
  readonly steps: Step[] = [];
  readonly #sent = { client: 0, backend: 0 };

  say(step: Step): void {
    if (step.bytes === "") return;
    this.steps.push(step);
    this.#sent[step.from] += step.bytes.length;
  }

  ask(pieces: readonly string[]): Span {
    const start = this.#sent.client;
    for (const bytes of pieces) this.say(client(bytes));
    return { start, end: this.#sent.client };
  }

  /** A request, and the response behind it, or, where that is duplex, while it is still being sent. */
  exchange(plan: Planned): Exchange {
    const whole = plan.request.length;
    const before = plan.isDuplex ? 1 : whole;
    const { start } = this.ask(plan.request.slice(0, before));
    const { head, response } = this.answer(plan, { start, end: start }, plan.request.slice(before));
    return { request: { start, end: this.#sent.client }, head, response };
  }

  answer(plan: Planned, request: Span, stillAsked: readonly string[] = []): Exchange {
    const start = this.#sent.backend;
    for (const bytes of plan.interim) this.say(backend(bytes));
    const headStart = this.#sent.backend;
    this.say(backend(plan.head));
    const head = { start: headStart, end: this.#sent.backend };
    for (let at = 0; at < Math.max(stillAsked.length, plan.body.length); at += 1) {
      this.say(client(stillAsked[at] ?? ""));
      this.say(backend(plan.body[at] ?? ""));
    }
    return { request, head, response: { start, end: this.#sent.backend } };
  }
}

const withoutExchange = fc
  .oneof(other, connect, doubtful, upgrade, unasked)
  .map(
    (steps): Conversation => ({ steps: steps.filter(({ bytes }) => bytes !== ""), exchanges: [] }),
  );

/** Conversations of HTTP/1, which may become something else, and of other protocols. */
export const conversations: fc.Arbitrary<Conversation> = fc.oneof(
  { weight: 4, arbitrary: http(fc.oneof(upgrade, connect, doubtful, ended, unasked)) },
  { weight: 2, arbitrary: http(fc.constant([])) },
  { weight: 1, arbitrary: withoutExchange },
);

/** Conversations of which nothing is doubtful, from the first byte to the last. */
export const plainConversations: fc.Arbitrary<Conversation> = http(fc.constant([]));

/** How a network cuts a conversation into chunks. */
export interface Cuts {
  /** Lengths of chunks, in turn; 0 is everything there is. */
  lengths: readonly number[];
  /** Whether what one side sends next comes together with what it sent before, in turn. */
  joins: readonly boolean[];
}

export const cuts: fc.Arbitrary<Cuts> = fc.record({
  lengths: fc.oneof(
    fc.constant([0]),
    fc.constant([1]),
    fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 5 }),
  ),
  joins: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
});

/** Cuts a conversation. */
export function chunksOf({ steps }: Conversation, { lengths, joins }: Cuts): Step[] {
  const joined: Step[] = [];
  for (const [index, step] of steps.entries()) {
    const last = joined.at(-1);
    if (last?.from === step.from && joins[index % joins.length]) last.bytes += step.bytes;
    else joined.push({ ...step });
  }
  let turn = 0;
  return joined.flatMap(({ from, bytes }) => {
    const chunks: Step[] = [];
    for (let left = bytes; left !== ""; turn += 1) {
      const length = lengths[turn % lengths.length] || left.length;
      chunks.push({ from, bytes: left.slice(0, length) });
      left = left.slice(length);
    }
    return chunks;
  });
}
