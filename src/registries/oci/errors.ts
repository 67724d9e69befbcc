import * as v from "valibot";
import { bytesToHex } from "../../core/encoding.ts";
import { type DewyError, IntegrityError, RemoteError } from "../../core/error.ts";
import { redactText } from "../../core/secret.ts";
import { redactUrl } from "../../core/url.ts";
import { failureError, type HttpFailure } from "../../http/errors.ts";
import { parseJsonIfValid, parseSchema } from "../../http/json.ts";

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
const ErrorBody = v.object({
  errors: v.pipe(
    v.array(
      v.object({
        code: v.optional(v.string(), ""),
        message: v.optional(v.nullable(v.string()), ""),
      }),
    ),
    v.minLength(1),
  ),
});

/** Converts a failed response into a `DewyError` with the registry's own code and message, but without the secrets. */
export function ociError(failure: HttpFailure, secrets: readonly string[] = []): DewyError {
  return failureError({ ...failure, message: ociMessage(failure, secrets) });
}

/** The code and message of the registry's first error, else the text of its body, on one line; may be empty. */
export function ociMessage(
  { body, message }: Pick<HttpFailure, "body" | "message">,
  secrets: readonly string[] = [],
): string {
  const parsed = v.safeParse(ErrorBody, parseJsonIfValid(body));
  const first = parsed.success ? parsed.output.errors[0] : undefined;
  if (first === undefined) return redactText(message, secrets);
  const text = [first.code, first.message ?? ""].filter((part) => part !== "").join(": ");
  return redactText(text, secrets)
    .replace(/[\s\p{Cc}]+/gu, " ")
    .slice(0, 200);
}

export function parseResponse<S extends v.GenericSchema>(
  schema: S,
  response: unknown,
  url: string | URL,
): v.InferOutput<S> {
  const shown = redactUrl(url);
  return parseSchema(
    schema,
    response,
    (problem) =>
      new RemoteError(`Cannot read ${shown}: ${problem}`, {
        method: "GET",
        url: shown,
        retryable: false,
      }),
  );
}

/** Throws an IntegrityError if the digest of the text, `sha256:…` or `sha512:…`, is another. */
export async function checkDigest(text: string, digest: string, url: string | URL): Promise<void> {
  const algorithm = digest.startsWith("sha512:") ? "SHA-512" : "SHA-256";
  const hash = await crypto.subtle.digest(algorithm, new TextEncoder().encode(text));
  const hex = bytesToHex(new Uint8Array(hash));
  if (digest.endsWith(`:${hex}`)) return;
  throw new IntegrityError(
    `Cannot use ${redactUrl(url)}: the digest should be ${digest}, but is ${algorithm.toLowerCase().replace("-", "")}:${hex}`,
  );
}
