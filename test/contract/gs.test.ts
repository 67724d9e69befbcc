import { fakeClock } from "../fakes/clock.ts";
import { fakeGcs } from "../fakes/gcs.ts";
import { fakeIdentity, serviceAccountKey } from "../fakes/gcs_auth.ts";
import { fetchOf } from "../fakes/handler.ts";
import { ODD_NAMES } from "./odd_names.ts";
import { CONTRACT_NOW, registryContract } from "./registry.ts";

registryContract("gs (fake)", {
  // Carriage return and line feed are the only characters that an object's name cannot contain.
  // https://cloud.google.com/storage/docs/objects#naming
  oddNames: ODD_NAMES.map((name) => name.replace(/[\r\n]+/g, "")),
  async setup() {
    const clock = fakeClock({ now: CONTRACT_NOW });
    const google = fakeIdentity(clock.now);
    const server = fakeGcs({ bucket: "releases", tokens: google.tokens });
    return {
      url: "gs://releases/my/app",
      options: {
        env: { GOOGLE_APPLICATION_CREDENTIALS: JSON.stringify(serviceAccountKey()) },
        platform: { os: "linux", arch: "amd64" },
        fetch: fetchOf((request) =>
          new URL(request.url).hostname === "storage.googleapis.com"
            ? server.handler(request)
            : google.handler(request),
        ),
        clock,
      },
      async publish(releases) {
        for (const { tag, files = {}, createdAt } of releases) {
          for (const [name, body] of Object.entries(files)) {
            const at = createdAt === undefined ? {} : { at: createdAt.toISOString() };
            server.put(`my/app/${tag}/${name}`, { body, ...at });
          }
        }
      },
      async remove(tag) {
        for (const name of [...server.objects.keys()]) {
          const isRecord = name.includes("/shipped_to_");
          if (name.startsWith(`my/app/${tag}/`) && !isRecord) server.delete(name);
        }
      },
    };
  },
});
