import { expect, test } from "vitest";
import { networkCause } from "../../src/http/network_cause.ts";

interface Thrown {
  code?: string;
  message: string;
}

/** As runtimes throw it: the reason is inside another error. */
function wrapped({ code, message }: Thrown): Error {
  const cause = Object.assign(new Error(message), code === undefined ? {} : { code });
  return Object.assign(new TypeError("fetch failed"), { cause });
}

const deno = (reason: string): Thrown => ({
  message: `error sending request for url (https://certificate.example.com/expired?token=s3cret): client error (Connect): ${reason}`,
});

test.each<[string, string, Thrown]>([
  ["the connection was refused (ECONNREFUSED)", "Node", { code: "ECONNREFUSED", message: "x" }],
  [
    "the connection was refused",
    "Deno",
    deno("tcp connect error: Connection refused (os error 111)"),
  ],
  [
    "the connection was reset (ECONNRESET)",
    "Node",
    { code: "ECONNRESET", message: "read ECONNRESET" },
  ],
  ["the connection was reset", "Deno", { message: "Connection reset by peer (os error 104)" }],
  ["the connection was closed", "workerd", { message: "Network connection lost." }],
  [
    "the browser does not say why; does the server allow requests from this origin (CORS)?",
    "Chromium",
    { message: "Failed to fetch" },
  ],
  ["the connection was closed", "Node", { code: "UND_ERR_SOCKET", message: "other side closed" }],
  ["the connection was closed", "Deno", deno("connection closed before message completed")],
  [
    "the connection was closed",
    "HTTP/2",
    { message: "[canceled] http/2 stream closed with error code CANCEL (0x8)" },
  ],
  ["the connection was closed during the TLS handshake", "Deno", deno("tls handshake eof")],
  [
    "unknown host (ENOTFOUND)",
    "Node",
    { code: "ENOTFOUND", message: "getaddrinfo ENOTFOUND certificate.example.com" },
  ],
  [
    "unknown host",
    "Deno",
    deno("dns error: failed to lookup address information: Name or service not known"),
  ],
  [
    "the host name cannot be looked up right now",
    "Deno",
    deno("dns error: failed to lookup address information: Temporary failure in name resolution"),
  ],
  [
    "the server does not speak TLS on this port",
    "Node",
    {
      code: "ERR_SSL_WRONG_VERSION_NUMBER",
      message:
        "805C:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/x.c:350:",
    },
  ],
  [
    "the server does not speak TLS on this port",
    "Deno",
    deno("received corrupt message of type InvalidContentType"),
  ],
  [
    "the TLS handshake failed (EPROTO)",
    "Bun",
    {
      code: "EPROTO",
      message: "EPROTO: The TLS handshake failed. Does the server speak TLS on this port?",
    },
  ],
  [
    "the server speaks TLS, but no HTTP version that dewy supports",
    "Bun",
    {
      code: "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
      message: "error:10000460:SSL routines:OPENSSL_internal:TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
    },
  ],
  [
    "the server speaks TLS, but no HTTP version that dewy supports",
    "Deno",
    { message: "received fatal alert: NoApplicationProtocol" },
  ],
  ["the server's TLS version is outdated", "Deno", deno("received fatal alert: ProtocolVersion")],
  ["the runtime does not connect to this port", "Node", { message: "bad port" }],
  ["the TLS handshake failed", "Deno", deno("received fatal alert: HandshakeFailure")],
  [
    "the server's certificate has expired or is not valid yet; renew it, or set this machine's clock",
    "Deno",
    deno("invalid peer certificate: certificate expired: verification time 1795"),
  ],
  [
    "the server's certificate is for another host name; use a name that is in the certificate",
    "Bun",
    { code: "ERR_TLS_CERT_ALTNAME_INVALID", message: "ERR_TLS_CERT_ALTNAME_INVALID fetching" },
  ],
  [
    "the server's certificate is not trusted (DEPTH_ZERO_SELF_SIGNED_CERT); name the authority that signed it with SSL_CERT_FILE or --ca-file",
    "Node",
    { code: "DEPTH_ZERO_SELF_SIGNED_CERT", message: "self-signed certificate" },
  ],
  [
    "the server's certificate is not trusted; name the authority that signed it with SSL_CERT_FILE or --ca-file",
    "Deno",
    deno("invalid peer certificate: UnknownIssuer"),
  ],
  [
    "the server asks for a client certificate, which dewy does not have",
    "Node",
    {
      code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
      message: "error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required",
    },
  ],
  ["the server does not speak HTTP on this port", "Deno", deno("invalid HTTP version parsed")],
  [
    "the server does not speak HTTP/2 on this port",
    "Node",
    { code: "ERR_HTTP2_ERROR", message: "Protocol error" },
  ],
  [
    "the server floods the connection with HTTP/2 frames",
    "Node",
    {
      code: "ERR_HTTP2_ERROR",
      message: "Flooding was detected in this HTTP/2 session, and it must be closed",
    },
  ],
  [
    "the response headers are too large",
    "Node",
    { code: "UND_ERR_HEADERS_OVERFLOW", message: "x" },
  ],
  [
    "the response cannot be decompressed (Z_DATA_ERROR)",
    "Node",
    { code: "Z_DATA_ERROR", message: "incorrect header check" },
  ],
  [
    "the network failed: error sending request for url (https://certificate.example.com/expired?token=…): client error (Connect): something new",
    "Deno",
    deno("something new"),
  ],
])("%s (%s)", (reason, _, thrown) => {
  expect(networkCause(wrapped(thrown)).reason).toBe(reason);
});

test("only a refused certificate is permanent", () => {
  expect(networkCause(wrapped({ message: "certificate has expired" })).retryable).toBe(false);
  expect(networkCause(wrapped({ message: "wrong version number" })).retryable).toBe(true);
  expect(networkCause(undefined)).toMatchObject({ reason: "the network failed", retryable: true });
});
