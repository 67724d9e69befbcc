import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { Certificate } from "./grpc.ts";

/** Handles a connection; `reset` closes it with a TCP RST. */
export type PeerBehaviour = (socket: Socket, reset: () => void) => void;

/** A server whose behaviour a test can change. */
export interface HostilePeer {
  /** `127.0.0.1:<port>`. */
  target: string;
  /** The number of connections so far. */
  connections(): number;
  /** Changes the behaviour; open connections are closed. */
  become(behaviour: PeerBehaviour): void;
  close(): void;
}

/** A peer with this certificate; `alpn` selects HTTP/2. */
export type PeerTls = Certificate & { alpn: boolean };

// https://www.rfc-editor.org/rfc/rfc9113#section-4.1
function frame(type: number, payload = "", stream = 0, flags = 0): Buffer {
  const body = Buffer.from(payload, "latin1");
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

const [DATA, HEADERS, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY] = [0, 1, 3, 4, 5, 6, 7];
const ACK = 1;
const END_HEADERS = 4;
const NO_ERROR = "\0\0\0\0\0\0\0\0";
const ENHANCE_YOUR_CALM = "\0\0\0\x01\0\0\0\x0b";
const HELLO = [frame(SETTINGS), frame(SETTINGS, "", 0, ACK)];

type Bytes = Buffer | string;

/** Waits for the first bytes, answers, and leaves the connection open or closes it. */
function answer(bytes: readonly Bytes[], then: "stay" | "end" | "reset" = "stay"): PeerBehaviour {
  const all = Buffer.concat(bytes.map((part) => Buffer.from(part as string, "latin1")));
  return (socket, reset) =>
    socket.once("data", () =>
      socket.write(all, () => {
        if (then === "end") socket.end();
        if (then === "reset") reset();
      }),
    );
}

/** Repeats bytes as fast as the client reads them. */
function flood(bytes: Buffer, hello: readonly Buffer[] = HELLO): PeerBehaviour {
  const many = Buffer.concat(Array.from({ length: 1000 }, () => bytes));
  return (socket) => {
    const send = (): void => {
      if (socket.writable) socket.write(many, () => setImmediate(send));
    };
    socket.once("data", () => socket.write(Buffer.concat(hello), send));
  };
}

const http1 = (status: string): string =>
  `HTTP/1.1 ${status}\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\nbad gateway\n`;

/**
 * Peers without HTTP/2, or with broken HTTP/2. A flood of CONTINUATION is missing, because it makes
 * Node 20 and 24 abort in one of ten runs, within native code (`Http2Session::~Http2Session`).
 */
export const hostilePeers: Readonly<Record<string, PeerBehaviour>> = {
  "closes the connection at once": (socket) => void socket.end(),
  "resets the connection at once": (_, reset) => reset(),
  "resets the connection after the first bytes": answer([], "reset"),
  "answers HTTP/1.1 400 and closes": answer([http1("400 Bad Request")], "end"),
  "answers HTTP/1.1 502 and stays": answer([http1("502 Bad Gateway")]),
  "sends an SSH banner": (socket) => void socket.write("SSH-2.0-OpenSSH_9.2\r\n"),
  "sends letters": answer(["A".repeat(64)]),
  "resets the connection after its settings": answer(HELLO, "reset"),
  "sends GOAWAY": answer([...HELLO, frame(GOAWAY, NO_ERROR)]),
  "sends GOAWAY with an error and closes": answer(
    [...HELLO, frame(GOAWAY, ENHANCE_YOUR_CALM)],
    "end",
  ),
  "resets the stream": answer([...HELLO, frame(RST_STREAM, "\0\0\0\x07", 1)]),
  "sends data before headers": answer([...HELLO, frame(DATA, "x", 1)]),
  "sends unreadable headers": answer([...HELLO, frame(HEADERS, "\xff".repeat(5), 1, END_HEADERS)]),
  "resets the connection within headers": answer(
    [...HELLO, frame(HEADERS, `\x88\x40\x01a\x20${"b".repeat(32)}`, 1)],
    "reset",
  ),
  "pushes a stream": answer([...HELLO, frame(PUSH, "\0\0\0\x02\x88", 1, END_HEADERS)]),
  "announces a frame of 16 MB": answer([...HELLO, "\xff\xff\xff\0\0\0\0\0\x01"]),
  "floods GOAWAY": flood(frame(GOAWAY, NO_ERROR)),
  "floods PING": flood(frame(PING, "12345678")),
  "floods SETTINGS": flood(frame(SETTINGS)),
  "floods empty DATA": flood(frame(DATA, "", 1)),
  "floods RST_STREAM": flood(frame(RST_STREAM, "\0\0\0\x08", 1)),
  "floods letters": flood(Buffer.from("A".repeat(64)), []),
};

/**
 * Forwards to a real server at `127.0.0.1:<port>`; `floodAfterMs` adds a flood of PING frames to
 * its answers.
 */
export function relayTo(target: string, floodAfterMs?: number): PeerBehaviour {
  const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame(PING, "12345678")));
  return (socket) => {
    const upstream = connect(Number(target.split(":")[1]), "127.0.0.1");
    upstream.on("error", () => {});
    socket.pipe(upstream).pipe(socket);
    socket.on("close", () => upstream.destroy());
    if (floodAfterMs === undefined) return;
    const send = (): void => {
      if (socket.writable) socket.write(pings, () => setImmediate(send));
    };
    setTimeout(send, floodAfterMs);
  };
}

/** Starts a peer on loopback, with TLS if it has a certificate. */
export async function serveHostilePeer(
  behaviour: PeerBehaviour,
  tls?: PeerTls,
): Promise<HostilePeer> {
  const context = tls === undefined ? undefined : createSecureContext(tls);
  const sockets = new Set<Socket>();
  let connections = 0;
  let act = behaviour;
  const server = createServer((tcp) => {
    connections += 1;
    sockets.add(tcp);
    tcp.on("error", () => {});
    tcp.on("close", () => sockets.delete(tcp));
    const reset = (): void => void (tcp.destroyed || tcp.resetAndDestroy());
    if (context === undefined) return act(tcp, reset);
    const secure = new TLSSocket(tcp, {
      isServer: true,
      secureContext: context,
      ...(tls?.alpn === true ? { ALPNProtocols: ["h2"] } : {}),
    });
    secure.on("error", () => {});
    secure.once("secure", () => act(secure, reset));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    target: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    become(next) {
      act = next;
      cut();
    },
    close() {
      server.close();
      cut();
    },
  };
}
