import { fakeClock } from "../fakes/clock.ts";
import { fetchOf } from "../fakes/handler.ts";
import { fakeS3 } from "../fakes/s3.ts";
import { ODD_NAMES } from "./odd_names.ts";
import { CONTRACT_NOW, registryContract } from "./registry.ts";

registryContract("s3 (fake)", {
  oddNames: ODD_NAMES,
  async setup() {
    const server = fakeS3("releases", () => CONTRACT_NOW);
    return {
      url: "s3://us-east-1/releases/my/app",
      options: {
        endpoint: "http://s3.test",
        env: { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" },
        platform: { os: "linux", arch: "amd64" },
        fetch: fetchOf(server.handler),
        clock: fakeClock({ now: CONTRACT_NOW }),
      },
      async publish(releases) {
        for (const { tag, files = {}, createdAt } of releases) {
          for (const [name, body] of Object.entries(files)) {
            server.store(`my/app/${tag}/${name}`, body, {
              ...(createdAt === undefined ? {} : { lastModified: createdAt }),
            });
          }
        }
      },
      async remove(tag) {
        for (const key of server.objects.keys()) {
          if (!key.includes("/shipped_to_"))
            if (key.startsWith(`my/app/${tag}/`)) server.remove(key);
        }
      },
    };
  },
});
