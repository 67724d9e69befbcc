import { secretVariable } from "../../core/environment.ts";
import type { RegistryDriver } from "../driver.ts";
import {
  GRPC_OPTIONS,
  GRPC_SYNTAX,
  type GrpcLocator,
  parseGrpcUrl,
  TOKEN_VARIABLE,
} from "./locator.ts";

/** A server that chooses the version itself: `grpc://<server-host>[:<port>]`. See proto/dewy.proto. */
export const grpc: RegistryDriver<GrpcLocator> = {
  scheme: "grpc",
  name: "gRPC",
  syntax: GRPC_SYNTAX,
  example: "grpc://registry.example.com:9000",
  commands: ["server", "assets"],
  options: GRPC_OPTIONS,
  environment: [
    secretVariable(
      TOKEN_VARIABLE,
      "A bearer token for the server; sent with TLS or to this machine only",
      "token",
    ),
  ],
  parse: parseGrpcUrl,
  token: "A bearer token for the server",
  features: ["report", "watch"],
  async open(locator, context) {
    const { openGrpc } = await import("./registry.ts");
    return openGrpc(locator, context);
  },
};
