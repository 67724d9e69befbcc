/**
 * A real Prometheus, Debian's.
 *
 * Debian: `apt-get install -y --no-install-recommends prometheus`; its service need not run.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { until } from "../e2e/dewy.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { missingPeer } from "./missing_peer.ts";
import { freePort } from "./ports.ts";

/** Returns why Prometheus cannot be started here; see {@link missingPeer}. */
export function missingPrometheus(): string | undefined {
  return missingPeer(["prometheus", "promtool"], "prometheus");
}

export interface Prometheus {
  url: string;
  /** Evaluates an expression now. Rejects with Prometheus' reason if it is invalid. */
  query(expression: string): Promise<{ labels: Record<string, string>; value: number }[]>;
  /** The rules with their health: `ok`, or the error of their last evaluation. */
  rules(): Promise<{ name: string; health: string; state: string }[]>;
}

/** The only user of a Prometheus that requires a password. */
export const USER = { name: "dewy", password: "secret-of-the-rollout" };
// python3: crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))
const HASH = "$2b$04$Xj4rdP4vATiXxS1ahlZ2luyRG5hy1aoVV1a7.j5YT2g10T3WLbXZy";

export interface PrometheusSettings {
  ruleFile?: string;
  /** Whether only {@link USER} may ask. */
  isProtected?: boolean;
}

/** Scrapes the targets each second, until the test ends. */
export async function startPrometheus(
  targets: readonly string[],
  { ruleFile, isProtected = false }: PrometheusSettings,
): Promise<Prometheus> {
  const directory = await tempDirectory();
  const config = join(directory, "prometheus.json");
  // JSON is YAML.
  const scrape = { job_name: "dewy", scrape_interval: "1s", static_configs: [{ targets }] };
  await writeFile(
    config,
    JSON.stringify({
      global: { evaluation_interval: "1s" },
      rule_files: ruleFile === undefined ? [] : [ruleFile],
      scrape_configs: [scrape],
    }),
  );
  const webConfig = join(directory, "web.json");
  const users = isProtected ? { basic_auth_users: { [USER.name]: HASH } } : {};
  await writeFile(webConfig, JSON.stringify(users));
  const authorization = `Basic ${btoa(`${USER.name}:${USER.password}`)}`;
  const headers: Record<string, string> = isProtected ? { authorization } : {};
  const address = `127.0.0.1:${await freePort()}`;
  const child = spawn(
    "prometheus",
    [
      `--config.file=${config}`,
      `--web.config.file=${webConfig}`,
      `--storage.tsdb.path=${join(directory, "data")}`,
      `--web.listen-address=${address}`,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  child.stderr.on("data", (chunk) => {
    log += chunk;
  });
  const closed = once(child, "close");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await closed;
  });
  const get = async <T>(path: string): Promise<T> => {
    const response = await fetch(`http://${address}/api/v1/${path}`, { headers });
    const { data, error } = (await response.json()) as { data: T; error?: string };
    if (error !== undefined) throw new Error(error);
    return data;
  };
  const isReady = (): Promise<boolean> =>
    fetch(`http://${address}/-/ready`, { headers }).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(isReady, () => `Prometheus; log:\n${log}`);
  return {
    url: `http://${address}`,
    async query(expression) {
      const { result } = await get<{
        result: { metric: Record<string, string>; value: unknown[] }[];
      }>(`query?${new URLSearchParams({ query: expression })}`);
      return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
    },
    async rules() {
      const { groups } = await get<{
        groups: { rules: { name: string; health: string; lastError?: string; state: string }[] }[];
      }>("rules");
      return groups.flatMap(({ rules }) =>
        rules.map(({ name, health, lastError, state }) => ({
          name,
          health: lastError ?? health,
          state,
        })),
      );
    },
  };
}
