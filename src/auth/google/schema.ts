import * as v from "valibot";
import { ConfigError } from "../../core/error.ts";
import { parseSchema } from "../../http/json.ts";

const text = v.pipe(v.string(), v.nonEmpty());
const common = {
  quota_project_id: v.optional(text),
  universe_domain: v.optional(v.string()),
};

/** https://developers.google.com/identity/protocols/oauth2/service-account */
const ServiceAccountKey = v.object({
  type: v.literal("service_account"),
  client_email: text,
  private_key: text,
  private_key_id: v.optional(text),
  token_uri: v.optional(text, "https://oauth2.googleapis.com/token"),
  ...common,
});

/** Written by `gcloud auth application-default login`. */
const AuthorizedUser = v.object({
  type: v.literal("authorized_user"),
  client_id: text,
  client_secret: text,
  refresh_token: text,
  ...common,
});

const format = v.optional(
  v.variant("type", [
    v.object({ type: v.literal("text") }),
    v.object({ type: v.literal("json"), subject_token_field_name: text }),
  ]),
  { type: "text" },
);

/** Workload identity federation: https://google.aip.dev/auth/4117 */
const ExternalAccount = v.object({
  type: v.literal("external_account"),
  audience: text,
  subject_token_type: text,
  token_url: text,
  service_account_impersonation_url: v.optional(text),
  service_account_impersonation: v.optional(
    v.object({
      token_lifetime_seconds: v.optional(
        v.pipe(v.number(), v.integer(), v.minValue(600), v.maxValue(43_200)),
      ),
    }),
  ),
  workforce_pool_user_project: v.optional(text),
  client_id: v.optional(text),
  client_secret: v.optional(text),
  credential_source: v.object({
    file: v.optional(text),
    url: v.optional(text),
    headers: v.optional(v.record(v.string(), v.string()), {}),
    format,
  }),
  ...common,
});

/** Written by `gcloud auth application-default login --impersonate-service-account`. */
const ImpersonatedAccount = v.object({
  type: v.literal("impersonated_service_account"),
  service_account_impersonation_url: text,
  delegates: v.optional(v.array(text), []),
  source_credentials: v.variant("type", [ServiceAccountKey, AuthorizedUser]),
  ...common,
});

const CredentialFile = v.variant("type", [
  ServiceAccountKey,
  AuthorizedUser,
  ExternalAccount,
  ImpersonatedAccount,
]);

export type ServiceAccountKey = v.InferOutput<typeof ServiceAccountKey>;
export type AuthorizedUser = v.InferOutput<typeof AuthorizedUser>;
export type ExternalAccount = v.InferOutput<typeof ExternalAccount>;
export type ImpersonatedAccount = v.InferOutput<typeof ImpersonatedAccount>;
export type CredentialFile = v.InferOutput<typeof CredentialFile>;

/** The ConfigError names the first invalid field, but never shows its value. */
export function parseCredentialFile(json: string, source: string): CredentialFile {
  const fail = (problem: string): ConfigError =>
    new ConfigError(`Cannot use ${source}: ${problem}`);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // Without the cause, since some runtimes quote the text.
    throw fail("it is not JSON");
  }
  return parseSchema(CredentialFile, value, fail, "it");
}
