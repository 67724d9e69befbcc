import * as v from "valibot";
import { type AwsContext, findCredentials } from "../../../auth/aws_credentials.ts";
import { signAws } from "../../../auth/aws_sign.ts";
import type { Context } from "../../../core/context.ts";
import { CredentialError } from "../../../core/error.ts";
import type { HttpClient } from "../../../http/client.ts";
import { parseResponse } from "../errors.ts";
import type { OciCredential } from "./credential.ts";

export interface EcrHost {
  region: string;
  api: string;
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html#registry_concepts and its dual-stack form
const CLASSIC = /^\d+\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)$/;
const DUAL_STACK = /^\d+\.dkr-ecr(-fips)?\.([a-z0-9-]+)\.on\.(aws|amazonwebservices\.com\.cn)$/;

/** Parses the host of a private ECR registry. (`public.ecr.aws` is a public one.) */
export function readEcrHost(host: string): EcrHost | undefined {
  const name = host.toLowerCase();
  const [, fips = "", region, domain] = CLASSIC.exec(name) ?? [];
  if (region !== undefined && domain !== undefined) {
    const api = fips === "" ? `api.ecr.${region}.${domain}` : `ecr-fips.${region}.${domain}`;
    return { region, api };
  }
  const [, dualFips = "", dualRegion, dualDomain] = DUAL_STACK.exec(name) ?? [];
  if (dualRegion === undefined) return undefined;
  const api = dualDomain === "aws" ? "api.aws" : "api.amazonwebservices.com.cn";
  return { region: dualRegion, api: `ecr${dualFips}.${dualRegion}.${api}` };
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
const TokenResponse = v.object({
  authorizationData: v.pipe(
    v.array(
      v.object({
        authorizationToken: v.pipe(v.string(), v.base64()),
        expiresAt: v.number(),
      }),
    ),
    v.minLength(1),
  ),
});

export interface EcrContext extends AwsContext, Pick<Context, "clock"> {
  http: HttpClient;
}

/** Exchanges AWS credentials for a password, which is valid for 12 hours. `undefined` without AWS credentials. */
export async function ecrPassword(
  host: EcrHost,
  context: EcrContext,
  signal: AbortSignal | undefined,
): Promise<OciCredential | undefined> {
  const credentials = await findCredentials(context);
  if (credentials === undefined) return undefined;
  const url = `https://${host.api}/`;
  const body = "{}";
  const response = await context.http.json({
    method: "POST",
    url,
    body,
    signal,
    idempotent: true,
    redirect: "error",
    headers: {
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
    },
    sign: (request) =>
      signAws(request, {
        credentials,
        service: "ecr",
        region: host.region,
        now: context.clock.now(),
      }),
    // AWS answers 400 to credentials that it does not accept.
    toError: (failure) =>
      failure.status === 400 || failure.status === 403
        ? new CredentialError(
            `Cannot get a password for ECR from ${host.api}: HTTP ${failure.status}: ${failure.message}`,
          )
        : undefined,
  });
  const [data] = parseResponse(TokenResponse, response, url).authorizationData;
  const [username = "", password = ""] = atob(data?.authorizationToken ?? "").split(/:(.*)/s);
  return { kind: "basic", username, password, expiresAt: (data?.expiresAt ?? 0) * 1000 };
}
