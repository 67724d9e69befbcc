import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { withoutFloods } from "../../../src/host/net/grpc_flood.ts";

const [DATA, HEADERS, PING] = [0, 1, 6];

// https://www.rfc-editor.org/rfc/rfc9113#section-4.1
function frames(type: number, payload: string, count: number): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  const frame = Buffer.concat([head, Buffer.from(payload)]);
  return Buffer.concat(Array.from({ length: count }, () => frame));
}

/** Both ends of a connection, the second one guarded. */
async function connection(): Promise<[Socket, ReturnType<typeof withoutFloods>]> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [peer] = (await accepted) as [Socket];
  peer.on("error", () => {});
  onTestFinished(() => {
    client.destroy();
    peer.destroy();
    server.close();
  });
  client.on("error", () => {});
  return [peer, withoutFloods(client)];
}

describe("withoutFloods", () => {
  it.each([
    ["ping frames", frames(PING, "12345678", 101)],
    ["empty data frames", frames(DATA, "", 101)],
  ])("closes a connection on a flood of %s", async (_, bytes) => {
    const [peer, stream] = await connection();
    stream.resume();
    const failed = once(stream, "error");
    // In parts, so that frames are cut anywhere.
    for (let at = 0; at < bytes.length; at += 7) peer.write(bytes.subarray(at, at + 7));
    const [error] = (await failed) as [Error];
    expect(error.message).toContain("Flooding was detected");
  });

  it("relays responses of any number and size, both ways", async () => {
    const [peer, stream] = await connection();
    const bytes = Buffer.concat([
      frames(PING, "12345678", 100),
      frames(HEADERS, "x".repeat(300), 500),
      frames(DATA, "y".repeat(20_000), 50),
    ]);
    stream.write("question");
    const [question] = await once(peer, "data");
    expect(String(question)).toBe("question");
    peer.end(bytes);
    const received = await stream.toArray();
    expect(Buffer.concat(received).equals(bytes)).toBe(true);
  });
});
