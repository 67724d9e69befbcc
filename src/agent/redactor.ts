import { caches } from "../cache/table.ts";
import type { Environment, EnvironmentSpec } from "../core/environment.ts";
import { createRedactor, type Redact } from "../core/secret.ts";
import { declarePrintable, type PrintableKeys } from "../core/url.ts";
import { CHECK_ENVIRONMENT } from "../fleet/check/environment.ts";
import { hostRegistries } from "../host/registries.ts";
import { notifiers } from "../notifiers/table.ts";
import { TELEMETRY_SECRETS } from "../telemetry/environment.ts";

/** Returns the function that masks the secrets of these environments in a text. */
export type Redactor = (...environments: readonly Environment[]) => Redact;

type Table = Readonly<
  Record<string, PrintableKeys & { readonly environment: readonly EnvironmentSpec[] }>
>;

/** The redactor of some tables of drivers, which say which variables hold secrets. */
export function redactorOf(...tables: readonly Table[]): Redactor {
  for (const table of tables) declarePrintable(table);
  const drivers = tables.flatMap((table) => Object.values(table));
  const declared = drivers.flatMap(({ environment }) => environment);
  const variables = [...declared, ...TELEMETRY_SECRETS, ...CHECK_ENVIRONMENT];
  return (...environments) => {
    // Made for the first text: a command that logs nothing need not compile the secrets of its environment.
    let redact: Redact | undefined;
    return (text) => {
      redact ??= createRedactor(variables, ...environments);
      return redact(text);
    };
  };
}

/** The redactor for dewy's own drivers. */
export const redactor: Redactor = redactorOf(hostRegistries, notifiers, caches);
