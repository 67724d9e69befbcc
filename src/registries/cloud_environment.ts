import type { EnvironmentSpec } from "./driver.ts";

/** What says who dewy is at AWS. */
export const AWS_VARIABLES: readonly EnvironmentSpec[] = [
  {
    name: "AWS_ACCESS_KEY_ID",
    description: "Access key; without one: the machine's own credentials, then anonymous",
    secret: true,
    value: "token",
  },
  { name: "AWS_SECRET_ACCESS_KEY", description: "Secret of the access key", secret: true },
  {
    name: "AWS_SESSION_TOKEN",
    description: "Session token of temporary credentials",
    secret: true,
    value: "token",
  },
  {
    name: "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    description: "Token for the credential service of AWS_CONTAINER_CREDENTIALS_FULL_URI",
    secret: true,
    value: "token",
  },
  {
    name: "AWS_PROFILE",
    description:
      "The profile that credentials and endpoint_url come from, where it is not the default one",
    secret: false,
  },
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
  {
    name: "CLOUDSDK_CONFIG",
    description: "The directory of gcloud's credentials",
    secret: false,
  },
  {
    name: "GOOGLE_CLOUD_QUOTA_PROJECT",
    description: "The project that pays for the requests",
    secret: false,
  },
  {
    name: "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
    description: "The domain of Google's servers, where it is not googleapis.com",
    secret: false,
  },
  {
    name: "GCE_METADATA_HOST",
    description: "The metadata server, where it is not Google's own",
    secret: false,
  },
  {
    name: "NO_GCE_CHECK",
    description: "true: the metadata server is not asked",
    secret: false,
  },
];
