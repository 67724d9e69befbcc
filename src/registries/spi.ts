/**
 * What a registry driver of your own is made of. Put it into a table, and pass that as the option `registries`.
 *
 * @module
 */
export type { Environment } from "../core/environment.ts";
export type {
  OptionSpec,
  OptionType,
  QueryReader,
  SplitUrl,
} from "../core/url.ts";
export type { ChosenArtifact, ListedTag, ReleaseFiles, ReleaseSource } from "../resolve/resolve.ts";
export {
  type ArtifactName,
  type ArtifactScheme,
  type AwsCredentials,
  type AwsProfile,
  type CredentialHelper,
  type DeployCommand,
  type EnvironmentSpec,
  FILE_OPTIONS,
  type GrpcAnnouncement,
  type GrpcAnswer,
  type GrpcCallOptions,
  type GrpcChannel,
  type GrpcChannelOptions,
  type GrpcQuestion,
  type GrpcReport,
  type GuardFetch,
  type HelperAnswer,
  type HostServices,
  type LocatorBase,
  type OpenGrpcChannel,
  type RegistryContext,
  type RegistryDriver,
  type RegistryFeature,
  type RegistryTable,
  readRegistryQuery,
} from "./driver.ts";
export { type ListRegistryParts, listRegistry } from "./list_registry.ts";
