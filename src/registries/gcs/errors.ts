import * as v from "valibot";
import type { GoogleAuth } from "../../auth/google/client.ts";
import {
  CredentialError,
  type DewyError,
  IntegrityError,
  NotFoundError,
  RemoteError,
} from "../../core/error.ts";
import { redactText } from "../../core/secret.ts";
import { describeFailure, failureError, type HttpFailure } from "../../http/errors.ts";
import { parseJsonIfValid } from "../../http/json.ts";

const ROLES =
  "dewy needs storage.objects.list and storage.objects.get (the role Storage Object Viewer) and, for its audit record, storage.objects.create";
const WRITE_ROLE = "writing takes storage.objects.create, a cache the role Storage Object User";
const ErrorBody = v.object({
  error: v.object({
    message: v.optional(v.string(), ""),
    errors: v.optional(v.array(v.object({ reason: v.optional(v.string(), "") })), []),
  }),
});

/**
 * Makes a function for `HttpRequest.toError`. An emulator has no `auth`.
 *
 * @see https://cloud.google.com/storage/docs/json_api/v1/status-codes
 */
export function gcsError(
  bucket: string,
  auth: Pick<GoogleAuth, "source" | "tried"> | undefined,
): (failure: HttpFailure) => DewyError {
  return (response) => {
    const { message, reason } = parseBody(response);
    const failure = { ...response, message };
    const { status, method, url, retryAfterMs } = failure;
    const what = describeFailure(failure);
    if (status === 403 && /rateLimitExceeded$/i.test(reason)) {
      return new RemoteError(what, { method, url, status, code: "rate-limited", retryAfterMs });
    }
    if (status === 401 || status === 403) {
      const roles = status === 403 && method === "POST" ? WRITE_ROLE : ROLES;
      return new CredentialError(`${what}; ${refused(auth, roles)}`);
    }
    if (status === 404) {
      const missing = /\/o\/[^?]/.test(url) ? "the object" : `the bucket "${bucket}"`;
      return new NotFoundError(
        `${what}; ${missing} does not exist, or the credentials do not show it`,
      );
    }
    if (status === 412) {
      return new IntegrityError(`${what}; the object was replaced in the meantime; start again`);
    }
    return failureError(failure);
  };
}

function refused(auth: Pick<GoogleAuth, "source" | "tried"> | undefined, roles: string): string {
  if (auth === undefined) return "the server at STORAGE_EMULATOR_HOST requires credentials";
  if (auth.source === undefined) {
    return `the request was sent without credentials, none were found in ${auth.tried.join(", ")}`;
  }
  return `with the credentials of ${auth.source}; ${roles}`;
}

function parseBody({ body, message }: HttpFailure): { message: string; reason: string } {
  const parsed = v.safeParse(ErrorBody, parseJsonIfValid(body));
  if (!parsed.success) return { message, reason: "" };
  const { error } = parsed.output;
  const line = redactText(error.message).replace(/\s+/g, " ").trim().slice(0, 200);
  return { message: line, reason: error.errors[0]?.reason ?? "" };
}
