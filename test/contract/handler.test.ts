import { createHandler } from "../../src/handler/mod.ts";
import { fakeClock } from "../fakes/clock.ts";
import { fetchOf } from "../fakes/handler.ts";
import { fakeS3 } from "../fakes/s3.ts";
import { ODD_NAMES } from "./odd_names.ts";
import { CONTRACT_NOW, registryContract } from "./registry.ts";

registryContract("https (a handler in front of s3)", {
  oddNames: ODD_NAMES,
  serverChooses: true,
  skip: {
    listing: "the handler chooses the version, and answers for no other",
    records: "reports go to onReport of the handler",
    leftovers: "reports go to onReport of the handler",
    replacing: "the digest identifies the bytes",
  },
  async setup(policy = {}) {
    const server = fakeS3("releases", () => CONTRACT_NOW);
    const clock = fakeClock({ now: CONTRACT_NOW });
    const handler = createHandler({
      ...policy,
      registries: { app: "s3://us-east-1/releases/my/app" },
      endpoint: "http://s3.test",
      env: { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" },
      fetch: fetchOf(server.handler),
      clock,
      maxAgeSeconds: 0,
      redirect: false,
    });
    return {
      url: "https://versions.test/app",
      options: {
        env: {},
        platform: { os: "linux", arch: "amd64" },
        fetch: fetchOf(handler),
        clock,
      },
      async publish(releases) {
        for (const { tag, files = {}, createdAt } of releases) {
          for (const [name, body] of Object.entries(files)) {
            const lastModified = createdAt && { lastModified: createdAt };
            server.store(`my/app/${tag}/${name}`, body, { ...lastModified });
          }
        }
      },
      async remove(tag) {
        for (const key of server.objects.keys()) {
          if (key.startsWith(`my/app/${tag}/`)) server.remove(key);
        }
      },
    };
  },
});
