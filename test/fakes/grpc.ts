import { createServer as createHttp1, type RequestListener } from "node:http";
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
  cors,
  type HandlerContext,
} from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { generate } from "selfsigned";
import {
  type CurrentRequest,
  type CurrentResponseSchema,
  RegistryService,
  type ReportRequest,
  type WatchRequest,
} from "../../src/gen/dewy_pb.ts";

/** Answers a `Current` request. */
export type Current = (
  request: CurrentRequest,
  context: HandlerContext,
) => Promise<MessageInitShape<typeof CurrentResponseSchema>>;

/** Answers a `Watch` request. */
export type Watch = (
  request: WatchRequest,
  context: HandlerContext,
) => AsyncIterable<{ id: string; tag: string }>;

export interface FakeGrpcOptions {
  /** Defaults to v1.2.3 from GitHub. */
  current?: Current;
  /** Receives `Report`. */
  report?: (request: ReportRequest, context: HandlerContext) => Promise<void>;
  /** Defaults to a server that does not implement `Watch`. */
  watch?: Watch;
  /** Methods that it does not implement. */
  without?: "report";
  /** For TLS. Defaults to plain text. */
  tls?: Certificate;
  /** Speaks HTTP/1.1 instead of HTTP/2, as serverless platforms do, and lets browsers read. */
  http1?: boolean;
  /** Defaults to a free port. */
  port?: number;
}

export interface FakeGrpc {
  /** `127.0.0.1:<port>`. */
  target: string;
  /** The `Current` requests so far. */
  asked: { request: CurrentRequest; headers: Headers; protocol: string }[];
  /** The `Report` requests so far. */
  reports: ReportRequest[];
  /** The `Watch` requests so far. */
  watches: { headers: Headers; signal: AbortSignal }[];
  /** The number of connections so far. */
  connections(): number;
  /** Closes all connections; `politely` sends GOAWAY first. */
  hangUp(politely?: boolean): void;
  close(): Promise<void>;
}

/** A key and its certificate, in PEM. */
export interface Certificate {
  key: string;
  cert: string;
}

/** The default answer. */
export const ANSWER = {
  id: "id-1",
  tag: "v1.2.3",
  artifactUrl: "ghr://o/r/tag/v1.2.3/app_linux_amd64.tar.gz",
} as const;

/** Serves gRPC, gRPC-Web and Connect on loopback. */
export async function serveGrpc(options: FakeGrpcOptions = {}): Promise<FakeGrpc> {
  const asked: FakeGrpc["asked"] = [];
  const reports: ReportRequest[] = [];
  const watches: FakeGrpc["watches"] = [];
  const routes = (router: ConnectRouter): void => {
    router.rpc(RegistryService.method.current, async (request, context) => {
      asked.push({ request, headers: context.requestHeader, protocol: context.protocolName });
      return options.current?.(request, context) ?? ANSWER;
    });
    const { watch } = options;
    if (watch !== undefined) {
      router.rpc(RegistryService.method.watch, (request, context) => {
        watches.push({ headers: context.requestHeader, signal: context.signal });
        return watch(request, context);
      });
    }
    if (options.without === "report") return;
    router.rpc(RegistryService.method.report, async (request, context) => {
      reports.push(request);
      await options.report?.(request, context);
      return create(EmptySchema);
    });
  };
  const handler = connectNodeAdapter({ routes });
  const server = options.http1
    ? createHttp1(withCors(handler))
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
    if (!politely && "closeAllConnections" in server) server.closeAllConnections();
  };
  return {
    target: `127.0.0.1:${port}`,
    asked,
    reports,
    watches,
    connections: () => connections,
    hangUp,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        hangUp();
      }),
  };
}

/** https://connectrpc.com/docs/cors/ */
function withCors(handler: RequestListener): RequestListener {
  return (request, response) => {
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-expose-headers", cors.exposedHeaders.join());
    if (request.method !== "OPTIONS") return handler(request, response);
    const headers = ["authorization", ...cors.allowedHeaders].join();
    response.writeHead(204, { "access-control-allow-headers": headers }).end();
  };
}

/** Returns a handler of `Current` that fails with a status. */
export function failing(code: Code, message: string, metadata: HeadersInit = {}): Current {
  return () => Promise.reject(new ConnectError(message, code, metadata));
}

/** Creates a self-signed certificate for 127.0.0.1 and localhost. */
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
