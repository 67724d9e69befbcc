import { fakeClock } from "../fakes/clock.ts";
import { FakeGitHub } from "../fakes/github.ts";
import { CONTRACT_NOW, registryContract } from "./registry.ts";

registryContract("ghr (fake)", {
  // GitHub itself replaces all characters except letters, digits and a few signs.
  oddNames: ["v1.0.0", "dots..in...it.zip", "a+b_c-d.tar.gz", "-leading.zip"],
  skip: { leftovers: "assets, and so the records, go with their release" },
  async setup() {
    const clock = fakeClock({ now: CONTRACT_NOW });
    const github = new FakeGitHub({ clock });
    return {
      url: "ghr://acme/app",
      options: {
        env: { GITHUB_API_URL: github.urls.api, GH_TOKEN: "ghp_writer" },
        platform: { os: "linux", arch: "amd64" },
        fetch: github.fetch,
        clock,
      },
      async publish(releases) {
        for (const { tag, files = {}, createdAt } of releases) {
          const assets = Object.entries(files).map(([name, bytes]) => ({ name, bytes }));
          const at = createdAt === undefined ? {} : { publishedAt: createdAt.getTime() };
          if (!github.tags.has(tag)) github.publish(tag, assets, at);
          else for (const asset of assets) github.addAsset(tag, asset);
        }
      },
      async remove(tag) {
        github.deleteRelease(tag);
        github.tags.delete(tag);
      },
    };
  },
});
