/**
 * The credential files of Google, reduced to what dewy reads.
 *
 * @module
 */
import * as v from "valibot";
import { ConfigError } from "../../core/error.ts";

/** What every credential file can say. */
interface CredentialBase {
  /** The project that pays for the requests. */
  quota_project_id?: string | undefined;
  /** The domain of the servers that they are for; the public cloud's unless told. */
  universe_domain?: string | undefined;
}

/** A key of a service account. https://developers.google.com/identity/protocols/oauth2/service-account */
export interface ServiceAccountKey extends CredentialBase {
  type: "service_account";
  client_email: string;
  /** PEM. */
  private_key: string;
  private_key_id?: string | undefined;
  token_uri: string;
}

/** What `gcloud auth application-default login` leaves. */
export interface AuthorizedUser extends CredentialBase {
  type: "authorized_user";
  client_id: string;
  client_secret: string;
  refresh_token: string;
}

/** Workload identity federation. https://google.aip.dev/auth/4117 */
export interface ExternalAccount extends CredentialBase {
  type: "external_account";
  audience: string;
  subject_token_type: string;
  token_url: string;
  service_account_impersonation_url?: string | undefined;
  service_account_impersonation?: { token_lifetime_seconds?: number | undefined } | undefined;
  workforce_pool_user_project?: string | undefined;
  client_id?: string | undefined;
  client_secret?: string | undefined;
  credential_source: {
    file?: string | undefined;
    url?: string | undefined;
    headers: Record<string, string>;
    format: { type: "text" } | { type: "json"; subject_token_field_name: string };
  };
}

/** What `gcloud auth application-default login --impersonate-service-account` leaves. */
export interface ImpersonatedAccount extends CredentialBase {
  type: "impersonated_service_account";
  service_account_impersonation_url: string;
  delegates: string[];
  source_credentials: ServiceAccountKey | AuthorizedUser;
}

/** Any of them. */
export type CredentialFile =
  | ServiceAccountKey
  | AuthorizedUser
  | ExternalAccount
  | ImpersonatedAccount;

const text = v.pipe(v.string(), v.nonEmpty());
const common = {
  quota_project_id: v.optional(text),
  universe_domain: v.optional(v.string()),
};

const serviceAccount = v.object({
  type: v.literal("service_account"),
  client_email: text,
  private_key: text,
  private_key_id: v.optional(text),
  token_uri: v.optional(text, "https://oauth2.googleapis.com/token"),
  ...common,
});

const authorizedUser = v.object({
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

const externalAccount = v.object({
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

const impersonated = v.object({
  type: v.literal("impersonated_service_account"),
  service_account_impersonation_url: text,
  delegates: v.optional(v.array(text), []),
  source_credentials: v.variant("type", [serviceAccount, authorizedUser]),
  ...common,
});

const credentialFile: v.GenericSchema<unknown, CredentialFile> = v.variant("type", [
  serviceAccount,
  authorizedUser,
  externalAccount,
  impersonated,
]);

/**
 * Reads a credential file.
 *
 * @param json its text.
 * @param source where it came from, for errors.
 * @returns the credentials.
 * @throws ConfigError that names the first field that is wrong; never its value.
 */
export function parseCredentialFile(json: string, source: string): CredentialFile {
  const result = v.safeParse(credentialFile, parseJson(json, source), { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new ConfigError(
    `Cannot use ${source}: ${v.getDotPath(issue) ?? "it"} should be ${issue.expected ?? issue.type}`,
  );
}

function parseJson(json: string, source: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // The cause stays out of it: some runtimes quote the text.
    throw new ConfigError(`Cannot use ${source}: it is no JSON`);
  }
}
