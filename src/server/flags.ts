import { formatDuration } from "../core/duration.ts";
import { ConfigError } from "../core/error.ts";
import type { ServerConfig } from "./config.ts";

/**
 * Refuses flags of `dewy server` that contradict each other, so that none is quietly without effect.
 *
 * @param config what was read.
 * @param typed which flags were typed, where their default must be told from that.
 * @throws ConfigError that names the flags and what would be right.
 */
export function checkServerFlags(
  config: ServerConfig,
  typed: { readyAfter: boolean; overlap: boolean },
): void {
  const { handoff, ports, healthPath, healthTimeoutMs, readyAfterMs } = config;
  if (handoff === "proxy" && ports.length === 0) {
    throw new ConfigError("--handoff proxy needs --port: the proxy must know where to listen");
  }
  if (healthPath !== undefined && handoff !== "proxy") throw healthPathNeedsProxy(config);
  if (handoff === "proxy" && typed.readyAfter) {
    throw new ConfigError(
      "--ready-after has no effect with --handoff proxy, which asks the app itself: use --health-path or --ready-command",
    );
  }
  if (handoff === "none" && typed.overlap) {
    throw new ConfigError(
      "--overlap has no effect with --handoff none, which ends the old generation before the new one starts",
    );
  }
  if (handoff !== "proxy" && readyAfterMs >= healthTimeoutMs) {
    throw new ConfigError(
      `--ready-after ${formatDuration(readyAfterMs)} can never be reached: --health-timeout ends the wait after ${formatDuration(healthTimeoutMs)}`,
    );
  }
}

function healthPathNeedsProxy({ handoff, ports }: ServerConfig): ConfigError {
  const why =
    handoff === "socket"
      ? "on a shared socket any generation may answer, so that the answer says nothing about the new one"
      : "there is nothing between the port and the app that could ask";
  const port = ports.length === 0 ? " and --port" : "";
  return new ConfigError(
    `--health-path needs --handoff proxy${port}: ${why}; without the proxy use --ready-command`,
  );
}
