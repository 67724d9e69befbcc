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
import { failureError, type HttpFailure } from "../../http/errors.ts";

const ROLES =
  "dewy needs storage.objects.list and storage.objects.get (the role Storage Object Viewer) and, for its audit record, storage.objects.create";
const ErrorBody = v.object({
  error: v.object({
    message: v.optional(v.string(), ""),
    errors: v.optional(v.array(v.object({ reason: v.optional(v.string(), "") })), []),
  }),
});

/**
 * Translates an error answer of Google Cloud Storage.
 *
 * @param bucket the bucket that was asked.
 * @param auth who asked; `undefined`: an emulator was asked, which knows no credentials.
 * @returns a function for `HttpRequest.toError`.
 * @see https://cloud.google.com/storage/docs/json_api/v1/status-codes
 */
export function gcsError(
  bucket: string,
  auth: Pick<GoogleAuth, "source" | "tried"> | undefined,
): (failure: HttpFailure) => DewyError {
  return (answer) => {
    const { message, reason } = parseBody(answer);
    const failure = { ...answer, message };
    const { status, method, url } = failure;
    const what = `Cannot ${method} ${url}: HTTP ${status}${message === "" ? "" : `: ${message}`}`;
    if (status === 403 && /rateLimitExceeded$/i.test(reason)) {
      const { retryAfterMs } = failure;
      const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
      return new RemoteError(what, { method, url, status, code: "rate-limited", ...wait });
    }
    if (status === 401 || status === 403) return new CredentialError(`${what}; ${refused(auth)}`);
    if (status === 404) {
      const missing = /\/o\/[^?]/.test(url) ? "the object" : `the bucket "${bucket}"`;
      return new NotFoundError(`${what}; ${missing} is not there, or the credentials hide it`);
    }
    if (status === 412) {
      return new IntegrityError(`${what}; the object was replaced meanwhile, start anew`);
    }
    return failureError(failure);
  };
}

function refused(auth: Pick<GoogleAuth, "source" | "tried"> | undefined): string {
  if (auth === undefined) return "the server at STORAGE_EMULATOR_HOST wants credentials";
  if (auth.source === undefined) {
    return `asked without credentials, none were found in ${auth.tried.join(", ")}`;
  }
  return `with the credentials of ${auth.source}; ${ROLES}`;
}

function parseBody({ body, message }: HttpFailure): { message: string; reason: string } {
  try {
    const parsed = v.safeParse(ErrorBody, JSON.parse(body));
    if (!parsed.success) return { message, reason: "" };
    const { message: said, errors } = parsed.output.error;
    const line = redactText(said).replace(/\s+/g, " ").trim().slice(0, 200);
    return { message: line, reason: errors[0]?.reason ?? "" };
  } catch {
    return { message, reason: "" };
  }
}
