/**
 * dewy on a host: what the library does not know by itself because it needs files, processes or sockets.
 *
 * @module
 */
export type {
  AnnouncedVersion,
  DeployReport,
  RegistryLogic,
  VersionAnswer,
  VersionQuestion,
} from "../gateway/contract.ts";
export { createHostFetch, type HostFetchOptions } from "./net/fetch.ts";
export { explain, latest, openArtifact, openRegistry } from "./open.ts";
export { hostPlatform } from "./platform.ts";
export { hostRegistries } from "./registries.ts";
export {
  type FetchHandler,
  type RegistryServer,
  type ServeRegistryOptions,
  serveRegistry,
  type TlsFiles,
} from "./rpc_server/server.ts";
