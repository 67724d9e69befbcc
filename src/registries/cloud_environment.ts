import { secretVariable, variable } from "../core/environment.ts";
import type { EnvironmentSpec } from "./driver.ts";

/** What says who dewy is at AWS. */
export const AWS_VARIABLES: readonly EnvironmentSpec[] = [
  secretVariable(
    "AWS_ACCESS_KEY_ID",
    "Access key; without one: the machine's own credentials, then anonymous",
    "token",
  ),
  secretVariable("AWS_SECRET_ACCESS_KEY", "Secret of the access key"),
  secretVariable("AWS_SESSION_TOKEN", "Session token of temporary credentials", "token"),
  secretVariable(
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "Token for the credential service of AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "token",
  ),
  variable(
    "AWS_PROFILE",
    "The profile that credentials and endpoint_url come from, where it is not the default one",
  ),
];

/** What says who dewy is at Google. */
export const GOOGLE_VARIABLES: readonly EnvironmentSpec[] = [
  {
    name: "GOOGLE_APPLICATION_CREDENTIALS",
    description:
      "Path of a credential file, or its JSON; without: gcloud's, the machine's own, then anonymous",
    secret: "json",
    value: "text",
  },
  variable("CLOUDSDK_CONFIG", "The directory of gcloud's credentials"),
  variable("GOOGLE_CLOUD_QUOTA_PROJECT", "The project that pays for the requests"),
  variable(
    "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
    "The domain of Google's servers, where it is not googleapis.com",
  ),
  variable("GCE_METADATA_HOST", "The metadata server, where it is not Google's own"),
  variable("NO_GCE_CHECK", "true: the metadata server is not asked"),
];
