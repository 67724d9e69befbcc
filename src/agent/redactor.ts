import type { Environment, EnvironmentSpec } from "../core/environment.ts";
import { createRedactor, type Redact } from "../core/secret.ts";
import { hostRegistries } from "../host/registries.ts";
import { notifiers } from "../notifiers/table.ts";

/** Returns the function that masks the secrets of these environments in a text. */
export type Redactor = (...environments: readonly Environment[]) => Redact;

type DriverTable = Readonly<Record<string, { readonly environment: readonly EnvironmentSpec[] }>>;

/** The redactor for tables of drivers, which declare the variables that hold secrets. */
export function redactorOf(...tables: readonly DriverTable[]): Redactor {
  const drivers = tables.flatMap((table) => Object.values(table));
  const variables = drivers.flatMap(({ environment }) => environment);
  return (...environments) => createRedactor(variables, ...environments);
}

/** The redactor for dewy's own drivers. */
export const redactor: Redactor = redactorOf(hostRegistries, notifiers);
