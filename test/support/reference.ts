/**
 * The pages of docs/reference/, derived from the tables of the code.
 *
 * @module
 */
import { exitCodeOf } from "../../src/agent/exit_code.ts";
import type { CacheDriver } from "../../src/cache/types.ts";
import {
  type CommandSpec,
  commands,
  defaultText,
  type FlagSpec,
  flagsOf,
  spellFlag,
} from "../../src/cli/flags/table.ts";
import type { EnvironmentSpec } from "../../src/core/environment.ts";
import {
  AbortedError,
  ArchiveError,
  ConfigError,
  ConflictError,
  CredentialError,
  DeployError,
  type DewyError,
  type ErrorCode,
  HostError,
  IntegrityError,
  NotFoundError,
  RemoteError,
  VerificationError,
} from "../../src/core/error.ts";
import type { OptionSpec } from "../../src/core/url.ts";
import { CHECK_ENVIRONMENT } from "../../src/fleet/check/environment.ts";
import type { NotifierDriver } from "../../src/notifiers/driver.ts";
import type { RegistryDriver } from "../../src/registries/driver.ts";
import { TELEMETRY_ENVIRONMENT } from "../../src/telemetry/environment.ts";
import { prometheusName } from "../../src/telemetry/prometheus.ts";
import { METRICS, type MetricSpec } from "../../src/telemetry/table.ts";

export interface ReferenceTables {
  registries: readonly RegistryDriver[];
  notifiers: readonly NotifierDriver[];
  caches: readonly CacheDriver[];
}

/** Variables that no driver reads, but dewy itself, the runtime's network, or a container engine. */
const OWN_VARIABLES: readonly EnvironmentSpec[] = [
  own("DEWY_CACHEDIR", "`server`, `assets`: the directory for downloads (default: `.dewy/cache`)"),
  own(
    "DEWY_NOTIFIER",
    "URLs of notifiers, separated by white space, in addition to `--notifier`",
    true,
  ),
  own("DEWY_REGISTRY_TOKEN", "`registry`: the token of the gateway, without `--token-file`", true),
  own("DEWY_RUNTIME_DIR", "Where instances are found, by dewy and its commands"),
  own("XDG_RUNTIME_DIR", "Where a user's instances are found, in `dewy` below it"),
  own(
    "RUNTIME_DIRECTORY",
    "Where the instance of a systemd unit is found, if its name begins with `dewy`",
  ),
  own("SUDO_USER", "Commands: the name of the user in the history (default: the user's own)"),
  own("HTTPS_PROXY", "Proxy for `https://` requests; the lower-case name wins, here and below"),
  own("HTTP_PROXY", "Proxy for `http://` requests"),
  own("ALL_PROXY", "Proxy for both, where the variable above is not set"),
  own("NO_PROXY", "Hosts to reach directly: names, `.domains`, `host:port`, `10.0.0.0/8`, `*`"),
  own("SSL_CERT_FILE", "PEM file of additional certificate authorities to trust"),
  own("NODE_EXTRA_CA_CERTS", "The same"),
  own("NO_COLOR", "Not empty: no colours on a terminal; `TERM=dumb` has the same effect"),
  own("COLUMNS", "The width of `--help`, from 40 to 100 (default: that of the terminal, or 80)"),
  own("LISTEN_FDS", "Sockets from systemd, with `LISTEN_PID` and `LISTEN_FDNAMES`"),
  own("SERVER_STARTER_PORT", "Sockets from Server::Starter, with `SERVER_STARTER_GENERATION`"),
  own("STATE_DIRECTORY", "`container`: the state directory of a systemd unit"),
  own("XDG_STATE_HOME", "`container`: where state directories are (default: `~/.local/state`)"),
  own("DOCKER_HOST", "`container`: the Docker daemon; it must be on this machine"),
  own("CONTAINER_HOST", "`container`: the Podman service; it must be on this machine"),
  own("AWS_CONFIG_FILE", "The AWS profiles (default: `~/.aws/config`)"),
  own("AWS_SHARED_CREDENTIALS_FILE", "The AWS credentials (default: `~/.aws/credentials`)"),
];

const EXIT_CODES: readonly { code: number; meaning: string }[] = [
  { code: 0, meaning: "Done, or stopped by the operator" },
  { code: 1, meaning: "Configuration or usage: a flag, a URL, an option, or a directory in use" },
  {
    code: 2,
    meaning:
      "Network or registry; also: nothing is ready (`check`), or nothing is left to deploy because the only version is marked bad (`--once`), or no instance is found",
  },
  {
    code: 3,
    meaning:
      "This machine: a full disk, a port in use that dewy itself opens, missing permissions, an archive that is refused, no container engine",
  },
  {
    code: 4,
    meaning:
      "Application: a hook or the new version failed; also: dewy ended before it had answered a command",
  },
];

/** The class that throws each code by default, and what the code means. */
const ERRORS: Readonly<Record<ErrorCode, { error: DewyError; meaning: string }>> = {
  config: {
    error: new ConfigError(""),
    meaning: "A flag, URL, option or environment variable that cannot be used",
  },
  locked: {
    error: new ConfigError("", { code: "locked" }),
    meaning: "Another dewy uses the directory",
  },
  credential: {
    error: new CredentialError(""),
    meaning: "Credentials that are missing, malformed or refused",
  },
  "not-found": {
    error: new NotFoundError(""),
    meaning: "A repository, bucket, release or object that does not exist",
  },
  conflict: {
    error: new ConflictError(""),
    meaning: "A conditional write that another writer won",
  },
  "rate-limited": {
    error: new RemoteError("", { code: "rate-limited" }),
    meaning: "A request limit that is used up; `retryAfterMs` says when to ask again",
  },
  timeout: {
    error: new RemoteError("", { code: "timeout" }),
    meaning: "A call that took too long",
  },
  remote: {
    error: new RemoteError(""),
    meaning: "A remote call that failed: no response, or a server error",
  },
  integrity: {
    error: new IntegrityError(""),
    meaning: "Bytes that differ from what the registry states",
  },
  unverified: {
    error: new VerificationError(""),
    meaning: "A release that `--verify` does not let pass; it is retried",
  },
  archive: {
    error: new ArchiveError(""),
    meaning: "An archive that is damaged, too large, or breaks a rule of extraction",
  },
  host: {
    error: new HostError(""),
    meaning: "The file system, a process, a socket or the container engine of this machine",
  },
  deploy: {
    error: new DeployError("verify", ""),
    meaning: "A deploy that failed; `phase` says where, and `fault` is that of the cause",
  },
  aborted: {
    error: new AbortedError(""),
    meaning: "Work that the caller's `AbortSignal` ended",
  },
};

/** Renders every page of docs/reference/, by file name. */
export function renderReference(tables: ReferenceTables): Readonly<Record<string, string>> {
  const pages = {
    "commands.md": ["Commands and flags", commandsPage()],
    "registries.md": ["Registry options", tables.registries.map(registrySection).join("\n\n")],
    "notifiers.md": ["Notifier options", tables.notifiers.map(plainSection).join("\n\n")],
    "caches.md": ["Cache options", tables.caches.map(plainSection).join("\n\n")],
    "environment.md": ["Environment variables", environmentPage(tables)],
    "exit-codes.md": ["Exit codes", exitCodesPage()],
    "errors.md": ["Error codes", errorsPage()],
    "metrics.md": ["Metrics", metricsPage()],
  } as const;
  return Object.fromEntries(
    Object.entries(pages).map(([file, [title, body]]) => [
      file,
      `${GENERATED}\n\n# ${title}\n\n${body}\n`,
    ]),
  );
}

const GENERATED = "<!-- Generated by `npm run reference`; do not edit. -->";

function commandsPage(): string {
  const overview = markdownTable(
    ["Command", "What it does"],
    commands.map(({ name, summary }) => [
      `[${code(`dewy ${name}`)}](#dewy-${name.replaceAll(" ", "-")})`,
      summary,
    ]),
  );
  return [
    overview,
    "[Operations](../operations.md#flags-and-values) explains how values are written.",
    ...commands.map(commandSection),
  ].join("\n\n");
}

function commandSection({ name, usage, summary, example }: CommandSpec): string {
  return [
    `## dewy ${name}`,
    `${summary}.`,
    fenced("text", `dewy ${usage}`),
    "Example:",
    fenced("sh", example),
    markdownTable(
      ["Flag", "What it does", "Default"],
      flagsOf(name).map((flag) => [code(spellFlag(flag)), flag.description, defaultCell(flag)]),
    ),
  ].join("\n\n");
}

function defaultCell(flag: FlagSpec): string {
  const text = defaultText(flag);
  return text === undefined ? "" : code(text);
}

function environmentPage({ registries, notifiers, caches }: ReferenceTables): string {
  const readers = new Map<string, { secret: EnvironmentSpec["secret"]; links: string[] }>();
  const collect = (
    drivers: readonly (RegistryDriver | NotifierDriver | CacheDriver)[],
    page: string,
  ): void => {
    for (const { scheme, name, syntax, environment } of drivers) {
      const link = `[${code(`${scheme}://`)}](${page}#${anchor(`${name}: ${code(syntax)}`)})`;
      for (const variable of environment) {
        const known = readers.get(variable.name);
        if (known === undefined)
          readers.set(variable.name, { secret: variable.secret, links: [link] });
        else known.links.push(link);
      }
    }
  };
  collect(registries, "registries.md");
  collect(notifiers, "notifiers.md");
  collect(caches, "caches.md");
  const byName = [...readers].sort(([a], [b]) => a.localeCompare(b, "en"));
  return [
    "## Read by registries, notifiers and caches",
    "The linked sections describe them. A secret is masked in everything that dewy logs or sends.",
    markdownTable(
      ["Variable", "Read by", "Secret"],
      byName.map(([name, { secret, links }]) => [code(name), links.join(", "), secrecy(secret)]),
    ),
    "## Read by dewy itself",
    variableTable(OWN_VARIABLES),
    "## Read with `--rollout-check prometheus`",
    "[Fleets](../fleet.md#prometheus) describes them.",
    variableTable(CHECK_ENVIRONMENT),
    "## Read with `--telemetry`",
    "[Tracing](../tracing.md) describes them. Others of OpenTelemetry are read by its packages, or ignored.",
    variableTable(TELEMETRY_ENVIRONMENT),
    "The [server guide](../server.md#what-the-app-gets) lists the variables that an app gets, and " +
      "[operations](../operations.md#hooks) those of hooks.",
  ].join("\n\n");
}

function variableTable(variables: readonly EnvironmentSpec[]): string {
  return markdownTable(
    ["Variable", "What it does", "Secret"],
    variables.map(({ name, description, secret }) => [code(name), description, secrecy(secret)]),
  );
}

function exitCodesPage(): string {
  return [
    markdownTable(
      ["Code", "Meaning"],
      EXIT_CODES.map(({ code: number, meaning }) => [String(number), meaning]),
    ),
    "128 plus the number of a signal: see [operations](../operations.md#signals).",
  ].join("\n\n");
}

function errorsPage(): string {
  return [
    "Every error that dewy throws on purpose is a `DewyError`. Match on `code`, not on the message. " +
      "`fault` says where the cause lies, and `retryable` whether the same call can succeed later; " +
      "the columns show the defaults, which a single error may override.",
    markdownTable(
      ["Code", "Class", "Meaning", "Fault", "Retryable", "Exit code"],
      Object.entries(ERRORS).map(([name, { error, meaning }]) => [
        code(name),
        code(error.name),
        meaning,
        error.code === "deploy" ? "" : code(error.fault),
        error.retryable ? "yes" : "",
        String(exitCodeOf(error)),
      ]),
    ),
    "A deploy that failed exits with the code of its cause.",
  ].join("\n\n");
}

function registrySection(driver: RegistryDriver): string {
  const lines = [
    `## ${driver.name}: ${code(driver.syntax)}`,
    `For ${driver.commands.map((name) => code(name)).join(", ")}. Example: ${code(driver.example)}`,
    optionTable(driver.options),
  ];
  if (driver.environment.length > 0) lines.push(environmentTable(driver.environment));
  return lines.join("\n\n");
}

function plainSection(driver: NotifierDriver | CacheDriver): string {
  const lines = [`## ${driver.name}: ${code(driver.syntax)}`, `Example: ${code(driver.example)}`];
  if (driver.options.length > 0) lines.push(optionTable(driver.options));
  if (driver.environment.length > 0) lines.push(environmentTable(driver.environment));
  return lines.join("\n\n");
}

function optionTable(options: readonly OptionSpec[]): string {
  return markdownTable(
    ["Option", "Type", "What it does"],
    options.map(({ name, type, description }) => [code(name), type, description]),
  );
}

function environmentTable(variables: readonly EnvironmentSpec[]): string {
  return markdownTable(
    ["Environment", "Secret", "What it does"],
    variables.map(({ name, secret, description }) => [code(name), secrecy(secret), description]),
  );
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function own(name: string, description: string, secret = false): EnvironmentSpec {
  return { name, description, secret };
}

function secrecy(secret: EnvironmentSpec["secret"]): string {
  return secret === false ? "" : secret === "json" ? "the JSON" : "yes";
}

function fenced(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}

/** The fragment that GitHub makes of a heading. */
export function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, "")
    .replaceAll(" ", "-");
}

function code(text: string): string {
  return `\`${text}\``;
}

/** The sections of the metrics, each with the first words of the names that are in it. */
const METRIC_SECTIONS: Readonly<Record<string, readonly string[]>> = {
  Polls: ["polls", "poll", "upstream", "rate_limit", "cache"],
  Deploys: ["deployments", "deployment", "rollbacks", "versions", "pinned", "paused", "fleet"],
  "The app": ["app", "server"],
  Containers: ["container"],
  "Proxy and health checks": ["proxy", "healthchecks"],
  Notifications: ["notifications"],
};

function metricsPage(): string {
  const wordOf = (name: string): string => name.split(".")[1] ?? "";
  const sections = Object.entries(METRIC_SECTIONS).map(([title, words]) => {
    const own = Object.entries(METRICS).filter(([name]) => words.includes(wordOf(name)));
    return `## ${title}\n\n${markdownTable(
      ["In Prometheus", "In OpenTelemetry", "Type", "Labels", "Meaning"],
      own.map(([name, spec]) => metricRow(name, spec)),
    )}`;
  });
  return [
    "[Metrics](../metrics.md) explains how to collect them, and which ones to watch.",
    ...sections,
  ].join("\n\n");
}

function metricRow(name: string, { kind, unit, attributes, description }: MetricSpec): string[] {
  return [
    code(prometheusName(name, unit, kind === "counter")),
    code(name),
    kind === "up-down-counter" ? "gauge" : kind,
    attributes.map(code).join(", "),
    description,
  ];
}
