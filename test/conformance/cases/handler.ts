import { latest, openArtifact } from "../../../mod.ts";
import { createHandler } from "../../../src/handler/mod.ts";
import { equal } from "../../runtime/check.ts";
import type { Cases, Peers } from "../case.ts";
import { assertReady, LINUX, rejects, textOf } from "../check.ts";

function handlerOf({ github }: Peers): (request: Request) => Promise<Response> {
  return createHandler({
    registries: { app: "ghr://acme/app" },
    env: { GITHUB_API_URL: github },
    token: "ghp_reader",
    redirect: false,
  });
}

const ask = (path: string, headers: Record<string, string> = {}): Request =>
  new Request(`https://versions.example.com${path}`, { headers });

/** `dewy/handler`, and `https://` registries that ask one. */
export const handler: Cases = {
  async "a handler answers, and confirms an answer by its ETag"(peers) {
    const respond = handlerOf(peers);
    const response = await respond(ask("/app/latest?platform=linux-amd64"));
    equal([response.status, (await response.json()).tag], [200, "v1.10.0"], "answer");
    const etag = response.headers.get("etag") ?? "";
    const again = await respond(ask("/app/latest?platform=linux-amd64", { "if-none-match": etag }));
    equal([again.status, await again.text()], [304, ""], "again");
  },

  async "a handler streams an artifact"(peers) {
    const response = await handlerOf(peers)(ask("/app/download/linux-amd64"));
    equal([response.status, await textOf(response.body)], [200, "0123456789"], "bytes");
  },

  async "a handler refuses a registry that is not on its list"(peers) {
    equal((await handlerOf(peers)(ask("/other/latest"))).status, 404, "status");
  },

  async "an https registry asks a handler"({ handler }) {
    const options = { platform: LINUX, env: {}, allow: "http" };
    const answer = assertReady(await latest(`https://${handler}/app?insecure=true`, options));
    equal([answer.release.tag, answer.artifact.name], ["v1.10.0", "app_linux_amd64.tar.gz"], "tag");
    equal(await textOf(await openArtifact(answer.artifact.url, options)), "0123456789", "bytes");
  },

  async "an https registry reports the handler's refusal"({ handler }) {
    const answer = latest(`https://${handler}/other?insecure=true`, { platform: LINUX, env: {} });
    await rejects(answer, "not-found");
  },
};
