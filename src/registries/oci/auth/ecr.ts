import * as v from "valibot";
import { type AwsContext, findCredentials } from "../../../auth/aws_credentials.ts";
import { signAws } from "../../../auth/aws_sign.ts";
import type { Clock } from "../../../core/clock.ts";
import { CredentialError } from "../../../core/error.ts";
import type { HttpClient } from "../../../http/client.ts";
import { checkAnswer } from "../error.ts";
import type { OciCredential } from "./credential.ts";

/** A private registry of Amazon ECR, read from its host. */
export interface EcrHost {
  /** The region. */
  region: string;
  /** The host of ECR's API. */
  api: string;
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html#registry_concepts and its dual-stack form
const CLASSIC = /^\d+\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)$/;
const DUAL_STACK = /^\d+\.dkr-ecr(-fips)?\.([a-z0-9-]+)\.on\.(aws|amazonwebservices\.com\.cn)$/;

/**
 * Reads the host of a private ECR registry.
 *
 * @param host the registry's host.
 * @returns its region and API; `undefined` when it is no such registry (`public.ecr.aws` is none).
 */
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

// The shape of the answer: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
const Answer = v.object({
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

/** What asking ECR needs. */
export interface EcrIo extends AwsContext {
  /** The client. */
  http: HttpClient;
  /** Time. */
  clock: Clock;
}

/**
 * Exchanges AWS credentials for a password of ECR, which lasts 12 hours.
 *
 * @param host the registry.
 * @param io where AWS credentials come from, and the world.
 * @param signal ends the call.
 * @returns the password; `undefined` when there are no AWS credentials.
 * @throws CredentialError when they are refused.
 */
export async function ecrPassword(
  host: EcrHost,
  io: EcrIo,
  signal: AbortSignal | undefined,
): Promise<OciCredential | undefined> {
  const credentials = await findCredentials(io);
  if (credentials === undefined) return undefined;
  const url = `https://${host.api}/`;
  const body = "{}";
  const answer = await io.http.json({
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
        now: io.clock.now(),
      }),
    // AWS says 400 for credentials that it does not accept.
    toError: (failure) =>
      failure.status === 400 || failure.status === 403
        ? new CredentialError(
            `Cannot get a password of ECR from ${host.api}: HTTP ${failure.status}: ${failure.message}`,
          )
        : undefined,
  });
  const [data] = checkAnswer(Answer, answer, url).authorizationData;
  const [username = "", password = ""] = atob(data?.authorizationToken ?? "").split(/:(.*)/s);
  return { kind: "basic", username, password, expiresAt: (data?.expiresAt ?? 0) * 1000 };
}
