import { expect, test } from "vitest";
import type { DewyEvent } from "../../src/core/event.ts";
import { chooseVersion } from "../../src/deploy/choose.ts";
import { EMPTY_STATE } from "../../src/deploy/state.ts";
import { fakeOci } from "../fakes/oci.ts";
import { openFakeImg } from "../registry/img_world.ts";
import { never } from "./world.ts";

test("a listing that lags does not lead back to an older image, though its tag is spelled with _", async () => {
  const fake = fakeOci();
  for (const tag of ["v1.0.0_blue", "v1.1.0_blue"]) fake.push(tag);
  fake.options.instead = ({ url }) =>
    url.includes("tags/list") ? Response.json({ tags: ["v1.0.0_blue"] }) : undefined;
  const { registry } = openFakeImg(fake, { slot: "blue" });
  const events: DewyEvent[] = [];
  const running = {
    id: "",
    tag: "v1.1.0_blue",
    artifact: "o/app:v1.1.0_blue",
    directory: "",
    stagedAt: "",
  };
  const policy = { preRelease: false, calver: "", constraint: "", slot: "blue", artifact: "" };
  const emit = (event: DewyEvent): void => void events.push(event);
  const choose = (): ReturnType<typeof chooseVersion> =>
    chooseVersion({ registry, state: EMPTY_STATE, running, policy, emit, signal: never() });
  expect(await choose()).toEqual({ kind: "stay" });
  expect(events).toContainEqual(expect.objectContaining({ type: "held", tag: "v1.0.0_blue" }));
  fake.tag("v1.1.0_blue", undefined);
  expect(await choose()).toMatchObject({ candidate: { release: { tag: "v1.0.0_blue" } } });
});
