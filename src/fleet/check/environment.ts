import { type EnvironmentSpec, secretVariable, variable } from "../../core/environment.ts";

export const TOKEN: EnvironmentSpec = secretVariable(
  "DEWY_PROMETHEUS_TOKEN",
  "Bearer token for `--prometheus-url`",
  "token",
);
export const USERNAME: EnvironmentSpec = variable(
  "DEWY_PROMETHEUS_USERNAME",
  "User name for `--prometheus-url`, with `DEWY_PROMETHEUS_PASSWORD`",
);
export const PASSWORD: EnvironmentSpec = secretVariable(
  "DEWY_PROMETHEUS_PASSWORD",
  "Password of that user",
);

/** The variables of `--rollout-check prometheus`. */
export const CHECK_ENVIRONMENT: readonly EnvironmentSpec[] = [TOKEN, USERNAME, PASSWORD];
