/**
 * dewy, the library: which version is the newest, and where are its bytes?
 *
 * Web standards only; nothing happens on import.
 *
 * @module
 */

export { type Clock, systemClock } from "./src/core/clock.ts";
export {
  AbortedError,
  ArchiveError,
  ConfigError,
  ConflictError,
  CredentialError,
  DeployError,
  type DeployPhase,
  DewyError,
  type DewyErrorOptions,
  type ErrorCode,
  type Fault,
  HostError,
  IntegrityError,
  NotFoundError,
  RemoteError,
  type RemoteErrorOptions,
  VerificationError,
} from "./src/core/error.ts";
export type {
  DewyEvent,
  EventSink,
  HookResult,
  RolloutChange,
  StartReason,
  WaitReason,
} from "./src/core/event.ts";
export type { Operator } from "./src/core/operator.ts";
export type { Proof, SignerIdentity, VerifyKind } from "./src/core/proof.ts";
export type * from "./src/core/types.ts";
export type { ArtifactOptions } from "./src/platform/artifact_choice.ts";
export { selectArtifact } from "./src/platform/artifact_choice.ts";
export type { RegistryLogin } from "./src/registries/driver.ts";
export type { FileLocator } from "./src/registries/file_locator.ts";
export type { GsLocator } from "./src/registries/gcs/locator.ts";
export type { GhrLocator } from "./src/registries/github/locator.ts";
export type { GrpcLocator, GrpcProtocol } from "./src/registries/grpc/locator.ts";
export type { HttpsLocator } from "./src/registries/https/locator.ts";
export type {
  RegistryOptions,
  SchemeOptions,
} from "./src/registries/load.ts";
export type { OciLocator } from "./src/registries/oci/locator.ts";
export {
  explain,
  latest,
  openArtifact,
  openRegistry,
  parseRegistryUrl,
  versions,
} from "./src/registries/open.ts";
export type { S3Locator } from "./src/registries/s3/locator.ts";
export { type RegistryLocator, redactUrl, registries } from "./src/registries/table.ts";
export type { Constraint } from "./src/version/constraint.ts";
export { latestTag } from "./src/version/latest_tag.ts";
export { loadConstraint } from "./src/version/load_constraint.ts";
export {
  compareVersions,
  type LatestTagOptions,
  parseVersion,
  type VersionOptions,
} from "./src/version/version.ts";
