import { createHandler, type HandlerOptions } from "../../src/handler/mod.ts";
import { fakeClock } from "../fakes/clock.ts";
import { FakeGitHub } from "../fakes/github.ts";

export const NAME = "app_linux_amd64.tar.gz";
export const NOW: number = Date.UTC(2026, 5, 1, 12);

export interface HandlerWorld {
  github: FakeGitHub;
  clock: ReturnType<typeof fakeClock>;
  handler: (request: Request) => Promise<Response>;
  /** Sends a request to a path of `https://versions.test`. */
  ask(path: string, init?: RequestInit): Promise<Response>;
}

/** A handler in front of the GitHub fake, which has v1.0.0 and a signature beside its artifact. */
export function handlerWorld(options: Partial<HandlerOptions> = {}): HandlerWorld {
  const clock = fakeClock({ now: NOW });
  const github = new FakeGitHub({ clock });
  github.publish("v1.0.0", [
    { name: NAME, bytes: "the bytes of v1.0.0" },
    { name: `${NAME}.sig`, bytes: "signature" },
  ]);
  const handler = createHandler({
    registries: { app: "ghr://acme/app" },
    env: { GITHUB_API_URL: github.urls.api, GITHUB_TOKEN: "ghp_writer" },
    platform: { os: "linux", arch: "amd64" },
    fetch: github.fetch,
    clock,
    ...options,
  });
  return {
    github,
    clock,
    handler,
    ask: (path, init) => handler(new Request(`https://versions.test${path}`, init)),
  };
}
