import { readdirSync, readFileSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { fakeProcess } from "../cli/process.ts";
import { serveFetch } from "../fakes/serve.ts";
import { freePorts } from "../peers/ports.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { ARTIFACT, makeArtifact } from "./archive.ts";
import { Canaries, environmentOf, type Kind, shownOptions } from "./canaries.ts";
import {
  refuseAll,
  startCollector,
  startGitHub,
  startNotifierServices,
} from "./canary_services.ts";
import { cliRuntimes, runDewy, startDewy, until } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";

const CLI = join(ROOT, "dist", "cli.js");
const CLIS = [CLI, join(ROOT, "cli.ts")];
const PRELOAD = join(ROOT, "test", "e2e", "spawned_preload.mjs");
const DEWY = [process.execPath, "--import", PRELOAD, CLI] as const;

/** Prints its environment twice, and stores it. What is long is shown with its ends. */
const HOOK = 'env; echo NPM_TOKEN=$NPM_TOKEN; env >&2; env > "$INPUTS/hook.$$.env"';
const READY = 'env > "$INPUTS/ready.$$.env"';
/** Prints its environment, and serves unless it is v1.1.0. */
const APP = `
for (const pair of Object.entries(process.env)) console.log(pair.join("="));
console.log("NPM_TOKEN=" + process.env.NPM_TOKEN);
if (process.env.DEWY_TAG === "v1.1.0") process.exit(1);
require("node:http").createServer((_, response) => response.end("hi")).listen({ fd: 3 });
`;

/** dewy's surroundings, with a canary in every option and every variable that is a secret. */
async function setUp() {
  const canaries = new Canaries();
  const directories = await Promise.all(Array.from({ length: 4 }, tempDirectory));
  const [inputs = "", cwd = "", runtime = "", temporary = ""] = directories;
  const services = await startNotifierServices(canaries, inputs);
  const collector = await startCollector();
  const write = async (name: string, text: string): Promise<string> => {
    await writeFile(join(inputs, name), text, { mode: 0o600 });
    return join(inputs, name);
  };
  const [first = "", ...others] = services.urls.values();
  const env: Record<string, string> = {
    ...environmentOf(canaries),
    DEWY_NOTIFIER: first,
    SLACK_API_URL: services.slackUrl,
    MAIL_FROM: "dewy@example.com",
    // An app that sends telemetry itself keeps it.
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}?key=${canaries.make("endpoint", "foreign")}`,
    OTEL_METRIC_EXPORT_INTERVAL: "500",
    OTEL_BSP_SCHEDULE_DELAY: "200",
    DEWY_RUNTIME_DIR: runtime,
    TMPDIR: temporary,
    INPUTS: inputs,
    SPAWNED_FILE: await write("spawned", ""),
  };
  const flags = [
    ...["--notifier-file", await write("notifiers", others.join("\n"))],
    ...["--ca-file", services.caFile, "--telemetry", "--log-level", "debug"],
    ...["--before-deploy-hook", HOOK, "--after-deploy-hook", `${HOOK}; false`],
  ];
  return { canaries, inputs, cwd, runtime, temporary, services, collector, env, flags, write };
}

type SetUp = Awaited<ReturnType<typeof setUp>>;

/** Expects that nothing that dewy has shown, sent or stored has a canary. */
async function expectNoLeak(
  { canaries, services, collector, ...own }: SetUp,
  shown: Readonly<Record<string, string>>,
): Promise<void> {
  const files = await Promise.all([own.cwd, own.runtime, own.temporary].map(filesIn));
  const outputs = [
    ...Object.entries(shown),
    ["metrics and traces", collector.bodies().join("\n")] as const,
    ...files.flat(),
  ];
  const leaks = outputs.flatMap(([place, text]) =>
    canaries.ownersIn(text).map((owner) => `${owner} in ${place}`),
  );
  const sent = Object.keys(notifiers).flatMap((scheme) =>
    canaries
      .ownersIn(services.received(scheme).join("\n"))
      // A topic is a part of the message for the server that it belongs to.
      .filter((owner) => owner !== `--notifier ${scheme}` || !scheme.startsWith("ntfy+"))
      .map((owner) => `${owner} in notifications of ${scheme}`),
  );
  expect([...leaks, ...sent]).toEqual([]);
}

async function filesIn(directory: string): Promise<(readonly [string, string])[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((one) => join(one.parentPath, one.name));
  return Promise.all(
    paths.map(async (path) => [path, `${path}\n${await readFile(path, "latin1")}`]),
  );
}

interface Process {
  args: string;
  env: string;
}

/** Every process that this dewy has started itself. */
async function spawned({ env }: SetUp): Promise<Process[]> {
  const lines = (await readFile(env.SPAWNED_FILE ?? "", "utf8")).trim().split("\n");
  return lines.map((line) => {
    const { args, env } = JSON.parse(line) as { args: string[]; env: string[] };
    return { args: args.join(" "), env: env.join("\n") };
  });
}

/** Every process of this machine with a canary. */
function processesWith(canaries: Canaries): Process[] {
  const read = (pid: string, name: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, "utf8").replaceAll("\0", "\n");
    } catch {
      return "";
    }
  };
  const all = readdirSync("/proc").map((pid) => ({
    args: read(pid, "cmdline"),
    env: read(pid, "environ"),
  }));
  return all.filter(({ args, env }) => canaries.ownersIn(args + env).length > 0);
}

/** Expects canaries only where the operator has put them, and in the environment of dewy and the given programs. */
function expectProcesses(
  processes: readonly Process[],
  { canaries, inputs }: SetUp,
  ofPrograms: readonly Kind[],
): void {
  const allowed = ({ args }: Process): readonly Kind[] => {
    // Its holder starts dewy again after a crash, with the same environment.
    if (CLIS.some((cli) => args.includes(cli))) return ["driver", "setting", "foreign"];
    const isProgram = [HOOK, READY, "app.cjs"].some((program) => args.includes(program));
    if (isProgram) return ofPrograms;
    // A notifier needs no credentials of registries and other notifiers.
    return args.includes(join(inputs, "notify")) ? ["foreign"] : [];
  };
  const leaks = processes.flatMap((one) => {
    const inEnv = (["driver", "setting", "foreign"] as const)
      .filter((kind) => !allowed(one).includes(kind))
      .flatMap((kind) => canaries.ownersIn(one.env, [kind]));
    // The URL is the command.
    const inArgs = canaries.ownersIn(one.args).filter((owner) => owner !== "--notifier exec");
    const found = [...new Set([...inEnv, ...inArgs])].join(", ");
    return found === "" ? [] : [`${found} in ${one.args.slice(0, 80)}`];
  });
  expect(leaks).toEqual([]);
}

describe("a secret in any option or variable", () => {
  test("does not leave dewy server", async () => {
    const self = await setUp();
    const { canaries, services, cwd, inputs, flags, write, env } = self;
    // They would make the driver sign in as an app, or choose another file.
    for (const name of Object.keys(env)) if (/^GITHUB_(APP|ARTIFACT)/.test(name)) delete env[name];
    const registry = await startGitHub(env.GH_TOKEN ?? "");
    const { github } = registry;
    env.GITHUB_API_URL = registry.url;
    github.publish("v1.0.0", [{ name: ARTIFACT, bytes: await makeArtifact("v1.0.0") }]);
    const [port = 0, adminPort = 0, webhookPort = 0] = await freePorts(3);
    const token = canaries.make("--admin-token-file");
    const envFile = `APP_PASSWORD=${canaries.make("--env-file", "foreign")}\n`;
    const secret = await write("webhook", canaries.make("--webhook-secret-file"));
    const dewy = startDewy(
      DEWY,
      [
        ...["server", "--registry", `ghr://${github.repo}`, "-i", "1s", "--bake", "0", ...flags],
        ...["--log-format", "json", "-p", `${port}`, "--admin-port", `${adminPort}`],
        ...["--admin-token-file", await write("token", token)],
        ...["--webhook-listen", `${webhookPort}`, "--webhook-secret-file", secret],
        ...["--isolate-env", "--env-file", await write("env", envFile), "--ready-command", READY],
        ...["--", process.execPath, await write("app.cjs", APP)],
      ],
      { cwd, env },
    );
    const admin = `http://127.0.0.1:${adminPort}`;
    const headers = { authorization: `Bearer ${token}` };
    await dewy.seen("the admin server", ({ protocols }) => protocols === "admin API");
    const events = openEvents(`${admin}/api/events`, headers);
    await dewy.seen("the first deploy", ({ msg }) => msg === "Deployed");
    const running = processesWith(canaries);
    await fetch(`http://127.0.0.1:${webhookPort}/?token=${token}`, {
      method: "POST",
      headers: { ...headers, "x-hub-signature-256": `sha256=${token}` },
      body: token,
    });
    registry.isFailing = true;
    await dewy.seen("the failed poll", ({ msg }) => msg === "Poll failed");
    registry.isFailing = false;
    github.publish("v1.1.0", [{ name: ARTIFACT, bytes: await makeArtifact("v1.1.0") }]);
    await dewy.seen("the failed deploy", ({ msg }) => msg === "Deploy failed");
    for (const scheme of services.urls.keys()) {
      const isTold = (): boolean => services.received(scheme).join("").includes("v1.1.0");
      await until(isTold, () => `the failure at ${scheme}; log:\n${dewy.stderr()}`);
    }

    const paths = ["/", "/api/status", "/api/history", "/api/containers", "/metrics", "/readyz"];
    const pages = await Promise.all(
      paths.map(async (path) => {
        const response = await fetch(admin + path, { headers });
        return [`${path} of the admin server`, await response.text()] as const;
      }),
    );
    const refused = await (await fetch(`${admin}/api/status?token=${token}`)).text();
    const asked = await Promise.all(
      ["status", "history", "releases"].map(async (command) => {
        const args = [command, "--json", "-d", cwd];
        const { stdout, stderr } = await runDewy(DEWY, args, { cwd, env });
        return [`dewy ${command}`, stdout + stderr] as const;
      }),
    );
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended(), dewy.stderr()).toBe(0);

    const shown = Object.fromEntries([...pages, ...asked]);
    const log = dewy.stderr();
    // The standard output is the app's own.
    await expectNoLeak(self, { ...shown, log, refused, events: events() });
    expectProcesses([...running, ...(await spawned(self))], self, ["foreign"]);
    const programs = (await filesIn(inputs)).filter(([path]) => path.endsWith(".env"));
    for (const kind of ["driver", "setting"] as const) {
      const texts = [...programs.map(([, text]) => text), dewy.stdout()];
      expect(texts.flatMap((text) => canaries.ownersIn(text, [kind]))).toEqual([]);
    }

    // The programs have printed secrets, the registry has repeated them, and all of it was shown.
    for (const [, text] of programs) expect(canaries.ownersIn(text)).toContain("NPM_TOKEN");
    const journal = await readFile(join(cwd, ".dewy", "journal.jsonl"), "utf8");
    const places = [log, journal, events(), shown["/ of the admin server"], shown["dewy history"]];
    for (const text of places) {
      expect(text).toContain("NPM_TOKEN=…");
      expect(text).toContain("Bad request to");
    }
    for (const scheme of services.urls.keys()) {
      expect(services.received(scheme).join(), scheme).toContain("NPM_TOKEN=…");
    }
  });

  test("does not leave dewy assets, whose hooks print all of dewy's environment", async () => {
    const self = await setUp();
    const { services, cwd, env, flags } = self;
    const publisher = await filePublisher();
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const args = ["assets", "--registry", publisher.url, "--once", ...flags];
    const { code, stdout, stderr } = await runDewy(DEWY, args, { cwd, env });
    expect(code, stderr).toBe(0);
    const audits = Object.fromEntries(await filesIn(publisher.directory));
    expect(Object.keys(audits).join()).toContain("shipped_to");
    await expectNoLeak(self, { log: stderr, stdout, ...audits });
    expectProcesses(await spawned(self), self, ["driver", "setting", "foreign"]);
    for (const [scheme, text] of [
      ["the log", stderr] as const,
      ...[...services.urls.keys()].map((one) => [one, services.received(one).join()] as const),
    ]) {
      expect(text, scheme).toContain("NPM_TOKEN=…");
    }
  });

  test.each(cliRuntimes.filter(({ command }) => !command.includes(CLI)))(
    "does not get to the processes around dewy on $name",
    async ({ command }) => {
      const self = await setUp();
      const { cwd, env, write } = self;
      const publisher = await filePublisher();
      await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
      const [port = 0] = await freePorts(1);
      const flags = ["--isolate-env", "--bake", "0", "--log-level", "info", "--log-format", "json"];
      const app = ["--", process.execPath, await write("app.cjs", APP)];
      const args = ["server", "--registry", publisher.url, "-p", `${port}`, ...flags, ...app];
      const dewy = startDewy(command, args, { cwd, env: { ...env, DEWY_NOTIFIER: "" } });
      await dewy.seen("the deploy", ({ msg }) => msg === "Deployed");
      const running = processesWith(self.canaries);
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended(), dewy.stderr()).toBe(0);
      expect(running.some(({ args }) => args.includes("cli.ts"))).toBe(true);
      expectProcesses(running, self, ["foreign"]);
    },
  );

  const registries = Object.keys(hostRegistries).filter((scheme) => scheme !== "file");
  test.each(registries)("does not leave dewy check, although %s:// repeats it", async (scheme) => {
    const canaries = new Canaries();
    const { url, close } = await serveFetch(refuseAll);
    const host = url.replace("http://", "");
    const urls: Record<string, string> = {
      ghr: "ghr://acme/app",
      s3: `s3://us-east-1/bucket/app?endpoint=${url}`,
      gs: "gs://bucket/app",
      img: `img://${host}/app`,
      grpc: `grpc://${host}?no-tls=true&protocol=connect`,
      https: `https://${host}/app?insecure=true`,
    };
    const registry = urls[scheme];
    if (registry === undefined) throw new Error(`there is no URL of ${scheme}:// yet: add one`);
    const secrets = Object.entries(environmentOf(canaries)).filter(
      ([, value]) => canaries.ownersIn(value, ["setting"]).length === 0,
    );
    const io = fakeProcess({
      env: {
        ...Object.fromEntries(secrets),
        GITHUB_API_URL: url,
        GITHUB_APP_PRIVATE_KEY: "",
        DOCKER_USERNAME: "me",
      },
    });
    expect(await run(["check", registry, "--log-level", "debug"], io)).not.toBe(0);
    await close();
    expect(canaries.ownersIn(io.out() + io.err()), io.err()).toEqual([]);
    expect(io.err()).toMatch(scheme === "gs" ? /GOOGLE_APPLICATION/ : /Bad request.*…/s);
  });

  test("is not in an option that is shown", () => {
    const app = ["title", "url", "quiet"];
    expect(shownOptions()).toEqual({
      slack: [...app, "mention", "thread"],
      "slack+https": [...app, "mention"],
      "discord+https": [...app, "mention", "thread_id"],
      "teams+https": [...app, "mention"],
      "ntfy+https": [...app, "priority"],
      smtp: ["to", "from", "subject", "username", "port", "tls", "quiet"],
      https: ["secret-file", "quiet"],
      exec: [],
    });
  });
});

/** Reads server-sent events. Returns what has arrived so far. */
function openEvents(url: string, headers: Record<string, string>): () => string {
  let text = "";
  get(url, { headers }, (response) => {
    response.on("data", (chunk: Buffer) => {
      text += chunk;
    });
    response.on("error", () => {});
  }).on("error", () => {});
  return () => text;
}
