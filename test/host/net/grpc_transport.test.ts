import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import { RegistryService } from "../../../src/gen/dewy_pb.ts";
import { GrpcConnection } from "../../../src/host/net/grpc_connection.ts";
import { openHttp2Channel } from "../../../src/host/net/grpc_transport.ts";
import { eventsOf } from "../../deploy/world.ts";

async function warningsOf(baseUrl: string, env: Record<string, string>): Promise<DewyEvent[]> {
  const events: DewyEvent[] = [];
  const emit = (event: DewyEvent): void => void events.push(event);
  const channel = await openHttp2Channel({ baseUrl, caFile: "" }, { env, emit });
  channel.hangUp();
  return eventsOf(events, "warning");
}

const HTTPS_PROXY = "http://me:s3cret@proxy.example.com:3128";

test("gRPC over HTTP/2 warns that it does not use the proxy, without the proxy's password", async () => {
  const warnings = await warningsOf("https://registry.example.com", { HTTPS_PROXY });
  expect(warnings).toEqual([
    {
      type: "warning",
      important: true,
      message: expect.stringContaining("does not use the proxy"),
      fields: { registry: "registry.example.com", proxy: "proxy.example.com:3128" },
    },
  ]);
  expect(JSON.stringify(warnings)).not.toContain("s3cret");
});

test.each(["http://127.0.0.1:80", "https://127.0.0.1:443"])(
  "gRPC over HTTP/2 connects to the default port of %s",
  async (baseUrl) => {
    const dialed = new Error("dialed");
    const connection = new GrpcConnection(baseUrl, () => {
      throw dialed;
    });
    const transport = createGrpcTransport({ baseUrl, sessionManager: connection });
    const call = createClient(RegistryService, transport).current({ arch: "amd64", os: "linux" });
    await expect(call).rejects.toMatchObject({ cause: dialed });
  },
);

test.each([
  ["where no proxy is set", "https://registry.example.com", {}],
  [
    "where NO_PROXY excludes the registry",
    "https://registry.example.com",
    { HTTPS_PROXY, NO_PROXY: "example.com" },
  ],
  ["where the proxy is for another kind of URL", "http://registry.example.com", { HTTPS_PROXY }],
  ["on this machine", "https://localhost:9000", { HTTPS_PROXY }],
])("gRPC over HTTP/2 does not warn about proxies %s", async (_, baseUrl, env) => {
  expect(await warningsOf(baseUrl, env)).toEqual([]);
});
