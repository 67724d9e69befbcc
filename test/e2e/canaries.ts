import { randomBytes } from "node:crypto";
import type { EnvironmentSpec } from "../../src/core/environment.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import type { NotifierDriver } from "../../src/notifiers/driver.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { TELEMETRY_ENVIRONMENT } from "../../src/telemetry/environment.ts";

/**
 * `driver`: a secret that a driver or the telemetry reads. `setting`: what a driver reads, but may be
 * shown. `foreign`: a secret of other programs, which `--isolate-env` passes on.
 */
export type Kind = "driver" | "setting" | "foreign";

/** Made-up secrets that are found in any text, whole, cut short, or in base64. */
export class Canaries {
  /** Other tests may run on this machine. */
  readonly #run = randomBytes(4).toString("hex");
  readonly #shape = new RegExp(`(canary|setting)${this.#run}_(\\d{0,4})`, "gi");
  readonly #encoded = [0, 1, 2].map((offset) => base64Of(`Canary${this.#run}_`, offset));
  readonly #owners: { owner: string; kind: Kind }[] = [];
  readonly #numbers = new Map<string, number>();

  make(owner: string, kind: Kind = "driver"): string {
    const number = this.#owners.push({ owner, kind }) - 1;
    const word = kind === "setting" ? "Setting" : "Canary";
    return `${word}${this.#run}_${String(number).padStart(4, "0")}_q7ZkX3vB`;
  }

  /** For where only digits are allowed. */
  makeDigits(owner: string): string {
    const number = this.#owners.push({ owner, kind: "driver" }) - 1;
    const digits = `9007199254${String(number).padStart(6, "0")}`;
    this.#numbers.set(digits, number);
    return digits;
  }

  /** The owners of the canaries in a text. */
  ownersIn(text: string, kinds: readonly Kind[] = ["driver", "foreign"]): string[] {
    const found = Array.from(text.matchAll(this.#shape), ([, word, digits = ""]) => ({
      word,
      digits,
    }));
    const isCut = found.some(({ word, digits }) => word !== "Setting" && digits.length < 4);
    const cut = isCut ? ["one that was cut short"] : [];
    const encoded = this.#encoded.some((part) => text.includes(part)) ? ["one in base64"] : [];
    const whole = found.flatMap(({ digits }) => (digits.length < 4 ? [] : [Number(digits)]));
    const literal = [...this.#numbers].filter(([digits]) => text.includes(digits));
    const numbers = new Set([...whole, ...literal.map(([, number]) => number)]);
    const owners = [...numbers].flatMap((number) => {
      const { owner, kind } = this.#owners[number] ?? { owner: "?", kind: "driver" };
      return kinds.includes(kind) ? [owner] : [];
    });
    return [...owners, ...cut, ...encoded];
  }
}

/** The part of the base64 of a text that does not depend on what is before and after it. */
function base64Of(text: string, offset: number): string {
  const encoded = Buffer.from(" ".repeat(offset) + text).toString("base64");
  return encoded.slice(Math.ceil((offset * 4) / 3), -4);
}

const drivers = [...Object.values(hostRegistries), ...new Set(Object.values(notifiers))];

/** A canary in every variable of every table, and in some that only other programs read. */
export function environmentOf(canaries: Canaries): Record<string, string> {
  const own = drivers.flatMap(({ environment }) => environment);
  const telemetry = TELEMETRY_ENVIRONMENT.filter(({ secret }) => secret !== false);
  const variables = [...own, ...telemetry].map((spec) => [spec.name, canaryFor(spec, canaries)]);
  return {
    ...Object.fromEntries(variables),
    NPM_TOKEN: canaries.make("NPM_TOKEN", "foreign"),
    DATABASE_URL: `postgres://app:${canaries.make("DATABASE_URL", "foreign")}@db.example/app`,
    // Without the password, it is passed on.
    ALL_PROXY: `http://me:${canaries.make("ALL_PROXY")}@127.0.0.1:1`,
    NO_PROXY: "localhost,127.0.0.1",
  };
}

function canaryFor({ name, secret }: EnvironmentSpec, canaries: Canaries): string {
  const canary = canaries.make(name, secret === false ? "setting" : "driver");
  if (secret === "json")
    return JSON.stringify({
      type: "service_account",
      client_email: "a@example.com",
      private_key: canary,
    });
  if (secret === "pairs") return `x-key=${canary},authorization=Bearer%20${canaries.make(name)}`;
  return canary;
}

/** The options of notifiers whose values are shown, as their tables say. */
export function shownOptions(): Record<string, string[]> {
  return Object.fromEntries(
    Object.values(notifiers).map(({ scheme, options }) => [
      scheme,
      options.flatMap(({ name, secret }) => (secret === true ? [] : [name])),
    ]),
  );
}

/** What a notifier's URL leads to in a test. */
export interface Local {
  /** `localhost:1234`, with the user if there is one. */
  authority: string;
  /** A script for URLs that are commands. */
  script: string;
  /** Returns the path of a new file with this text. */
  file(text: string): string;
}

/**
 * The URL of a driver's example, at a local server, with canaries for what is secret: the path of a
 * secret URL, options that are secret, and keys of the query that are not options.
 */
export function urlWithCanaries(
  scheme: string,
  driver: NotifierDriver,
  canaries: Canaries,
  local: Local,
): string {
  const owner = `--notifier ${scheme}`;
  if (driver.isOpaque) return `${scheme}:${local.script} ${canaries.make(owner)}`;
  const [, path = "", query = ""] = /^[^:]+:\/\/[^/?]*([^?]*)\??(.*)$/.exec(driver.example) ?? [];
  const options = new Map(driver.options.map((option) => [option.name, option]));
  const shown = (key: string): boolean => options.has(key) && options.get(key)?.secret !== true;
  const pairs = query.split("&").flatMap((pair) => {
    const [key = "", value = ""] = pair.split("=");
    if (key === "") return [];
    if (key.endsWith("-file")) return [`${key}=${local.file(canaries.make(`${owner} ${key}`))}`];
    return [`${key}=${shown(key) ? value : canaries.make(`${owner} ${key}`)}`];
  });
  const secrets = driver.options.flatMap(({ name, secret }) =>
    secret === true ? [`${name}=${canaries.make(`${owner} ${name}`)}`] : [],
  );
  const place = local.authority + pathOf(path, driver, owner, canaries);
  return `${scheme}://${place}?${[...pairs, ...secrets].join("&")}`;
}

function pathOf(
  path: string,
  { isSecretUrl }: NotifierDriver,
  owner: string,
  canaries: Canaries,
): string {
  if (isSecretUrl !== true) return path;
  const filled = path
    .replaceAll("<id>", () => canaries.makeDigits(owner))
    .replaceAll(/<\w+>/g, () => canaries.make(owner));
  return filled === path ? path.replace(/[^/]*$/, canaries.make(owner)) : filled;
}
