import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer as createHttp } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, createServer as createTcp, type Server } from "node:net";
import { join } from "node:path";
import { createServer as createTls } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Certificate, loopbackCertificate } from "../fakes/grpc.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { runCase, runtimes } from "./runtimes.ts";

/** Raw text of TLS libraries and runtimes, which must not be in a message. */
const RAW =
  /SSL routines|OPENSSL|error:[0-9a-f]{6}|os error|errno|NGHTTP2|0x[0-9a-f]|fatal alert|client error|verbose: true|\[\w+\]/i;

const SERVERS = {
  http: () => createHttp((_, response) => response.end("hello")),
  https: (tls: Certificate) => createHttps(tls, (_, response) => response.end("hello")),
  "https with HTTP/2 only": (tls: Certificate) =>
    createSecureServer(tls, (_, response) => response.end("hello")),
  "TLS 1.1": (tls: Certificate) =>
    createTls({ ...tls, maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "ALL:@SECLEVEL=0" }),
  ssh: () => createTcp((socket) => socket.on("error", () => {}).write("SSH-2.0-OpenSSH_9.2\r\n")),
  "TCP that hangs up": () => createTcp((socket) => socket.on("error", () => {}).end()),
} satisfies Record<string, (tls: Certificate) => Server>;

type ServerName = keyof typeof SERVERS;

const CLOSED = /the connection was (closed|reset)/;
const NOT_TLS = /the server does not speak TLS on this port|the TLS handshake failed/;
// Deno may first notice that it can no longer write.
const NOT_HTTP2 =
  /the server does not speak HTTP\/2 on this port|the connection was (closed|reset)/;
const NO_TLS_ADVICE = /check the port; only a server without TLS/;

/** How a server is reached, and the words of the error. */
const CASES: readonly (readonly [string, ServerName, RegExp, RegExp?])[] = [
  ["https:", "http", NOT_TLS],
  ["https:", "ssh", NOT_TLS],
  ["https:", "TLS 1.1", /TLS version is outdated|the TLS handshake failed/],
  ["https:", "TCP that hangs up", CLOSED],
  ["http:", "https", CLOSED],
  ["http:", "ssh", /the server does not speak HTTP on this port/],
  ["http:", "TCP that hangs up", CLOSED],
  ["grpc https:", "http", /the server does not speak TLS on this port/, NO_TLS_ADVICE],
  ["grpc https:", "ssh", /the server does not speak TLS on this port/, NO_TLS_ADVICE],
  ["grpc https:", "https", /the server speaks TLS, but no HTTP version/, /gRPC needs HTTP\/2/],
  ["grpc https:", "https with HTTP/2 only", /HTTP 200|unsupported content type/, /no gRPC server/],
  ["grpc https:", "TLS 1.1", /TLS version is outdated/],
  ["grpc https:", "TCP that hangs up", CLOSED, /is it a gRPC server\?$/],
  ["grpc http:", "http", NOT_HTTP2],
  ["grpc http:", "https", CLOSED, /try without no-tls=true/],
  ["grpc http:", "ssh", NOT_HTTP2],
  ["grpc http:", "TCP that hangs up", CLOSED, /try without no-tls=true/],
];

async function startServers(tls: Certificate): Promise<Map<string, number>> {
  const ports = new Map<string, number>();
  for (const [name, create] of Object.entries(SERVERS)) {
    const server: Server = create(tls);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    ports.set(name, (server.address() as AddressInfo).port);
  }
  return ports;
}

describe.each(runtimes)("a network error on $name", (runtime) => {
  test("explains the cause, and never suggests turning TLS off for a server that speaks it", async () => {
    const tls = await loopbackCertificate();
    const caFile = join(await tempDirectory(), "ca.pem");
    await writeFile(caFile, tls.cert);
    const ports = await startServers(tls);
    const urls = CASES.map(([how, server]) => {
      const [protocol = "", grpc] = how.split(" ").reverse();
      return `${protocol}//127.0.0.1:${ports.get(server)}${grpc === undefined ? "" : "/grpc"}`;
    });
    const { code, stdout, stderr } = await runCase(runtime, "test/runtime/network_errors_case.ts", {
      URLS: JSON.stringify(urls),
      SSL_CERT_FILE: caFile,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const messages: string[] = JSON.parse(stdout);
    for (const [index, [how, server, words, advice = /^/]] of CASES.entries()) {
      const message = messages[index] ?? "";
      const where = `${how} to ${server}: ${message}`;
      expect(message, where).toMatch(words);
      expect(message, where).toMatch(advice);
      expect(message, where).not.toMatch(RAW);
      if (advice !== NO_TLS_ADVICE) expect(message, where).not.toMatch(/(^| with )no-tls=true/);
    }
  });
});
