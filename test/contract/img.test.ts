import { afterAll, beforeAll, describe } from "vitest";
import { createHostFetch } from "../../src/host/net/fetch.ts";
import { fakeClock } from "../fakes/clock.ts";
import { fakeOci } from "../fakes/oci.ts";
import {
  type DockerRegistry,
  LOGIN,
  missingDockerRegistry,
  startDockerRegistry,
} from "../peers/docker_registry.ts";
import { IMAGES, platformsOf } from "./img_driver.ts";
import { CONTRACT_NOW, registryContract } from "./registry.ts";

const PLATFORM = { os: "linux", arch: "amd64" };
const ENV = { DOCKER_USERNAME: LOGIN.username, DOCKER_PASSWORD: LOGIN.password };

registryContract("img (fake)", {
  ...IMAGES,
  async setup() {
    const clock = fakeClock({ now: CONTRACT_NOW });
    const users = { [LOGIN.username]: LOGIN.password };
    const fake = fakeOci({ auth: "bearer", users, pageSize: 400, expiresIn: 300, now: clock.now });
    return {
      url: "img://registry.example/o/app",
      options: { env: ENV, platform: PLATFORM, fetch: fake.fetch, clock },
      async publish(releases) {
        for (const release of releases) {
          const platforms = platformsOf(release).map((platform) => {
            const [os = "", architecture = ""] = platform.split("/");
            return { os, architecture };
          });
          const created = release.createdAt?.toISOString();
          fake.push(release.tag, { platforms, ...(created === undefined ? {} : { created }) });
        }
      },
      remove: async (tag) => fake.tag(tag, undefined),
    };
  },
});

const missing = missingDockerRegistry();

describe.skipIf(missing !== undefined)(
  `docker-registry${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let server: DockerRegistry;
    let repositories = 0;

    beforeAll(async () => {
      server = await startDockerRegistry({ auth: "token" });
    });
    afterAll(() => server.stop());

    const spell = (tag: string): string => tag.replace("+", "_");

    registryContract("img (docker-registry)", {
      ...IMAGES,
      skip: { ...IMAGES.skip, many: "1,100 pushes take long; the fake has them" },
      spell,
      async setup() {
        repositories += 1;
        const repository = `contract/app-${repositories}`;
        // A repository does not exist before the first push.
        await server.push(repository, "none");
        await server.remove(repository, "none");
        return {
          url: `img://${server.host}/${repository}`,
          options: {
            env: ENV,
            platform: PLATFORM,
            fetch: await createHostFetch({ env: {} }),
            clock: fakeClock({ now: CONTRACT_NOW }),
          },
          async publish(releases) {
            for (const release of releases) {
              const created = release.createdAt?.toISOString();
              const platforms = platformsOf(release);
              await server.pushIndex(
                repository,
                spell(release.tag),
                platforms,
                created === undefined ? {} : { created },
              );
            }
          },
          remove: (tag) => server.remove(repository, tag),
        };
      },
    });
  },
);
