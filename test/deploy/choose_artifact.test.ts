import { describe, expect, test } from "vitest";
import type { DewyEvent } from "../../src/core/event.ts";
import { chooseVersion } from "../../src/deploy/choose.ts";
import { EMPTY_STATE } from "../../src/deploy/state.ts";
import { never, ready, testRegistry } from "./world.ts";

const POLICY = {
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
  acceptChanged: [],
};

async function choose(
  answer: { tag: string; name: string; notes?: readonly string[] },
  running: { tag: string; name: string } | undefined,
  artifact = "",
) {
  const { tag, name, notes } = answer;
  const events: DewyEvent[] = [];
  const resolution = { ...ready(tag, { name }), ...(notes === undefined ? {} : { notes }) };
  const live = running && {
    ...{ id: "", directory: "", stagedAt: "" },
    ...{ tag: running.tag, artifact: running.name },
  };
  const choice = await chooseVersion({
    registry: testRegistry(resolution),
    state: { ...EMPTY_STATE, releases: live === undefined ? [] : [live] },
    live: live?.directory,
    running: live,
    policy: { ...POLICY, artifact },
    emit: (event) => void events.push(event),
    now: Date.UTC(2026, 0, 1),
    signal: never(),
  });
  return { kind: choice.kind, events: events.map(({ type }) => type), all: events };
}

describe("an artifact of the live version that is not the live one", () => {
  const running = { tag: "v1.0.0", name: "app.zip" };

  test.each(["gui.zip", "gui*", "?ui.zip"])(
    "is deployed if artifact=%s asks for it",
    async (artifact) => {
      const answer = { tag: "v1.0.0", name: "gui.zip" };
      expect((await choose(answer, running, artifact)).kind).toBe("deploy");
    },
  );

  test.each(["", "*.zip"])("is not deployed if artifact=%s matches both", async (artifact) => {
    const { kind, events } = await choose({ tag: "v1.0.0", name: "gui.zip" }, running, artifact);
    expect(kind).toBe("stay");
    expect(events).toContain("bytes-changed");
  });
});

test("notes about the artifact are emitted only for a version that is not live yet", async () => {
  const answer = { tag: "v1.1.0", name: "app.zip", notes: ["2 files fit"] };
  const { all } = await choose(answer, { tag: "v1.0.0", name: "app.zip" });
  expect(all).toContainEqual({
    type: "artifact-chosen",
    tag: "v1.1.0",
    artifact: "app.zip",
    notes: ["2 files fit"],
  });
  expect((await choose(answer, { tag: "v1.1.0", name: "app.zip" })).events).not.toContain(
    "artifact-chosen",
  );
});
