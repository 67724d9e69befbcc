import { latest, openArtifact, openRegistry, versions } from "dewy";
import { createHandler, type HandlerReport } from "dewy/handler";
import { equal } from "../../runtime/check.ts";
import type { Cases, Peers } from "../case.ts";
import { assertReady, LINUX, listOf, rejects, tagsOf, textOf } from "../check.ts";

const TOKEN = "report-t0ken";

function handlerOf(
  { github }: Peers,
  reports: HandlerReport[] = [],
): (request: Request) => Promise<Response> {
  return createHandler({
    registries: { app: "ghr://acme/app" },
    env: { GITHUB_API_URL: github },
    platform: LINUX,
    token: "ghp_reader",
    redirect: false,
    reportToken: TOKEN,
    onReport: (report) => void reports.push(report),
  });
}

const ask = (path: string, headers: Record<string, string> = {}, init: RequestInit = {}): Request =>
  new Request(`https://versions.example.com${path}`, { ...init, headers });

const REPORT = { id: "7", tag: "v1.10.0", command: "assets", host: "edge" };

/** `dewy/handler`, and `https://` registries that ask one. */
export const handler: Cases = {
  async "a handler answers, and confirms an answer by its ETag"(peers) {
    const respond = handlerOf(peers);
    const response = await respond(ask("/app/latest?platform=linux-amd64"));
    equal([response.status, (await response.json()).tag], [200, "v1.10.0"], "answer");
    const etag = response.headers.get("etag") ?? "";
    const again = await respond(ask("/app/latest?platform=linux-amd64", { "if-none-match": etag }));
    equal([again.status, await again.text()], [304, ""], "again");
    const head = await respond(ask("/app/latest?platform=linux-amd64", {}, { method: "HEAD" }));
    equal([head.headers.get("etag"), await head.text()], [etag, ""], "HEAD");
  },

  async "a handler explains itself, and draws badges"(peers) {
    const respond = handlerOf(peers);
    const { tags } = await (await respond(ask("/app/explain"))).json();
    const chosen = tags.map(({ tag, chosen }: { tag: string; chosen: boolean }) => [tag, chosen]);
    equal(
      chosen,
      [
        ["v1.10.0", true],
        ["v1.9.0", false],
        ["v1.2.0", false],
      ],
      "tags",
    );
    equal((await (await respond(ask("/badge.svg"))).text()).startsWith("<svg "), true, "image");
    equal((await (await respond(ask("/badge.json"))).json()).message, "v1.10.0", "shields");
  },

  async "a handler streams an artifact, or a part of it"(peers) {
    const respond = handlerOf(peers);
    const response = await respond(ask("/app/download/linux-amd64"));
    equal([response.status, await textOf(response.body)], [200, "0123456789"], "bytes");
    const part = await respond(ask("/app/download/linux-amd64", { range: "bytes=4-6" }));
    equal([part.status, await textOf(part.body)], [206, "456"], "part");
  },

  async "a handler receives reports with its token"(peers) {
    const reports: HandlerReport[] = [];
    const respond = handlerOf(peers, reports);
    const body = JSON.stringify({ schema: 1, ...REPORT, at: "2026-06-01T12:00:00.000Z" });
    const send = (token: string): Promise<Response> =>
      respond(ask("/app/report", { authorization: `Bearer ${token}` }, { method: "POST", body }));
    equal([(await send(TOKEN)).status, (await send("wrong")).status], [204, 401], "statuses");
    equal(
      reports.map(({ tag, at }) => [tag, at.getUTCFullYear()]),
      [["v1.10.0", 2026]],
      "reports",
    );
  },

  async "a handler refuses a registry that is not on its list"(peers) {
    equal((await handlerOf(peers)(ask("/other/latest"))).status, 404, "status");
  },

  async "an https registry asks a handler, and reports to it"({ handler }) {
    const options = { platform: LINUX, env: {}, allow: "http" };
    const url = `https://${handler}/app?insecure=true`;
    const answer = assertReady(await latest(url, options));
    equal([answer.release.tag, answer.artifact.name], ["v1.10.0", "app_linux_amd64.tar.gz"], "tag");
    equal(await textOf(await openArtifact(answer.artifact.url, options)), "0123456789", "bytes");
    const registry = openRegistry(url, { platform: LINUX, token: TOKEN, env: {} });
    await registry.report?.({ ...REPORT, at: new Date(0) });
  },

  async "the version of an https registry is listed, and unchanged if it is there"({ handler }) {
    const url = `https://${handler}/app?insecure=true`;
    const options = { platform: LINUX, env: {} };
    equal(tagsOf(await listOf(versions(url, options))), ["v1.10.0"], "tags");
    const answer = await latest(url, { ...options, since: "v1.10.0" });
    equal(answer.kind === "none" && answer.reason, "unchanged", "reason");
  },

  async "an https registry reports the handler's refusal"({ handler }) {
    const answer = latest(`https://${handler}/other?insecure=true`, { platform: LINUX, env: {} });
    await rejects(answer, "not-found");
  },
};
