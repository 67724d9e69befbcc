import { CliEngine } from "./cli_engine.ts";
import { dockerDialect } from "./docker.ts";
import type { ContainerEngine, EngineName } from "./engine.ts";
import { engineCommand } from "./engine_command.ts";
import { podmanDialect } from "./podman.ts";

/** What an engine needs of this machine. */
export interface EngineOptions {
  /** dewy's environment. */
  env: Readonly<Record<string, string | undefined>>;
  /** The directory that relative paths in the operator's options start from. */
  cwd: string;
  /** Where logins for pulls are kept while they are needed; only this dewy's. Made when it is missing. */
  logins: string;
}

/**
 * Makes a container engine of its command line. Nothing is run yet.
 *
 * @param name which one.
 * @param options what it needs.
 * @returns the engine.
 */
export function createEngine(name: EngineName, options: EngineOptions): ContainerEngine {
  const { env, cwd, logins } = options;
  const dialect = name === "docker" ? dockerDialect(env) : podmanDialect(env);
  return new CliEngine(dialect, engineCommand({ program: name, env, cwd }), logins);
}
