import { initializeTUFRepo, tufHandlers } from "@tufjs/repo-mock";
import { withoutNock } from "../support/without_nock.ts";
import type { Handler } from "./handler.ts";

withoutNock("@tufjs/repo-mock");

export interface FakeTuf {
  handler: Handler;
  /** The metadata that a client trusts from the start. */
  root: string;
  /** The paths of all requests so far. */
  requests: string[];
}

/** A TUF repository with these files. Everything in it expires after a year. */
export function fakeTuf(targets: Readonly<Record<string, string>>): FakeTuf {
  const repository = initializeTUFRepo(
    Object.entries(targets).map(([name, content]) => ({ name, content })),
  );
  const routes = new Map(
    tufHandlers(repository, { metadataPathPrefix: "" }).map(({ path, fn }) => [path, fn]),
  );
  const requests: string[] = [];
  return {
    requests,
    root: JSON.stringify(repository.rootMeta.toJSON()),
    handler: (request) => {
      const { pathname } = new URL(request.url);
      requests.push(pathname);
      // A target's name has its digest in front.
      const route = routes.get(pathname) ?? routes.get(pathname.replace(/\/[0-9a-f]{64}\./, "/"));
      const { statusCode, response } = route?.() ?? { statusCode: 404, response: "" };
      return new Response(new Uint8Array(Buffer.from(response)), { status: statusCode });
    },
  };
}
