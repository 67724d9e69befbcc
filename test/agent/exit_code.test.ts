import { expect, test } from "vitest";
import {
  AbortedError,
  ArchiveError,
  ConfigError,
  ConflictError,
  CredentialError,
  DeployError,
  HostError,
  IntegrityError,
  NotFoundError,
  RemoteError,
} from "../../mod.ts";
import { exitCodeOf } from "../../src/agent/exit_code.ts";

test.each([
  [0, new AbortedError("m")],
  [1, new ConfigError("m")],
  [1, new ConfigError("m", { code: "locked" })],
  [2, new CredentialError("m")],
  [2, new NotFoundError("m")],
  [2, new ConflictError("m")],
  [2, new RemoteError("m", { code: "rate-limited" })],
  [2, new RemoteError("m", { code: "timeout" })],
  [2, new IntegrityError("m")],
  [3, new ArchiveError("m")],
  [3, new HostError("m")],
  [4, new DeployError("before", "m")],
  [4, new DeployError("before", "m", { cause: new DeployError("before", "hook") })],
  [3, new DeployError("stage", "m", { cause: new HostError("full") })],
  [2, new DeployError("stage", "m", { cause: new IntegrityError("digest") })],
  [4, new Error("unexpected")],
])("exit code %i for %s", (code, error) => {
  expect(exitCodeOf(error)).toBe(code);
});
