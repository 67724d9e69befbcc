import { createServer as createHttp1 } from "node:http";
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import {
  type Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
} from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { generate } from "selfsigned";
import {
  type CurrentRequest,
  type CurrentResponseSchema,
  RegistryService,
  type ReportRequest,
} from "../../src/gen/dewy_pb.ts";

/** What a server answers with. */
export type Current = (
  request: CurrentRequest,
  context: HandlerContext,
) => Promise<MessageInitShape<typeof CurrentResponseSchema>>;

/** How a server is set up. */
export interface FakeGrpcOptions {
  /** Answers `Current`; v1.2.3 from GitHub unless told. */
  current?: Current;
  /** Hears `Report`. */
  report?: (request: ReportRequest, context: HandlerContext) => Promise<void>;
  /** Methods that it does not know. */
  without?: "report";
  /** A certificate to speak TLS with. */
  tls?: Certificate;
  /** HTTP/1.1 instead of HTTP/2, as serverless platforms speak it. */
  http1?: boolean;
  /** The port; a free one unless told. */
  port?: number;
}

/** A server that listens on loopback. */
export interface FakeGrpc {
  /** `127.0.0.1:<port>`. */
  target: string;
  /** The `Current` requests so far. */
  asked: { request: CurrentRequest; headers: Headers; protocol: string }[];
  /** The `Report` requests so far. */
  reports: ReportRequest[];
  /** How many connections were made. */
  connections(): number;
  /** Drops all connections; `politely` says so before, by GOAWAY. */
  hangUp(politely?: boolean): void;
  /** Stops it. */
  close(): Promise<void>;
}

/** A key and its certificate, in PEM. */
export interface Certificate {
  key: string;
  cert: string;
}

/** The answer of a server that was told nothing else. */
export const ANSWER = {
  id: "id-1",
  tag: "v1.2.3",
  artifactUrl: "ghr://o/r/tag/v1.2.3/app_linux_amd64.tar.gz",
} as const;

/**
 * Serves gRPC, gRPC-Web and Connect.
 *
 * @param options what it does.
 * @returns the server, when it listens.
 */
export async function serveGrpc(options: FakeGrpcOptions = {}): Promise<FakeGrpc> {
  const asked: FakeGrpc["asked"] = [];
  const reports: ReportRequest[] = [];
  const routes = (router: ConnectRouter): void => {
    router.rpc(RegistryService.method.current, async (request, context) => {
      asked.push({ request, headers: context.requestHeader, protocol: context.protocolName });
      return options.current?.(request, context) ?? ANSWER;
    });
    if (options.without === "report") return;
    router.rpc(RegistryService.method.report, async (request, context) => {
      reports.push(request);
      await options.report?.(request, context);
      return create(EmptySchema);
    });
  };
  const handler = connectNodeAdapter({ routes });
  const server = options.http1
    ? createHttp1(handler)
    : options.tls === undefined
      ? createServer(handler)
      : createSecureServer({ ...options.tls, allowHTTP1: true }, handler);
  const sessions = new Set<ServerHttp2Session>();
  let connections = 0;
  server.on(options.tls === undefined ? "connection" : "secureConnection", () => {
    connections += 1;
  });
  (server as Http2Server).on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const hangUp = (politely = false): void => {
    for (const session of sessions) {
      if (politely) session.close();
      else session.destroy();
    }
  };
  return {
    target: `127.0.0.1:${port}`,
    asked,
    reports,
    connections: () => connections,
    hangUp,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        hangUp();
        if ("closeAllConnections" in server) server.closeAllConnections();
      }),
  };
}

/** @returns a handler of `Current` that ends with a status. */
export function failing(code: Code, message: string, metadata: HeadersInit = {}): Current {
  return () => Promise.reject(new ConnectError(message, code, metadata));
}

/** @returns a certificate for 127.0.0.1 and localhost that is its own authority. */
export async function loopbackCertificate(): Promise<Certificate> {
  const { private: key, cert } = await generate([{ name: "commonName", value: "localhost" }], {
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true },
      {
        name: "subjectAltName",
        altNames: [
          { type: 2, value: "localhost" },
          { type: 7, ip: "127.0.0.1" },
        ],
      },
    ],
  });
  return { key, cert };
}
