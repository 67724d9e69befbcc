import * as v from "valibot";
import type { DewyEvent } from "../core/event.ts";
import type { Secrets } from "../host/files/secret_file.ts";

export type WebhookOutcome = Omit<Extract<DewyEvent, { type: "webhook" }>, "type">;
type WebhookSource = WebhookOutcome["source"];

/**
 * Longer bodies are not read. GitHub's largest payload of a release (its notes, and a thousand files) has about 3 MiB.
 */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;

/**
 * GitHub sends no event when a file is added to a release; the end of a workflow run is the closest one.
 * https://docs.github.com/webhooks/webhook-events-and-payloads
 */
const GITHUB_EVENTS: ReadonlySet<string> = new Set([
  "release",
  "package",
  "registry_package",
  "workflow_run",
]);

interface Verdict {
  outcome: WebhookOutcome;
  response: Response;
}

/**
 * Answers the requests of webhooks. A wrong secret in the path and an unknown path get the same response after the same
 * work, so that neither the status nor the time reveals a secret.
 */
export function webhookHandler({
  secrets,
  report,
}: {
  secrets(): Promise<Secrets>;
  /** Receives the outcome of every POST; it never contains a secret. */
  report(outcome: WebhookOutcome): void;
}): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (request.method !== "POST") return notPosted(pathname);
    const { outcome, response } = await verdictOn(request, pathname, await secrets());
    report(outcome);
    return response;
  };
}

function notPosted(pathname: string): Response {
  return /^\/hooks\/./.test(pathname)
    ? answer(405, "Method not allowed", { allow: "POST" })
    : answer(404, "Not found");
}

async function verdictOn(request: Request, pathname: string, secrets: Secrets): Promise<Verdict> {
  if (pathname === "/hooks/github") return await fromGitHub(request, secrets);
  if (pathname === "/hooks/registry") return await fromRegistry(request, secrets);
  return withSecretPath(pathname, secrets);
}

/** https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries */
async function fromGitHub({ headers, body }: Request, secrets: Secrets): Promise<Verdict> {
  const source = "github";
  const signature = headers.get("x-hub-signature-256");
  if (signature === null) {
    return refused(source, 403, "it is not signed; set the webhook's secret at GitHub");
  }
  const signing = secrets.sign();
  const isComplete = await readBody(body, (chunk) => signing.update(chunk));
  if (!isComplete) return refused(source, 413, `its body is longer than ${MAX_BODY_BYTES} bytes`);
  if (!signing.isSignedWith(signature)) return refused(source, 403, "wrong signature");
  const event = headers.get("x-github-event") ?? "";
  if (GITHUB_EVENTS.has(event)) return accepted(source);
  return ignored(source, /^\w{1,40}$/.test(event) ? `event ${event}` : "unknown event");
}

/** https://distribution.github.io/distribution/about/notifications, https://goharbor.io/docs/latest */
async function fromRegistry({ headers, body }: Request, secrets: Secrets): Promise<Verdict> {
  const source = "registry";
  const authorization = headers.get("authorization") ?? "";
  const token = authorization.replace(/^bearer +/i, "");
  const matches = [authorization, token].filter((text) => secrets.includes(text));
  if (matches.length === 0) return refused(source, 403, "wrong Authorization header");
  const chunks: Uint8Array[] = [];
  // Not refused: a registry repeats a refused notification indefinitely, and the ones behind it wait.
  const isComplete = await readBody(body, (chunk) => chunks.push(chunk));
  return isComplete && isPull(Buffer.concat(chunks).toString())
    ? ignored(source, "pull")
    : accepted(source);
}

function withSecretPath(pathname: string, secrets: Secrets): Verdict {
  const source = "secret";
  return secrets.includes(decoded(pathname.replace(/^\/hooks\//, "")))
    ? accepted(source)
    : refused(source, 404, "wrong secret or unknown path");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const Notification = v.pipe(
  v.string(),
  v.parseJson(),
  v.union([
    v.object({ events: v.pipe(v.array(v.object({ action: v.string() })), v.minLength(1)) }),
    v.object({ type: v.string() }),
  ]),
);

/** Polls read manifests, which some registries report as pulls: those would start a poll, and so on. */
function isPull(body: string): boolean {
  const parsed = v.safeParse(Notification, body);
  if (!parsed.success) return false;
  return "events" in parsed.output
    ? parsed.output.events.every(({ action }) => action === "pull")
    : parsed.output.type === "PULL_ARTIFACT" || parsed.output.type === "harbor.artifact.pulled";
}

/** Returns whether the body was read to its end; a longer one than the limit is left. */
async function readBody(
  body: Request["body"],
  onChunk: (chunk: Uint8Array) => void,
): Promise<boolean> {
  if (body === null) return true;
  const reader = body.getReader();
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return true;
    size += value.byteLength;
    if (size > MAX_BODY_BYTES) {
      await reader.cancel();
      return false;
    }
    onChunk(value);
  }
}

function accepted(source: WebhookSource): Verdict {
  return { outcome: { source, outcome: "accepted" }, response: answer(202, "Accepted") };
}

function ignored(source: WebhookSource, reason: string): Verdict {
  return { outcome: { source, outcome: "ignored", reason }, response: answer(200, "Ignored") };
}

const REFUSALS = { 403: "Forbidden", 404: "Not found", 413: "Content too large" } as const;

function refused(source: WebhookSource, status: keyof typeof REFUSALS, reason: string): Verdict {
  return {
    outcome: { source, outcome: "refused", reason },
    response: answer(status, REFUSALS[status]),
  };
}

function answer(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}
