import * as v from "valibot";
import { bytesToHex } from "../../core/encoding.ts";
import { type DewyError, IntegrityError, RemoteError } from "../../core/error.ts";
import { redactText } from "../../core/secret.ts";
import { redactUrl } from "../../core/url.ts";
import { failureError, type HttpFailure } from "../../http/errors.ts";

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
const Errors = v.object({
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

/**
 * Translates a registry's answer to an error of ours, with the registry's own code and words.
 *
 * @param failure the answer.
 * @param secrets what was sent and must not come back.
 * @returns the error to throw.
 */
export function ociError(failure: HttpFailure, secrets: readonly string[] = []): DewyError {
  return failureError({ ...failure, message: ociMessage(failure, secrets) });
}

/**
 * A registry's own words: the code and message of its first error, else what its body says.
 *
 * @param failure the answer.
 * @param secrets what was sent and must not come back.
 * @returns one short line; may be empty.
 */
export function ociMessage(
  { body, message }: Pick<HttpFailure, "body" | "message">,
  secrets: readonly string[] = [],
): string {
  const [first] = spokenErrors(body);
  if (first === undefined) return redactText(message, secrets);
  const words = [first.code, first.message ?? ""].filter((part) => part !== "").join(": ");
  return redactText(words, secrets)
    .replace(/[\s\p{Cc}]+/gu, " ")
    .slice(0, 200);
}

function spokenErrors(body: string): v.InferOutput<typeof Errors>["errors"] {
  try {
    const parsed = v.safeParse(Errors, JSON.parse(body));
    return parsed.success ? parsed.output.errors : [];
  } catch {
    return [];
  }
}

/**
 * Checks an answer against a schema.
 *
 * @param schema what it should be.
 * @param answer the answer.
 * @param url where it came from.
 * @returns the checked answer.
 * @throws RemoteError that names the field.
 */
export function checkAnswer<T>(
  schema: v.GenericSchema<unknown, T>,
  answer: unknown,
  url: string | URL,
): T {
  const result = v.safeParse(schema, answer, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const shown = redactUrl(url);
  throw new RemoteError(
    `Cannot read ${shown}: ${v.getDotPath(issue) ?? "the answer"} should be ${issue.expected ?? issue.type}`,
    { method: "GET", url: shown, retryable: false },
  );
}

/**
 * Checks bytes against their digest.
 *
 * @param text the bytes, as UTF-8.
 * @param digest `sha256:…` or `sha512:…`.
 * @param url where they came from.
 * @throws IntegrityError when they are others.
 */
export async function checkDigest(text: string, digest: string, url: string | URL): Promise<void> {
  const algorithm = digest.startsWith("sha512:") ? "SHA-512" : "SHA-256";
  const hash = await crypto.subtle.digest(algorithm, new TextEncoder().encode(text));
  const hex = bytesToHex(new Uint8Array(hash));
  if (digest.endsWith(`:${hex}`)) return;
  throw new IntegrityError(
    `Cannot use ${redactUrl(url)}: its digest should be ${digest}, but is ${algorithm.toLowerCase().replace("-", "")}:${hex}`,
  );
}
